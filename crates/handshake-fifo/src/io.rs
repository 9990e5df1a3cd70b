//! One read and one write. Neither waits: the pipes are non-blocking.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::libc::PIPE_BUF;
use nix::unistd::{read, write};

use crate::sys::{capacity, unread};

/// The result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// This many bytes.
    Bytes(usize),
    /// No bytes now (EAGAIN).
    Nothing,
    /// `read` returned 0. This is EOF if `poll` reported an event before. Otherwise the pipe may not have
    /// been opened for writing yet (fifo(7)).
    End,
}

/// Reads once from a non-blocking pipe (read(2)).
///
/// # Errors
/// Those of read(2) except EAGAIN.
pub fn read_once(pipe: impl AsFd, buffer: &mut [u8]) -> Result<Filled, Errno> {
    match read(pipe, buffer) {
        Ok(0) => Ok(Filled::End),
        Ok(count) => Ok(Filled::Bytes(count)),
        Err(Errno::EAGAIN) => Ok(Filled::Nothing),
        Err(errno) => Err(errno),
    }
}

/// Writes a record in one write, completely or not at all. All records are written here.
///
/// # Errors
/// `EAGAIN`: too little room for all of it now. `EMSGSIZE`: the pipe never has enough room. The others are
/// those of write(2).
pub fn write_record(pipe: impl AsFd, record: &[u8]) -> Result<(), Errno> {
    // Up to PIPE_BUF a write is all or nothing (pipe(7)). A longer write takes as much as there is room for,
    // and that amount is known only for an empty pipe.
    if record.len() > PIPE_BUF {
        if record.len() > capacity(&pipe)? {
            return Err(Errno::EMSGSIZE);
        }
        if unread(&pipe)? > 0 {
            return Err(Errno::EAGAIN);
        }
    }
    let written = write(pipe, record)?;
    // Another process wrote in between.
    if written < record.len() { Err(Errno::EMSGSIZE) } else { Ok(()) }
}
