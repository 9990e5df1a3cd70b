//! A session of a client that is in this process, as its temper has it.

use std::collections::VecDeque;
use std::time::Duration;

use handshake_core::client::session::{Answer, Connection};
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::service::{BuiltIn, Service};
use handshake_core::wire::{Header, Kind as Record, Part, append};
use load::many::payload;
use load::many::watch::{Cause, Room, cannot_watch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollFlags;
use nix::unistd::write;

use super::crowd::Shared;
use super::dice::Dice;
use super::plan::{Temper, Visit};
use super::score::PATIENCE;

/// What the server is told to do: turned round, a reply shows every byte that was lost, doubled or moved.
pub(super) const SERVICE: BuiltIn = BuiltIn::Reverse;

/// A session under way.
pub(super) struct Talk {
    connection: Connection,
    number: usize,
    temper: Temper,
    service: Box<dyn Service>,
    /// What is still to be asked, and what is to be answered.
    to_ask: VecDeque<usize>,
    due: VecDeque<usize>,
    window: usize,
    pause: Duration,
    answered: usize,
    room: Room,
    /// Whether answers are watched for.
    reads: bool,
    /// Thinks until then; not now, if it is none.
    thinks: Option<Deadline>,
    /// Its temper's own moment: it begins to read, or leaves.
    turning: Deadline,
    patience: Deadline,
    garbage: Dice,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoesOn,
    /// All is answered: BYE.
    Served,
    /// It goes as its temper has it: without a word.
    Goes,
}

impl Talk {
    pub(super) fn new(connection: Connection, number: usize, visit: &Visit) -> Self {
        let turning = match visit.temper {
            Temper::SilentInSession | Temper::ReadingLate | Temper::NeverReading => {
                Deadline::in_exactly(visit.span)
            }
            // Some of these stay longer than the server's patience lasts.
            Temper::GarbageInSession => Deadline::in_exactly(visit.span * 3),
            _ => Deadline::NEVER,
        };
        let silent = visit.temper == Temper::SilentInSession;
        Self {
            connection,
            number,
            temper: visit.temper,
            service: SERVICE.for_session(),
            to_ask: if silent { VecDeque::new() } else { visit.sizes.iter().copied().collect() },
            due: VecDeque::new(),
            window: visit.window,
            pause: visit.pause,
            answered: 0,
            room: Room::Unknown,
            reads: false,
            thinks: None,
            turning,
            patience: Deadline::after(PATIENCE),
            garbage: Dice::new(visit.seed, 1),
        }
    }

    pub(super) fn until(&self) -> Deadline {
        self.thinks.unwrap_or(Deadline::NEVER).or(self.turning).or(self.patience)
    }

    /// Whether the server has closed the private pipe, however much stands in it unread.
    pub(super) fn is_evicted(&self) -> bool {
        let mut look = [PollFd::new(self.connection.from_server(), PollFlags::empty())];
        poll(&mut look, PollTimeout::ZERO) == Ok(1)
            && look[0].revents().is_some_and(|shown| shown.contains(PollFlags::POLLHUP))
    }

    /// Whether it did not read from the beginning.
    pub(super) fn began_late(&self) -> bool {
        matches!(self.temper, Temper::ReadingLate | Temper::NeverReading)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Watches for answers, if its temper reads them, and sends the first requests.
    ///
    /// # Errors
    /// As [`Talk::go_on`].
    pub(super) fn begin(&mut self, shared: &mut Shared) -> Result<Next> {
        if !self.began_late() {
            self.watch(shared)?;
        }
        self.send(shared)?;
        Ok(if self.temper == Temper::DyingMidRequest { Next::Goes } else { self.next() })
    }

    fn watch(&mut self, shared: &Shared) -> Result<()> {
        let token = Cause::Shown.token(self.number);
        let from_server = self.connection.from_server();
        shared.poller.add(from_server, token, EpollFlags::EPOLLIN).map_err(cannot_watch)?;
        self.reads = true;
        Ok(())
    }

    /// Goes as far as it can without waiting.
    ///
    /// # Errors
    /// [`Error::Lost`]: the connection is over, or the patience is. [`Error::Protocol`]: an answer that nobody was owed.
    pub(super) fn go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<Next> {
        if cause == Cause::Room {
            self.room = Room::Quiet;
        }
        if self.turning.passed() {
            self.turning = Deadline::NEVER;
            match self.temper {
                Temper::ReadingLate => self.watch(shared)?,
                Temper::SilentInSession => return Ok(Next::Served),
                _ => return Ok(Next::Goes),
            }
        }
        if self.reads && cause != Cause::Room {
            if self.temper == Temper::DyingMidReply && cause == Cause::Shown {
                self.connection.read()?;
                return Ok(Next::Goes);
            }
            self.receive(shared)?;
        }
        if self.patience.passed() {
            let what = format!("no reply came within {PATIENCE:?}");
            return Err(Error::Lost { what, unanswered: self.due.len() });
        }
        self.send(shared)?;
        Ok(self.next())
    }

    fn next(&self) -> Next {
        let silent = self.temper == Temper::SilentInSession;
        let done = self.to_ask.is_empty() && self.due.is_empty() && self.connection.is_flushed();
        if done && !silent { Next::Served } else { Next::GoesOn }
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
            self.patience = Deadline::after(PATIENCE);
            if self.due.is_empty() {
                self.thinks = Some(Deadline::in_exactly(self.pause));
            }
        }
    }

    /// Makes the request again, turns it round, and compares.
    fn check(&mut self, refused: bool, shared: &mut Shared) -> Result<()> {
        let size = self.due.pop_front().expect("an answer that is not due is an error of the connection's");
        let Shared { message, reply, .. } = shared;
        let request = self.answered + 1;
        if refused {
            let reason = String::from_utf8_lossy(reply);
            return Err(Error::Protocol { what: format!("request {request} was refused: {reason}") });
        }
        payload::fill(message, size, self.number, self.answered);
        self.service.process(message);
        if message == reply {
            return Ok(());
        }
        let same = message.iter().zip(&*reply).take_while(|(due, came)| due == came).count();
        let what = format!(
            "reply {request} has {} bytes where {size} were due, and from byte {same} on they differ",
            reply.len()
        );
        Err(Error::Protocol { what })
    }

    /// Fills the window, and writes what the pipe takes.
    fn send(&mut self, shared: &mut Shared) -> Result<()> {
        self.thinks = self.thinks.filter(|thinks| !thinks.passed());
        self.connection.flush()?;
        while self.connection.is_flushed() && self.may_ask() {
            while let Some(size) = self.to_ask.front().copied().filter(|_| self.may_ask()) {
                let request = self.answered + self.due.len();
                payload::fill(&mut shared.message, size, self.number, request);
                self.connection.send(&shared.message)?;
                self.to_ask.pop_front();
                self.due.push_back(size);
                if self.temper == Temper::GarbageInSession {
                    // Each write by itself, so that garbage can come between.
                    self.connection.flush()?;
                    self.write_garbage();
                }
            }
            self.connection.flush()?;
        }
        if self.connection.is_flushed() {
            return Ok(());
        }
        self.room.order(self.connection.to_server(), self.number, &shared.poller)
    }

    fn may_ask(&self) -> bool {
        let Some(size) = self.to_ask.front() else { return false };
        self.thinks.is_none() && self.due.len() < self.window && self.connection.may_send(*size)
    }

    /// Only between records: behind one that is not all written it would be the same as a request that breaks off.
    fn write_garbage(&mut self) {
        if self.connection.is_flushed() {
            // A full pipe takes none, and a closed one neither.
            let _ = write(self.connection.to_server(), &garbage(&mut self.garbage));
        }
    }

    /// Says BYE.
    pub(super) fn leave(self) {
        self.connection.bye();
    }
}

/// At most PIPE_BUF of what no good client writes: noise, or a record that was right before it was cut off or a bit of it
/// changed, or one of somebody else's session.
pub(super) fn garbage(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => {
            let size = dice.size(4000);
            dice.bytes(size)
        }
        1 => sound_record(dice),
        2 => cut_record(dice),
        _ => {
            let mut record = sound_record(dice);
            let place = dice.below(record.len() as u64) as usize;
            record[place] ^= 1 << dice.below(8);
            record
        }
    }
}

/// The beginning of a record, of any length.
pub(super) fn cut_record(dice: &mut Dice) -> Vec<u8> {
    let mut record = sound_record(dice);
    record.truncate(dice.within(1..=record.len() as u64 - 1) as usize);
    record
}

/// A record of a session that nobody has.
fn sound_record(dice: &mut Dice) -> Vec<u8> {
    let kind = [Record::Hello, Record::Ready, Record::Request, Record::Bye][dice.below(4) as usize];
    let part = Part { number: 0, more: dice.chance(50) };
    let header = Header { kind, part, session: dice.below(u64::MAX), sequence: 1 };
    let size = dice.size(400);
    let mut record = Vec::new();
    append(&mut record, header, &dice.bytes(size));
    record
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// When the client whose subserver was killed at `killed` knew it: now.
pub(super) fn since(killed: Duration) -> Duration {
    now().saturating_sub(killed)
}
