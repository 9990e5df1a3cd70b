//! How connections to a server are made, and what goes through them. Here is the handshake of this project;
//! the comparison has bare pipes and sockets.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use handshake_core::client::handshake::Handshake;
use handshake_core::client::session::{Answer, ClientSession};
use handshake_core::deadline::Deadline;
use handshake_core::error::Result;
use handshake_core::place::Place;
use handshake_core::process::Process;
use nix::poll::PollFlags;

/// Makes connections to one server.
pub trait Transport {
    /// A connection that is being made.
    type Opening: Opening;

    /// Begins a connection of this client, which may take as long as `timeout`.
    fn open(&self, client: usize, timeout: Duration) -> Self::Opening;

    /// Whether connections are watched. If not, there is one, and its calls wait by themselves.
    fn is_watched(&self) -> bool {
        true
    }
}

/// A connection that is being made.
pub trait Opening {
    /// The connection.
    type Stream: Stream;

    /// What to watch for the next step, and when to take that step at the latest.
    fn watch(&self) -> (Vec<(BorrowedFd<'_>, PollFlags)>, Deadline);

    /// Goes on as far as possible. Returns the connection when it is made.
    ///
    /// # Errors
    /// There will be no connection.
    fn advance(&mut self) -> Result<Option<Self::Stream>>;

    /// Judges the deadline of [`Opening::watch`].
    ///
    /// # Errors
    /// It has passed.
    fn judge_deadline(&self) -> Result<()> {
        Ok(())
    }

    /// How many frames were exchanged so far.
    fn frames(&self) -> u64 {
        0
    }
}

/// A connection. Answers come in the order of the requests.
pub trait Stream {
    /// Where answers come from.
    fn input(&self) -> BorrowedFd<'_>;

    /// Where requests go to; it is watched for room while [`Stream::is_flushed`] is false.
    fn output(&self) -> BorrowedFd<'_>;

    /// Whether a request of so many bytes may be sent now.
    fn may_send(&self, _bytes: usize) -> bool {
        true
    }

    /// Queues a request: in the connection, or in `out`, a buffer that all connections share. May swap the
    /// two vectors.
    ///
    /// # Errors
    /// The connection has failed.
    fn send(&mut self, message: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()>;

    /// Writes what is queued, as far as there is room.
    ///
    /// # Errors
    /// The connection has failed.
    fn flush(&mut self, out: &[u8]) -> Result<()>;

    /// Whether nothing is queued.
    fn is_flushed(&self) -> bool;

    /// Reads once, and hands over each complete answer: a reply, or the reason of a refusal. `room` is a
    /// buffer that all connections share.
    ///
    /// # Errors
    /// The connection has failed.
    fn receive(&mut self, room: &mut Vec<u8>, take: impl FnMut(Result<&[u8], &[u8]>)) -> Result<()>;

    /// Ends the connection.
    fn leave(self)
    where
        Self: Sized,
    {
    }
}

/// The handshake at a well-known pipe, and framed sessions.
pub(crate) struct Framed {
    pub(crate) process: Rc<Process>,
    pub(crate) place: Place,
}

impl Transport for Framed {
    type Opening = Handshake;

    fn open(&self, _client: usize, timeout: Duration) -> Handshake {
        Handshake::new(&self.process, &self.place, Deadline::after(timeout))
    }
}

impl Opening for Handshake {
    type Stream = ClientSession;

    fn watch(&self) -> (Vec<(BorrowedFd<'_>, PollFlags)>, Deadline) {
        self.watch()
    }

    fn advance(&mut self) -> Result<Option<ClientSession>> {
        Ok(self.advance()?.map(|mut connection| {
            connection.limit_messages(usize::MAX);
            *connection
        }))
    }

    fn judge_deadline(&self) -> Result<()> {
        self.judge_deadline()
    }

    fn frames(&self) -> u64 {
        self.frames()
    }
}

impl Stream for ClientSession {
    fn input(&self) -> BorrowedFd<'_> {
        self.from_server()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.to_server()
    }

    fn may_send(&self, bytes: usize) -> bool {
        self.may_send(bytes)
    }

    fn send(&mut self, message: &mut Vec<u8>, _out: &mut Vec<u8>) -> Result<()> {
        self.send(message).map(drop)
    }

    fn flush(&mut self, _out: &[u8]) -> Result<()> {
        self.flush()
    }

    fn is_flushed(&self) -> bool {
        self.is_flushed()
    }

    fn receive(&mut self, room: &mut Vec<u8>, mut take: impl FnMut(Result<&[u8], &[u8]>)) -> Result<()> {
        self.read()?;
        loop {
            match self.answer(room)? {
                Answer::Reply(_) => take(Ok(room)),
                Answer::Refused(_) => take(Err(room)),
                Answer::Nothing => return Ok(()),
            }
        }
    }

    fn leave(self) {
        self.bye();
    }
}
