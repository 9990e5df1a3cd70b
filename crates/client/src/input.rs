//! Where messages come from.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handshake_core::Error;
use nix::errno::Errno;
use nix::unistd::read;

/// Bytes that one read takes at most.
const READ_SIZE: usize = 65_536;

/// Where one message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At each newline, which is not part of it. What follows the last one is a message as well, unless it is empty.
    Lines,
    /// Only at the end: all is one message, even if it is empty.
    Nowhere,
}

/// Messages still to be sent.
#[derive(Debug)]
pub struct Input {
    /// Read whenever it shows something; `None` once it has ended.
    source: Option<OwnedFd>,
    cut: Cut,
    /// Read, and not whole yet.
    part: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

impl Input {
    /// These messages.
    pub fn messages(messages: impl Iterator<Item = Vec<u8>>) -> Self {
        Self { source: None, cut: Cut::Lines, part: Vec::new(), whole: messages.collect() }
    }

    /// What comes from `source`.
    pub fn from(source: OwnedFd, cut: Cut) -> Self {
        Self { source: Some(source), cut, part: Vec::new(), whole: VecDeque::new() }
    }

    /// Where one message ends.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The next message that is whole.
    pub fn front(&self) -> Option<&[u8]> {
        self.whole.front().map(Vec::as_slice)
    }

    /// Takes [`Input::front`] away.
    pub fn pop(&mut self) {
        self.whole.pop_front();
    }

    /// Whether there is nothing left, and nothing to come.
    pub fn is_over(&self) -> bool {
        self.source.is_none() && self.whole.is_empty()
    }

    /// What to watch for more messages, when none is whole.
    pub fn wanting(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().filter(|_| self.whole.is_empty()).map(AsFd::as_fd)
    }

    /// Reads what there is; call it when the source shows something, or it waits.
    ///
    /// # Errors
    /// Those of read(2), but EIO of a terminal that has gone means the end.
    pub fn read(&mut self) -> Result<(), Error> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut bytes = [0; READ_SIZE];
        match read(source, &mut bytes) {
            Ok(0) | Err(Errno::EIO) => {
                self.source = None;
                if self.cut == Cut::Nowhere || !self.part.is_empty() {
                    self.whole.push_back(std::mem::take(&mut self.part));
                }
            }
            Ok(count) => self.take(&bytes[..count]),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(Error::on("read", "stdin", errno)),
        }
        Ok(())
    }

    fn take(&mut self, mut bytes: &[u8]) {
        if self.cut == Cut::Lines {
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                self.part.extend_from_slice(&bytes[..end]);
                self.whole.push_back(std::mem::take(&mut self.part));
                bytes = &bytes[end + 1..];
            }
        }
        self.part.extend_from_slice(bytes);
    }
}
