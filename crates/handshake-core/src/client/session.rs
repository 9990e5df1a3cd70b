//! The client's side of a session, without any waiting: it sends requests and receives replies, in order.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;

use crate::deadline::monotonic_ns;
use crate::error::{Error, Length, Limit, Named, Result};
use crate::event::{Event, What};
use crate::io::Filled;
use crate::process::Process;
use crate::strays::note_skipped;
use crate::stream::{FrameReader, FrameWriter, reserve_within};
use crate::sys::unread;
use crate::text::words;
use crate::wire::{Ack, Header, Kind, OVERHEAD, PAYLOAD_MAX, Part, frames_of, pieces};

/// A client's connection to its server. Dropping it closes both pipes, which the server notices at once.
pub struct ClientSession {
    process: Rc<Process>,
    session: u64,
    window: u16,
    /// The longest message that the server takes.
    longest: usize,
    /// The longest message that this client sends or takes, whatever the server grants.
    own_longest: usize,
    from_server: FrameReader,
    to_server: FrameWriter,
    /// Events for the requests that are queued, to be logged when they are written.
    queued: Vec<Event>,
    /// The requests sent and not answered yet: number and frames.
    unanswered: VecDeque<(u32, usize)>,
    /// The number of their frames together.
    in_flight: usize,
    next: u32,
    /// The reply that is being received.
    incoming: Vec<u8>,
    /// The number of the next part of that reply.
    part_due: u16,
}

/// The longest message that a client sends or takes by default: the default of the servers. A server that
/// grants more does not increase the client's limit.
pub const LONGEST: usize = 16 << 20;

/// How many frames of a long message are written at once: half of a pipe's usual capacity (pipe(7)). The
/// server then begins early, and is not woken for each frame.
const FRAMES_A_WRITE: usize = 8;

/// What [`Connection::advance`](crate::Connection::advance) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A complete reply to the request of this number.
    Reply(u32),
    /// The server refused the request of this number; the bytes are the reason.
    Refused(u32),
    /// No complete answer yet.
    Nothing,
}

impl ClientSession {
    pub(crate) fn new(
        process: &Rc<Process>,
        ack: &Ack,
        mut from_server: FrameReader,
        to_server: FrameWriter,
    ) -> Self {
        from_server.trust_writer();
        Self {
            process: Rc::clone(process),
            session: ack.session,
            window: ack.window,
            longest: usize::try_from(ack.longest).unwrap_or(usize::MAX),
            own_longest: LONGEST,
            from_server,
            to_server,
            queued: Vec::new(),
            unanswered: VecDeque::new(),
            in_flight: 0,
            next: 1,
            incoming: Vec::new(),
            part_due: 0,
        }
    }

    /// Returns how many requests are not answered yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Returns whether all frames have been written to the pipe.
    pub fn is_flushed(&self) -> bool {
        self.to_server.is_empty()
    }

    /// Returns whether the server has read everything that was sent. In a pipe that other clients write to
    /// (the shared WKP), their bytes count as well.
    pub fn is_read(&self) -> bool {
        self.is_flushed() && unread(self.to_server()).unwrap_or(0) == 0
    }

    /// Returns whether a message of `bytes` bytes may be sent now: the server's window allows it, and the
    /// write buffer is not full.
    pub fn may_send(&self, bytes: usize) -> bool {
        let window = usize::from(self.window);
        self.to_server.has_room()
            && (window == 0 || self.unanswered.is_empty() || self.in_flight + frames_of(bytes) <= window)
    }

    /// Sets the longest message of this client, instead of [`LONGEST`].
    pub fn limit_messages(&mut self, bytes: usize) {
        self.own_longest = bytes;
    }

    /// Returns the longest message that can be sent, in bytes.
    pub fn longest(&self) -> usize {
        self.limit().0
    }

    /// Returns the error for a message of this length, which is too long.
    pub fn too_long(&self, length: Length) -> Error {
        let (longest, limit) = self.limit();
        Error::TooLong { length, longest: longest as u64, limit }
    }

    /// Returns the longest message, and what limits it: the smallest of three limits.
    fn limit(&self) -> (usize, Limit) {
        let window = match self.window {
            0 => usize::MAX,
            frames => usize::from(frames) * PAYLOAD_MAX,
        };
        if window <= self.longest.min(self.own_longest) {
            (window, Limit::Window(self.window))
        } else if self.longest <= self.own_longest {
            (self.longest, Limit::Server)
        } else {
            (self.own_longest, Limit::Client)
        }
    }

    /// Queues a request and returns its number. [`Self::flush`] writes it. Parts of a long message are
    /// written at once.
    ///
    /// # Errors
    /// [`Error::TooLong`]: nothing was sent, and the session goes on. [`Error::Lost`]: the pipe to the server
    /// fails.
    pub fn send(&mut self, message: &[u8]) -> Result<u32> {
        if message.len() > self.longest() {
            return Err(self.too_long(Length::Bytes(message.len())));
        }
        let (sequence, session) = (self.next, self.session);
        let frames = frames_of(message.len());
        self.unanswered.push_back((sequence, frames));
        self.in_flight += frames;
        self.next = sequence.wrapping_add(1);
        let event = |event: Event| event.session(session).message(sequence, message);
        self.queued.extend(self.process.describe(What::RequestSent, event));
        self.to_server.reserve(message.len() + frames * OVERHEAD);
        for (frame, (payload, part)) in (1..).zip(pieces(message)) {
            self.to_server.push(Header { kind: Kind::Request, part, session, sequence }, payload);
            // The server reads the beginning while this client makes the rest.
            if frame % FRAMES_A_WRITE == 0 {
                self.flush()?;
            }
        }
        Ok(sequence)
    }

    /// Writes as much as the pipe takes now.
    ///
    /// # Errors
    /// Those of write(2), but not EPIPE: replies may still be waiting to be read, followed by EOF.
    pub fn flush(&mut self) -> Result<()> {
        let before = (!self.queued.is_empty()).then(monotonic_ns);
        match self.to_server.flush() {
            Ok(()) => {}
            Err(Errno::EPIPE) => self.to_server.clear(),
            Err(errno) => return Err(self.lost(format!("the pipe to the server: {}", Named(errno)))),
        }
        if let Some(before) = before {
            self.process.log_described(&mut self.queued, before);
        }
        Ok(())
    }

    /// Reads the private pipe once. Call it when that pipe is ready, and then [`Self::answer`] until it
    /// finds nothing more.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server has gone.
    pub fn read(&mut self) -> Result<()> {
        self.read_some().map(drop)
    }

    /// Reads as [`Self::read`] does. Returns whether bytes came.
    pub(crate) fn read_some(&mut self) -> Result<bool> {
        match self.from_server.fill() {
            Ok(Filled::Bytes(_)) => Ok(true),
            Ok(Filled::Nothing) => Ok(false),
            Ok(Filled::End) => Err(self.lost("the server has closed its pipe: it was ended or has died")),
            Err(errno) => Err(self.lost(format!("the pipe from the server: {}", Named(errno)))),
        }
    }

    /// Copies the next complete answer among the bytes read into `reply`.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server sent BYE. [`Error::Protocol`]: an answer that was not due.
    /// [`Error::AnswerTooLong`].
    pub fn answer(&mut self, reply: &mut Vec<u8>) -> Result<Answer> {
        let longest = self.longest.min(self.own_longest);
        while let Some((frame, _)) = self.from_server.next_frame() {
            let Header { kind, part, session, sequence } = frame.header;
            if session != self.session {
                continue;
            }
            match kind {
                Kind::Reply | Kind::Refuse => {}
                Kind::Bye => {
                    let reason = words(&frame.payload());
                    let colon = if reason.is_empty() { "" } else { ": " };
                    return Err(self.lost(format!("the server said BYE{colon}{reason}")));
                }
                _ => continue,
            }
            if self.unanswered.front().map(|due| due.0) != Some(sequence) {
                let what = format!("it answered request {sequence}, which was not due");
                return Err(Error::Protocol { what });
            }
            if kind == Kind::Reply && part.number != self.part_due {
                let what = format!(
                    "part {} of its answer to request {sequence} came where part {} was due: a frame was \
                     lost",
                    part.number, self.part_due
                );
                return Err(Error::Protocol { what });
            }
            if kind == Kind::Refuse {
                self.incoming.clear();
            } else if self.incoming.len() + frame.payload_len() > longest {
                // Without this bound, an endless answer would use unlimited memory.
                let limit = if self.own_longest < self.longest { Limit::Client } else { Limit::Server };
                let longest = longest as u64;
                return Err(Error::AnswerTooLong { request: Some(sequence), longest, limit });
            }
            reserve_within(&mut self.incoming, frame.payload_len(), longest);
            frame.append_payload_to(&mut self.incoming);
            // A refusal is one frame.
            let part = if kind == Kind::Reply { part } else { Part::ONLY };
            self.part_due = part.next();
            if part.more {
                continue;
            }
            self.unanswered.pop_front().inspect(|due| self.in_flight -= due.1);
            reply.clear();
            std::mem::swap(reply, &mut self.incoming);
            let (what, answer) = match kind {
                Kind::Refuse => (What::RequestRefused, Answer::Refused(sequence)),
                _ => (What::ReplyReceived, Answer::Reply(sequence)),
            };
            self.process.log(what, |event| event.session(self.session).message(sequence, reply));
            return Ok(answer);
        }
        note_skipped(&mut self.from_server, Some(self.session), &self.process);
        Ok(Answer::Nothing)
    }

    /// Sends BYE and closes both pipes. Unanswered requests are given up.
    pub fn bye(mut self) {
        self.to_server
            .push(Header { kind: Kind::Bye, part: Part::ONLY, session: self.session, sequence: 0 }, &[]);
        // Requests that were not flushed go with it.
        self.process.log_described(&mut self.queued, monotonic_ns());
        // The server may have gone first. It learns the end from the closed pipes as well.
        let event = |event: Event| event.session(self.session);
        let _ = self.process.log_around(What::ByeSent, event, || self.to_server.flush());
    }

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

impl std::fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("ClientSession");
        fields.field("session", &format_args!("{:016x}", self.session)).finish_non_exhaustive()
    }
}
