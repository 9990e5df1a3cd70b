//! What clients of both dialects do in steps 3 and 4, and why they cannot.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;

use crate::error::Error;
use crate::event::What;
use crate::fifo::{Fifo, name_of, open_to_read};
use crate::place::Place;
use crate::process::Process;

/// Makes a private pipe at this path, with a reader from the first moment on (step 3).
pub(crate) fn make_and_open(process: &Process, path: &Path) -> Result<(Fifo, OwnedFd), Errno> {
    process.does(
        What::PrivateCreated,
        |event| event.pipe(name_of(path)),
        || {
            let fifo = Fifo::make(path.to_path_buf())?;
            Ok((fifo, open_to_read(path)?))
        },
    )
}

pub(crate) fn cannot_make(path: &Path, errno: Errno) -> Error {
    let hint =
        "a client makes it beside the well-known one: the directory of --wkp must exist and be writable";
    Error::at("make the private pipe", path, errno, hint)
}

pub(crate) fn cannot_open(place: &Place, errno: Errno) -> Error {
    let hint = match errno {
        Errno::EACCES | Errno::EPERM => "it is another user's: the server must run as the same user",
        Errno::EINVAL | Errno::EISDIR | Errno::ELOOP => "it is no pipe: is this the right name?",
        _ => "is this the right name?",
    };
    Error::at("open the well-known pipe", place.wkp(), errno, hint)
}
