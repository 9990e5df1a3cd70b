//! The session of a client in this process, as its behaviour requires.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use handshake_core::client::session::{Answer, ClientSession as Connection};
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::service::BuiltIn;
use handshake_core::wire::{Header, Kind as FrameKind, Part, append};
use load::many::payload;
use load::many::watch::{Cause, Room, cannot_watch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollFlags;
use nix::unistd::write;

use super::dice::Dice;
use super::plan::{Behaviour, Visit};
use super::score::REPLY_TIMEOUT;
use super::shared::Shared;

/// The server's service: in a reversed reply, every lost, doubled or moved byte shows.
pub(super) const SERVICE: BuiltIn = BuiltIn::Reverse;

/// A session in progress.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    number: usize,
    behaviour: Behaviour,
    /// Requests still to send, and requests without a reply.
    to_ask: VecDeque<usize>,
    due: VecDeque<usize>,
    window: usize,
    pause: Duration,
    answered: usize,
    room: Room,
    /// Whether the poller watches for answers.
    reads: bool,
    /// Pauses until then; `None` while it does not pause.
    pause_until: Option<Deadline>,
    /// When it begins to read, or leaves, as its behaviour requires.
    turn_at: Deadline,
    reply_deadline: Deadline,
    garbage: Dice,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Continues,
    /// All requests are answered: say BYE.
    Served,
    /// The client leaves without a BYE, as its behaviour requires.
    Leaves,
}

impl Session {
    pub(super) fn new(connection: Connection, number: usize, visit: &Visit) -> Self {
        let turn_at = match visit.behaviour {
            Behaviour::SilentInSession | Behaviour::ReadingLate | Behaviour::NeverReading => {
                Deadline::in_exactly(visit.span)
            }
            // Some of these clients stay longer than the server's idle timeout.
            Behaviour::GarbageInSession => Deadline::in_exactly(visit.span * 3),
            _ => Deadline::NEVER,
        };
        let silent = visit.behaviour == Behaviour::SilentInSession;
        Self {
            connection,
            number,
            behaviour: visit.behaviour,
            to_ask: if silent { VecDeque::new() } else { visit.sizes.iter().copied().collect() },
            due: VecDeque::new(),
            window: visit.window,
            pause: visit.pause,
            answered: 0,
            room: Room::Unknown,
            reads: false,
            pause_until: None,
            turn_at,
            reply_deadline: Deadline::after(REPLY_TIMEOUT),
            garbage: Dice::new(visit.seed, 1),
        }
    }

    pub(super) fn until(&self) -> Deadline {
        self.pause_until.unwrap_or(Deadline::NEVER).or(self.turn_at).or(self.reply_deadline)
    }

    /// Whether the server has closed the private pipe, even if unread bytes are left in it.
    pub(super) fn is_evicted(&self) -> bool {
        shows(self.connection.from_server(), PollFlags::POLLHUP)
    }

    /// Whether it does not read from the beginning.
    pub(super) fn starts_late(&self) -> bool {
        matches!(self.behaviour, Behaviour::ReadingLate | Behaviour::NeverReading)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Watches for answers, unless its behaviour reads late or never, and sends the first requests.
    ///
    /// # Errors
    /// As [`Session::advance`].
    pub(super) fn begin(&mut self, shared: &mut Shared) -> Result<Next> {
        if !self.starts_late() {
            self.watch(shared)?;
        }
        self.send(shared)?;
        Ok(if self.behaviour == Behaviour::DyingMidRequest { Next::Leaves } else { self.next() })
    }

    fn watch(&mut self, shared: &Shared) -> Result<()> {
        let token = Cause::Readable.token(self.number);
        let from_server = self.connection.from_server();
        shared.poller.add(from_server, token, EpollFlags::EPOLLIN).map_err(cannot_watch)?;
        self.reads = true;
        Ok(())
    }

    /// Goes on as far as possible without blocking.
    ///
    /// # Errors
    /// [`Error::Lost`]: the connection is closed, or a reply did not come in time. [`Error::Protocol`]: a
    /// wrong reply.
    pub(super) fn advance(&mut self, cause: Cause, shared: &mut Shared) -> Result<Next> {
        if cause == Cause::Room {
            self.room = Room::Quiet;
        }
        if self.turn_at.passed() {
            self.turn_at = Deadline::NEVER;
            match self.behaviour {
                Behaviour::ReadingLate => self.watch(shared)?,
                Behaviour::SilentInSession => return Ok(Next::Served),
                _ => return Ok(Next::Leaves),
            }
        }
        if self.reads && cause != Cause::Room {
            if self.behaviour == Behaviour::DyingMidReply && cause == Cause::Readable {
                self.connection.read()?;
                return Ok(Next::Leaves);
            }
            self.receive(shared)?;
        }
        if self.reply_deadline.passed() {
            let what = format!("no reply came within {REPLY_TIMEOUT:?}");
            return Err(Error::lost_with(what, self.due.len()));
        }
        self.send(shared)?;
        Ok(self.next())
    }

    fn next(&self) -> Next {
        let silent = self.behaviour == Behaviour::SilentInSession;
        let done = self.to_ask.is_empty() && self.due.is_empty() && self.connection.is_flushed();
        if done && !silent { Next::Served } else { Next::Continues }
    }

    fn receive(&mut self, shared: &mut Shared) -> Result<()> {
        self.connection.read()?;
        loop {
            let refused = match self.connection.answer(&mut shared.reply)? {
                Answer::Reply(_) => false,
                Answer::Refused(_) => true,
                Answer::Nothing => return Ok(()),
            };
            self.check(refused, shared)?;
            self.answered += 1;
            shared.score.replies += 1;
            self.reply_deadline = Deadline::after(REPLY_TIMEOUT);
            if self.due.is_empty() {
                self.pause_until = Some(Deadline::in_exactly(self.pause));
            }
        }
    }

    /// Rebuilds the request, reverses it, and compares.
    fn check(&mut self, refused: bool, shared: &mut Shared) -> Result<()> {
        let size = self.due.pop_front().expect("an answer that is not due is an error of the connection's");
        let Shared { message, reply, .. } = shared;
        let request = self.answered + 1;
        if refused {
            let reason = String::from_utf8_lossy(reply);
            return Err(Error::Protocol { what: format!("request {request} was refused: {reason}") });
        }
        payload::fill(message, size, self.number, self.answered);
        SERVICE.reply_to(0, message);
        if message == reply {
            return Ok(());
        }
        let same = message.iter().zip(&*reply).take_while(|(due, came)| due == came).count();
        let what = format!(
            "reply {request} has {} bytes instead of {size}, and differs from byte {same} on",
            reply.len()
        );
        Err(Error::Protocol { what })
    }

    /// Fills the window, and writes as much as the pipe takes.
    fn send(&mut self, shared: &mut Shared) -> Result<()> {
        self.pause_until = self.pause_until.filter(|pause_until| !pause_until.passed());
        self.connection.flush()?;
        while self.connection.is_flushed() && self.may_send_next() {
            while let Some(size) = self.to_ask.front().copied().filter(|_| self.may_send_next()) {
                let request = self.answered + self.due.len();
                payload::fill(&mut shared.message, size, self.number, request);
                self.connection.send(&shared.message)?;
                self.to_ask.pop_front();
                self.due.push_back(size);
                if self.behaviour == Behaviour::GarbageInSession {
                    // Flush after each request, so that garbage can come between two requests.
                    self.connection.flush()?;
                    self.write_garbage();
                }
            }
            self.connection.flush()?;
        }
        if self.connection.is_flushed() {
            return Ok(());
        }
        self.room.watch_once(self.connection.to_server(), self.number, &shared.poller)
    }

    fn may_send_next(&self) -> bool {
        let Some(size) = self.to_ask.front() else { return false };
        self.pause_until.is_none() && self.due.len() < self.window && self.connection.may_send(*size)
    }

    /// Writes garbage, but only between frames: behind a partly written frame it would look like a broken
    /// request.
    fn write_garbage(&mut self) {
        if self.connection.is_flushed() {
            // A full or closed pipe takes no garbage.
            let _ = write(self.connection.to_server(), &garbage(&mut self.garbage));
        }
    }

    /// Sends BYE.
    pub(super) fn leave(self) {
        self.connection.bye();
    }
}

/// At most PIPE_BUF of garbage: noise, a frame that was cut off or has a flipped bit, or a frame of another
/// session.
pub(super) fn garbage(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => {
            let size = dice.size(4000);
            dice.bytes(size)
        }
        1 => valid_frame(dice),
        2 => cut_frame(dice),
        _ => {
            let mut frame = valid_frame(dice);
            let place = dice.below(frame.len() as u64) as usize;
            frame[place] ^= 1 << dice.below(8);
            frame
        }
    }
}

/// The beginning of a frame, of any length.
pub(super) fn cut_frame(dice: &mut Dice) -> Vec<u8> {
    let mut frame = valid_frame(dice);
    frame.truncate(dice.within(1..=frame.len() as u64 - 1) as usize);
    frame
}

/// A valid frame of a session that does not exist.
fn valid_frame(dice: &mut Dice) -> Vec<u8> {
    let kind =
        [FrameKind::Hello, FrameKind::Ready, FrameKind::Request, FrameKind::Bye][dice.below(4) as usize];
    let part = Part { number: 0, more: dice.chance(50) };
    let header = Header { kind, part, session: dice.below(u64::MAX), sequence: 1 };
    let size = dice.size(400);
    let mut frame = Vec::new();
    append(&mut frame, header, &dice.bytes(size));
    frame
}

/// Whether poll(2) reports this of a pipe now.
pub(super) fn shows(pipe: BorrowedFd<'_>, flag: PollFlags) -> bool {
    let mut look = [PollFd::new(pipe, flag)];
    poll(&mut look, PollTimeout::ZERO) == Ok(1) && look[0].revents().is_some_and(|shown| shown.contains(flag))
}

/// How long ago the subserver was killed: the client notices now.
pub(super) fn since(killed: Duration) -> Duration {
    now().saturating_sub(killed)
}
