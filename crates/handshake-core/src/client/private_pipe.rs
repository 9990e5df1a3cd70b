//! Steps 3 to 5 for clients of both dialects: making the private pipe, waiting at it, and errors with a hint.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::deadline::Deadline;
use crate::error::{Error, Remedy};
use crate::event::What;
use crate::fifo::{Fifo, name_of};
use crate::place::Place;
use crate::process::Process;

/// How often a client makes a new private pipe. A server that starts or ends removes pipes without a reader,
/// since dead clients left them. It may remove one that this client has made and not opened yet.
const TRIES: usize = 4;

/// Makes a private pipe at this path, and opens it for reading (step 3).
pub(crate) fn make_and_open(process: &Process, path: &Path) -> Result<(Fifo, OwnedFd), Errno> {
    let mut try_again = TRIES;
    let made = || loop {
        match Fifo::make(path.to_path_buf()) {
            Err(Errno::ENOENT) if try_again > 0 => try_again -= 1,
            made => return made,
        }
    };
    process.log_around(What::PrivateCreated, |event| event.pipe(name_of(path)), made)
}

/// Waits until the private pipe is ready, or the WKP has lost its reader (step 5). Returns both. An
/// acknowledgement that was sent before the server closed the WKP is then in the private pipe.
pub(crate) fn wait_for_server(
    process: &Process,
    from_server: impl AsFd,
    to_server: impl AsFd,
    until: Deadline,
) -> Result<(bool, bool), Error> {
    let mut fds = [
        PollFd::new(from_server.as_fd(), PollFlags::POLLIN),
        PollFd::new(to_server.as_fd(), PollFlags::empty()),
    ];
    process.wait(&mut fds, until)?;
    let [shown, server_left] = fds.map(|fd| fd.any().unwrap_or(false));
    Ok((shown, server_left))
}

pub(crate) fn cannot_make(path: &Path, errno: Errno) -> Error {
    let hint = "a client makes it beside the well-known one";
    Error::at("make the private pipe", path, errno, hint).with_remedy(Remedy::ClientDirectory)
}

pub(crate) fn cannot_open(place: &Place, errno: Errno) -> Error {
    let hint = match errno {
        Errno::EACCES | Errno::EPERM => "it is another user's: the server must run as the same user",
        Errno::ELOOP => "it is a symbolic link, which is not followed",
        Errno::EINVAL | Errno::EISDIR => "it is no pipe: is this the right name?",
        _ => "is this the right name?",
    };
    let error = Error::at("open the well-known pipe", place.wkp(), errno, hint);
    if errno == Errno::ELOOP { error.with_remedy(Remedy::NoLink) } else { error }
}
