//! The terminal of stdin, stdout or stderr, opened once more so that neither a read nor a write blocks.
//!
//! `O_NONBLOCK` belongs to the open file description, which other programs share. A reopened terminal has an
//! open file description of its own. Reopening fails where /proc is not mounted, or where another user owns
//! the terminal.

use std::io::{IsTerminal, stdin};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{getpgrp, tcgetpgrp, write};

/// A pipe that poll(2) reports as writable takes PIPE_BUF bytes without blocking.
const PIPE_PIECE: usize = 4096;

/// A terminal guarantees less. The room of a pseudo-terminal is a multiple of 256 bytes, and a newline takes
/// two of them.
const TERMINAL_PIECE: usize = 128;

/// Opens the terminal that `stream` refers to again.
pub(crate) fn reopened(stream: &(impl AsFd + IsTerminal), mode: OFlag) -> Option<OwnedFd> {
    let flags = mode | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let path = format!("/proc/self/fd/{}", stream.as_fd().as_raw_fd());
    stream.is_terminal().then(|| open(path.as_str(), flags, Mode::empty()).ok()).flatten()
}

/// Whether this process may use the terminal of stdin: in the background it must not.
pub(crate) fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp())
}

/// Stdout or stderr, to which the client writes without blocking.
#[derive(Debug)]
pub(crate) struct Output<S> {
    stream: S,
    terminal: Option<OwnedFd>,
    /// The most bytes that one write takes.
    piece: usize,
}

impl<S: AsFd + IsTerminal> Output<S> {
    pub(crate) fn new(stream: S) -> Self {
        let terminal = reopened(&stream, OFlag::O_WRONLY);
        let piece = if terminal.is_none() && stream.is_terminal() { TERMINAL_PIECE } else { PIPE_PIECE };
        Self { stream, terminal, piece }
    }

    /// Writes the first of `bytes`; call it when the output has room.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        write(self, &bytes[..bytes.len().min(self.piece)])
    }

    pub(crate) fn has_room(&self) -> bool {
        let mut room = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        poll(&mut room, PollTimeout::ZERO) == Ok(1)
    }
}

impl<S: AsFd> AsFd for Output<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_ref().map_or(self.stream.as_fd(), AsFd::as_fd)
    }
}
