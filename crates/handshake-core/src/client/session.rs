//! The client's side of a session, without any waiting: requests go out, replies come in, in order.

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

/// A client's connection to its server. Dropping it closes both pipes, which the server sees at once.
pub struct Connection {
    process: Rc<Process>,
    session: u64,
    window: u16,
    /// The longest message that the server takes.
    longest: u64,
    /// The longest message that this client sends or takes, whatever the server grants.
    own_longest: u64,
    from_server: FrameReader,
    to_server: FrameWriter,
    /// Requests that are queued, as the log will have them.
    queued: Vec<Event>,
    /// What is sent and not answered yet: number and frames.
    unanswered: VecDeque<(u32, usize)>,
    /// The frames of those together.
    in_flight: usize,
    next: u32,
    /// The reply that is coming in.
    incoming: Vec<u8>,
    /// The number of its part that comes next.
    part_due: u16,
}

/// The longest message that a client sends or takes, unless it is told otherwise: as long as the servers'
/// longest. A server that grants more does not make its client grow.
pub const LONGEST: u64 = 16 << 20;

/// How many frames of a long message are written at once: half of what a pipe usually holds (pipe(7)), so
/// that the server begins early, and is not woken for each.
const FRAMES_A_WRITE: usize = 8;

/// What [`Connection::answer`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A whole reply to the request of this number.
    Reply(u32),
    /// The request of this number was refused; the bytes are the reason.
    Refused(u32),
    /// Nothing whole yet.
    Nothing,
}

impl Connection {
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
            longest: ack.longest,
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

    /// How many requests are not answered yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether everything sent is in the pipe.
    pub fn is_flushed(&self) -> bool {
        self.to_server.is_empty()
    }

    /// Whether the server has read everything that was sent. Of a pipe that others write to as well (the
    /// shared WKP), their bytes count.
    pub fn is_read(&self) -> bool {
        self.is_flushed() && unread(self.to_server()).unwrap_or(0) == 0
    }

    /// Whether a message of so many bytes may be sent now: the server's window allows it, and not too much waits to be
    /// written.
    pub fn may_send(&self, bytes: usize) -> bool {
        let window = usize::from(self.window);
        self.to_server.has_room()
            && (window == 0 || self.unanswered.is_empty() || self.in_flight + frames_of(bytes) <= window)
    }

    /// Takes no message longer than this, instead of [`LONGEST`].
    pub fn limit_messages(&mut self, bytes: usize) {
        self.own_longest = bytes as u64;
    }

    /// The longest message that can be sent, in bytes.
    pub fn longest(&self) -> usize {
        usize::try_from(self.limit().0).unwrap_or(usize::MAX)
    }

    /// Why a message of this length cannot be sent.
    pub fn too_long(&self, length: Length) -> Error {
        let (longest, limit) = self.limit();
        Error::TooLong { length, longest, limit }
    }

    /// The longest message, and what limits it: the smallest of three limits.
    fn limit(&self) -> (u64, Limit) {
        let window = match self.window {
            0 => u64::MAX,
            frames => u64::from(frames) * PAYLOAD_MAX as u64,
        };
        if window <= self.longest.min(self.own_longest) {
            (window, Limit::Window(self.window))
        } else if self.longest <= self.own_longest {
            (self.longest, Limit::Server)
        } else {
            (self.own_longest, Limit::Client)
        }
    }

    /// Queues a request; returns its number. [`Connection::flush`] writes it; a long message is written in part at once.
    ///
    /// # Errors
    /// [`Error::TooLong`]: nothing was sent, and the session goes on. [`Error::Lost`]: the pipe to the server fails.
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
            // The server reads the beginning while the rest is made.
            if frame % FRAMES_A_WRITE == 0 {
                self.flush()?;
            }
        }
        Ok(sequence)
    }

    /// Writes what the pipe takes now.
    ///
    /// # Errors
    /// Those of write(2), but not EPIPE: replies may still be waiting to be read, and after them comes the end.
    pub fn flush(&mut self) -> Result<()> {
        let before = (!self.queued.is_empty()).then(monotonic_ns);
        match self.to_server.flush() {
            Ok(()) => {}
            Err(Errno::EPIPE) => self.to_server.clear(),
            Err(errno) => {
                return Err(self.lost(&format!("the pipe to the server: {}", Named(errno))));
            }
        }
        if let Some(before) = before {
            self.process.log_described(&mut self.queued, before);
        }
        Ok(())
    }

    /// Reads once what there is. Call it when the private pipe shows something, and then [`Connection::answer`]
    /// until it finds nothing more.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server has gone.
    pub fn read(&mut self) -> Result<()> {
        match self.from_server.fill() {
            Ok(Filled::Bytes(_) | Filled::Nothing) => Ok(()),
            Ok(Filled::End) => Err(self.lost("the server has closed its pipe: it was ended or has died")),
            Err(errno) => Err(self.lost(&format!("the pipe from the server: {}", Named(errno)))),
        }
    }

    /// The next whole answer among the bytes read, into `reply`.
    ///
    /// # Errors
    /// [`Error::Lost`]: the server said BYE. [`Error::Protocol`]: an answer that was not due, or longer than it may be.
    pub fn answer(&mut self, reply: &mut Vec<u8>) -> Result<Answer> {
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
                    return Err(self.lost(&format!("the server said BYE{colon}{reason}")));
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
            } else if (self.incoming.len() + frame.payload_len()) as u64 > self.longest.min(self.own_longest)
            {
                // Without this bound, an answer without end would be kept without end.
                let (longest, whose) = match self.own_longest {
                    own if own < self.longest => (own, "the limit of this client (--max-message)"),
                    _ => (self.longest, "its own limit"),
                };
                let what =
                    format!("its answer to request {sequence} is longer than {longest} bytes, {whose}");
                return Err(Error::Protocol { what });
            }
            let longest = usize::try_from(self.longest.min(self.own_longest)).unwrap_or(usize::MAX);
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
            let session = self.session;
            let (what, answer) = match kind {
                Kind::Refuse => (What::RequestRefused, Answer::Refused(sequence)),
                _ => (What::ReplyReceived, Answer::Reply(sequence)),
            };
            self.process.log(what, |event| event.session(session).message(sequence, reply));
            return Ok(answer);
        }
        note_skipped(&mut self.from_server, Some(self.session), &self.process);
        Ok(Answer::Nothing)
    }

    /// Says BYE and closes both pipes. Whatever is unanswered is given up.
    pub fn bye(mut self) {
        self.to_server
            .push(Header { kind: Kind::Bye, part: Part::ONLY, session: self.session, sequence: 0 }, &[]);
        let session = self.session;
        // The server may have gone first, and learns it from the closed pipes as well.
        let _ =
            self.process.log_around(What::ByeSent, |event| event.session(session), || self.to_server.flush());
    }

    fn lost(&self, what: &str) -> Error {
        Error::Lost { what: what.into(), unanswered: self.unanswered.len() }
    }

    /// The private pipe, to be watched for something to read.
    pub fn from_server(&self) -> BorrowedFd<'_> {
        self.from_server.as_fd()
    }

    /// The upstream, to be watched for room while [`Connection::is_flushed`] is false.
    pub fn to_server(&self) -> BorrowedFd<'_> {
        self.to_server.as_fd()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let session = format_args!("{:016x}", self.session).to_string();
        f.debug_struct("Connection").field("session", &session).finish_non_exhaustive()
    }
}
