//! Where messages come from.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handshake_core::Error;
use handshake_core::stream::reserve_within;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use crate::Prompt;
use crate::keyboard::{Asked, Keyboard};

/// The most bytes that one read takes.
const READ_SIZE: usize = 65_536;

/// Where one message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At each newline, which is not part of the message. Bytes after the last newline are a message too.
    Lines,
    /// Only at EOF: the whole input is one message, even if it is empty.
    Nowhere,
}

/// A message to send.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A complete message.
    Whole(Vec<u8>),
    /// A message that exceeds the limit; its bytes were discarded.
    TooLong,
}

/// The messages still to send.
#[derive(Debug)]
pub struct Input {
    /// Read whenever it is readable; `None` after EOF.
    source: Option<OwnedFd>,
    cut: Cut,
    /// The longest message, in bytes. The client never buffers more than this of one message.
    longest: usize,
    /// The beginning of a message that is not complete yet.
    part: Vec<u8>,
    /// Whether the rest of a message that is too long is being skipped.
    skipping: bool,
    messages: VecDeque<Message>,
    /// The source of lines that the client edits itself.
    keyboard: Option<Keyboard>,
}

impl Input {
    /// The messages of the command line.
    pub fn messages(messages: impl Iterator<Item = Vec<u8>>) -> Self {
        let messages = messages.map(Message::Whole).collect();
        Self { source: None, messages, ..Self::empty(Cut::Lines, usize::MAX) }
    }

    /// Messages of at most `longest` bytes, read from `source`.
    pub fn from(source: OwnedFd, cut: Cut, longest: usize) -> Self {
        Self { source: Some(source), ..Self::empty(cut, longest) }
    }

    /// Lines of at most `longest` bytes that are typed into `terminal`, and edited by the client.
    pub(crate) fn typed(terminal: OwnedFd, longest: usize) -> Self {
        let keyboard = Some(Keyboard::new(longest));
        Self { source: Some(terminal), keyboard, ..Self::empty(Cut::Lines, longest) }
    }

    fn empty(cut: Cut, longest: usize) -> Self {
        let (part, messages) = (Vec::new(), VecDeque::new());
        Self { source: None, cut, longest, part, skipping: false, messages, keyboard: None }
    }

    /// Where one message ends.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The next message.
    pub fn front(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// Removes [`Input::front`].
    pub fn pop(&mut self) {
        self.messages.pop_front();
    }

    /// Whether no message is left and none can follow.
    pub fn is_over(&self) -> bool {
        self.source.is_none()
            && self.messages.is_empty()
            && self.keyboard.as_ref().is_none_or(Keyboard::is_empty)
    }

    /// The file descriptor to watch for more messages, if none is left and more `may_be_sent`. Keys are read
    /// at any time, so that the terminal's buffer never fills up and Ctrl-C works.
    pub fn wanting(&self, may_be_sent: bool) -> Option<BorrowedFd<'_>> {
        let wants = match &self.keyboard {
            Some(keyboard) => keyboard.has_room(),
            None => may_be_sent && self.messages.is_empty(),
        };
        self.source.as_ref().filter(|_| wants).map(AsFd::as_fd)
    }

    /// Whether Ctrl-Z was pressed since the last call.
    pub(crate) fn take_stop(&mut self) -> bool {
        self.keyboard.as_mut().is_some_and(Keyboard::take_stop)
    }

    /// Asks for the next line, at the prompt.
    pub(crate) fn ask(&mut self, prompt: &mut Prompt) {
        let is_shown = prompt.begin();
        let Some(keyboard) = &mut self.keyboard else { return };
        match keyboard.ask(is_shown, Prompt::columns(), prompt.screen()) {
            Asked::Nothing => {}
            Asked::Line(message) => {
                self.messages.push_back(message);
                prompt.end();
            }
            Asked::End => self.source = None,
        }
    }

    /// Reads what is available; call it when the source is readable.
    ///
    /// # Errors
    /// Those of read(2), except that EIO of a closed terminal counts as EOF.
    pub fn read(&mut self) -> Result<(), Error> {
        self.read_typed(false)
    }

    /// As [`Input::read`]. `was_cooked`: the kernel edited the lines until now.
    pub(crate) fn read_typed(&mut self, was_cooked: bool) -> Result<(), Error> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut bytes = [0; READ_SIZE];
        let came = read(source, &mut bytes);
        if let Some(keyboard) = &mut self.keyboard {
            match came {
                Ok(count @ 1..) => keyboard.take(&bytes[..count], was_cooked),
                // Nothing is available now, unless the terminal has hung up.
                Ok(0) if !has_hung_up(source) => {}
                Ok(0) | Err(Errno::EIO) => {
                    keyboard.hang_up();
                    self.source = None;
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(Error::on("read", "the terminal", errno)),
            }
            return Ok(());
        }
        match came {
            Ok(0) | Err(Errno::EIO) => {
                self.source = None;
                if self.cut == Cut::Nowhere || !self.part.is_empty() {
                    self.end_message();
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
                self.add(&bytes[..end]);
                self.end_message();
                bytes = &bytes[end + 1..];
            }
        }
        self.add(bytes);
    }

    /// Adds `bytes` to the current message, or discards the message if it gets too long.
    fn add(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.part.len() + bytes.len() <= self.longest {
            reserve_within(&mut self.part, bytes.len(), self.longest);
            self.part.extend_from_slice(bytes);
            return;
        }
        self.part = Vec::new();
        self.messages.push_back(Message::TooLong);
        match self.cut {
            Cut::Lines => self.skipping = true,
            // No message can follow.
            Cut::Nowhere => self.source = None,
        }
    }

    fn end_message(&mut self) {
        if !std::mem::take(&mut self.skipping) {
            self.messages.push_back(Message::Whole(std::mem::take(&mut self.part)));
        }
    }
}

fn has_hung_up(terminal: &OwnedFd) -> bool {
    let mut shown = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
    let looked = poll(&mut shown, PollTimeout::ZERO);
    looked.is_ok() && shown[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLHUP))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The messages of at most 3 bytes that these reads give.
    fn taken(reads: &[&[u8]], cut: Cut) -> Vec<Message> {
        let (end, _) = std::io::pipe().expect("a pipe");
        let mut input = Input::from(end.into(), cut, 3);
        reads.iter().for_each(|bytes| input.take(bytes));
        if !input.part.is_empty() {
            input.end_message();
        }
        input.messages.into()
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_reads_split_them(
            text in "[ab\n]{0,40}",
            cuts in vec(0_usize..40, 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let lines = text.strip_suffix('\n').unwrap_or(&text);
            let expected: Vec<Message> = match text.is_empty() {
                true => Vec::new(),
                false => lines.split('\n').map(|line| match line.len() {
                    0..=3 => Message::Whole(line.into()),
                    _ => Message::TooLong,
                }).collect(),
            };
            prop_assert_eq!(taken(&reads, Cut::Lines), expected);
        }
    }

    #[test]
    fn a_raw_message_that_is_too_long_ends_the_input() {
        assert_eq!(taken(&[b"a\nb"], Cut::Nowhere), [Message::Whole(b"a\nb".into())]);
        assert_eq!(taken(&[b"a\nb", b"c"], Cut::Nowhere), [Message::TooLong]);
    }
}
