//! Steps 3 and 4 for clients of both dialects: making the private pipe, and errors with a hint.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Error, Remedy};
use crate::event::What;
use crate::fifo::{Fifo, name_of, open_to_read};
use crate::place::Place;
use crate::process::Process;

/// How often a client makes a new private pipe. A server that starts or ends removes pipes without a reader,
/// since dead clients left them. It may remove one that this client has made and not opened yet.
const TRIES: usize = 4;

/// Makes a private pipe at this path, and opens it for reading (step 3).
pub(crate) fn make_and_open(process: &Process, path: &Path) -> Result<(Fifo, OwnedFd), Errno> {
    let make = || {
        let fifo = Fifo::make(path.to_path_buf())?;
        Ok((open_to_read(path)?, fifo))
    };
    let mut try_again = TRIES;
    let made = || loop {
        match make() {
            Err(Errno::ENOENT) if try_again > 0 => try_again -= 1,
            made => return made,
        }
    };
    let (opened, fifo) = process.log_around(What::PrivateCreated, |event| event.pipe(name_of(path)), made)?;
    Ok((fifo, opened))
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
