//! One read, one write. Neither waits: the pipes are non-blocking.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::libc::PIPE_BUF;
use nix::unistd::{read, write};

use crate::sys::{capacity, unread};

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now (EAGAIN).
    Nothing,
    /// `read` = 0: the end, if `poll` showed something before; else perhaps nobody has opened it yet (fifo(7)).
    End,
}

/// One read(2) of a non-blocking pipe.
///
/// # Errors
/// Those of read(2) but EAGAIN.
pub fn read_once(pipe: impl AsFd, buffer: &mut [u8]) -> Result<Filled, Errno> {
    match read(pipe, buffer) {
        Ok(0) => Ok(Filled::End),
        Ok(count) => Ok(Filled::Bytes(count)),
        Err(Errno::EAGAIN) => Ok(Filled::Nothing),
        Err(errno) => Err(errno),
    }
}

/// The one way to write a record: one write, of all of it or nothing.
///
/// # Errors
/// `EAGAIN`: there is no room for all of it now. `EMSGSIZE`: there never is. The others are those of write(2).
pub fn write_record(pipe: impl AsFd, record: &[u8]) -> Result<(), Errno> {
    // Up to PIPE_BUF it is all or nothing (pipe(7)); beyond that as much as there is room for, and only of an empty pipe do we
    // know how much that is.
    if record.len() > PIPE_BUF {
        if record.len() > capacity(&pipe)? {
            return Err(Errno::EMSGSIZE);
        }
        if unread(&pipe)? > 0 {
            return Err(Errno::EAGAIN);
        }
    }
    let written = write(pipe, record)?;
    // Somebody else came in between.
    if written < record.len() { Err(Errno::EMSGSIZE) } else { Ok(()) }
}
