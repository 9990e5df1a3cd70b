//! What a program prints, on a terminal: there, a C program's lines arrive when they are printed, and not all
//! at its end.

use std::os::fd::{AsFd, OwnedFd};

use handshake_core::error::{Error, Result};
use handshake_core::text::words;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::unistd::read;

/// The most bytes that one look reads; the next look reads the rest.
const READ_SIZE: usize = 4096;
/// The longest line; a longer one is cut.
const LINE_MAX: usize = 500;

/// The demo's end of a terminal (pty(7)).
#[derive(Debug)]
pub(super) struct Terminal {
    screen: OwnedFd,
    /// A line that is not complete yet.
    part: Vec<u8>,
}

impl Terminal {
    /// Makes a terminal; returns it and the end for a program's stdout.
    ///
    /// # Errors
    /// The system has no more terminals.
    pub(super) fn new() -> Result<(Self, OwnedFd)> {
        let failed = |errno| Error::on("make", "a terminal", errno);
        let pair = openpty(None, None).map_err(failed)?;
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
        Ok((Self { screen: pair.master, part: Vec::new() }, pair.slave))
    }

    /// The lines that were printed since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.read();
        self.whole_lines()
    }

    /// Returns whether there was something. Ignores the errors of read(2), such as EIO when no process holds
    /// the other end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; READ_SIZE];
        let count = read(self.screen.as_fd(), &mut buffer).unwrap_or(0);
        self.part.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn whole_lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            lines.push(self.part.drain(..=end).collect::<Vec<u8>>());
        }
        if self.part.len() > LINE_MAX {
            lines.push(std::mem::take(&mut self.part));
        }
        lines.iter().map(|line| in_words(line)).collect()
    }

    /// The rest of the output, including an incomplete last line; call it only after the program has ended.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while self.read() {
            lines.extend(self.whole_lines());
        }
        let part = std::mem::take(&mut self.part);
        lines.extend((!part.is_empty()).then(|| in_words(&part)));
        lines
    }
}

/// The beginning of a line, in printable text.
fn in_words(line: &[u8]) -> String {
    words(line.trim_ascii_end()).chars().take(LINE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use nix::unistd::write;

    use super::*;

    #[test]
    fn lines_come_whole_and_the_rest_at_the_end() {
        let (mut terminal, program) = Terminal::new().unwrap();
        assert_eq!(terminal.lines(), [""; 0]);
        write(&program, b"one\ntwo\n> ").unwrap();
        assert_eq!(terminal.lines(), ["one", "two"]);
        write(&program, b"th\x1b[31mree\nfour").unwrap();
        drop(program);
        assert_eq!(terminal.rest(), ["> th\u{fffd}[31mree", "four"]);
        assert_eq!(terminal.rest(), [""; 0]);
    }
}
