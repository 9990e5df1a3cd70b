//! A connection in the course dialect: one text is sent, one text is received, and then the next.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::libc::PIPE_BUF;

use crate::client::session::Answer;
use crate::course::{RECORD_MAX, text_of, without_newline};
use crate::error::{Error, Length, Limit, Named, Result};
use crate::event::{Event, What, excerpt};
use crate::io::{Filled, read_once, write_record};
use crate::process::Process;
use crate::sys::{capacity, unread};

/// A client's connection to a server of the course. Dropping it closes both pipes; the dialect has no BYE.
///
/// It has the methods of the [`ClientSession`](crate::client::session::ClientSession).
pub struct CourseSession {
    process: Rc<Process>,
    from_server: OwnedFd,
    /// The well-known pipe, which has lost its name.
    to_server: OwnedFd,
    /// The request that is not in the pipe yet, with its NUL. Empty if there is none.
    outgoing: Vec<u8>,
    /// A buffer of a pipe's usual capacity: one read takes all of one write.
    incoming: Box<[u8]>,
    /// The size of a record in `incoming` that has not been processed yet.
    unprocessed: usize,
    /// Requests so far.
    requests: u32,
    /// The longest message that this client sends or takes.
    own_longest: usize,
    /// Whether messages and replies end in a newline, which this interface leaves out.
    newline: bool,
    /// Whether the last request is not answered yet.
    is_unanswered: bool,
}

impl CourseSession {
    pub(super) fn new(
        process: &Rc<Process>,
        from_server: OwnedFd,
        to_server: OwnedFd,
        incoming: Box<[u8]>,
        newline: bool,
    ) -> Self {
        Self {
            process: Rc::clone(process),
            from_server,
            to_server,
            outgoing: Vec::new(),
            incoming,
            unprocessed: 0,
            requests: 0,
            own_longest: RECORD_MAX,
            newline,
            is_unanswered: false,
        }
    }

    /// Returns how many requests are not answered yet: at most 1.
    pub fn unanswered(&self) -> usize {
        usize::from(self.is_unanswered)
    }

    /// Returns whether the request is in the pipe.
    pub fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Returns whether the server has read everything that was sent.
    pub fn is_read(&self) -> bool {
        self.is_flushed() && unread(&self.to_server).unwrap_or(0) == 0
    }

    /// Returns whether a message may be sent now. Only one is sent at a time, since the server would read two
    /// in the pipe as one.
    pub fn may_send(&self, _bytes: usize) -> bool {
        !self.is_unanswered
    }

    /// Sets the longest message of this client.
    pub fn limit_messages(&mut self, bytes: usize) {
        self.own_longest = bytes;
    }

    /// Returns the longest message that can be sent, in bytes: one write takes it and a NUL.
    pub fn longest(&self) -> usize {
        self.one_write().min(self.own_longest)
    }

    /// Returns the error for a message of this length, which is too long.
    pub fn too_long(&self, length: Length) -> Error {
        let longest = self.one_write();
        if self.own_longest < longest {
            return Error::TooLong { length, longest: self.own_longest as u64, limit: Limit::Client };
        }
        let because = format!("EMSGSIZE (it must be one write, which takes {longest} and a NUL)");
        Error::Unfit { length, because }
    }

    fn one_write(&self) -> usize {
        capacity(&self.to_server).unwrap_or(PIPE_BUF).min(RECORD_MAX) - 1 - usize::from(self.newline)
    }

    fn check(&self, message: &[u8]) -> Result<()> {
        let length = Length::Bytes(message.len());
        if message.contains(&0) {
            let because = "EINVAL (it contains a NUL, where a text of the course ends)".into();
            return Err(Error::Unfit { length, because });
        }
        if message.len() > self.longest() { Err(self.too_long(length)) } else { Ok(()) }
    }

    /// Sends a request: the text and a NUL. Returns its number.
    ///
    /// # Errors
    /// [`Error::Unfit`], [`Error::TooLong`]: nothing was sent, and the session goes on. Otherwise those of
    /// [`Self::flush`].
    pub fn send(&mut self, message: &[u8]) -> Result<u32> {
        self.check(message)?;
        self.outgoing.extend_from_slice(message);
        self.outgoing.extend_from_slice(if self.newline { b"\n\0" } else { b"\0" });
        self.requests = self.requests.wrapping_add(1);
        self.is_unanswered = true;
        self.flush()?;
        Ok(self.requests)
    }

    /// Writes the request, if there is room.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server has closed the pipe, or has not read earlier bytes that must not be mixed
    /// with a longer message.
    pub fn flush(&mut self) -> Result<()> {
        let Some((_nul, message)) = self.outgoing.split_last() else { return Ok(()) };
        let event = |event: Event| event.message(self.requests, message);
        let write = || write_record(&self.to_server, &self.outgoing);
        let what = match self.process.log_around(What::RequestSent, event, write) {
            Ok(()) => {
                self.outgoing.clear();
                return Ok(());
            }
            Err(Errno::EAGAIN) if self.outgoing.len() <= PIPE_BUF => return Ok(()),
            Err(Errno::EAGAIN) => {
                let bytes = message.len();
                format!("the server has not read what came before, so {bytes} bytes would reach it in parts")
            }
            Err(errno @ Errno::EPIPE) => format!("the server has closed the pipe from us: {}", Named(errno)),
            Err(errno) => format!("the pipe to the server: {}", Named(errno)),
        };
        Err(Error::lost(what))
    }

    /// Reads the private pipe once: one record. Call it when that pipe is ready, and then
    /// [`Self::answer`] until it finds nothing more.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server has gone.
    pub fn read(&mut self) -> Result<()> {
        match read_once(&self.from_server, &mut self.incoming) {
            Ok(Filled::Bytes(count)) => self.unprocessed = count,
            Ok(Filled::Nothing) => {}
            Ok(Filled::End) => {
                return Err(self.lost("the server has closed its pipe: it was ended or has died"));
            }
            Err(errno) => return Err(self.lost(format!("the pipe from the server: {}", Named(errno)))),
        }
        Ok(())
    }

    /// Copies the answer that was read into `reply`. Discards a record that the server sent unasked.
    ///
    /// # Errors
    /// [`Error::AnswerTooLong`]: it is longer than this client takes.
    pub fn answer(&mut self, reply: &mut Vec<u8>) -> Result<Answer> {
        let bytes = std::mem::take(&mut self.unprocessed);
        if bytes == 0 {
            return Ok(Answer::Nothing);
        }
        let text = text_of(&self.incoming[..bytes]);
        let text = if self.newline { without_newline(text) } else { text };
        if !(self.is_unanswered && self.is_flushed()) {
            self.process.log(What::Skipped, |event| event.bytes(bytes).text(excerpt(text)));
            return Ok(Answer::Nothing);
        }
        if text.len() > self.own_longest {
            let longest = self.own_longest as u64;
            return Err(Error::AnswerTooLong { request: None, longest, limit: Limit::Client });
        }
        self.is_unanswered = false;
        self.process.log(What::ReplyReceived, |event| event.message(self.requests, text));
        reply.clear();
        reply.extend_from_slice(text);
        Ok(Answer::Reply(self.requests))
    }

    /// Closes both pipes. The dialect has no BYE.
    pub fn bye(self) {}

    fn lost(&self, what: impl Into<String>) -> Error {
        Error::lost_with(what, self.unanswered())
    }

    /// Returns the private pipe, to be polled for reading.
    pub fn from_server(&self) -> BorrowedFd<'_> {
        self.from_server.as_fd()
    }

    /// Returns the upstream, to be polled for writing while [`Self::is_flushed`] is false.
    pub fn to_server(&self) -> BorrowedFd<'_> {
        self.to_server.as_fd()
    }
}
