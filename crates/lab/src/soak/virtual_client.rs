//! One virtual client from its arrival to its end, as a state machine, with any behaviour.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use handshake_cli::explain;
use handshake_core::client::handshake::Handshake;
use handshake_core::client::session::ClientSession as Connection;
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Fifo, open_to_write};
use load::many::watch::{Cause, judge, unwatch, watch};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::stat::fstat;
use nix::unistd::write;

use super::dice::Dice;
use super::naive::Naive;
use super::plan::{Behaviour, Visit};
use super::program::Program;
use super::score::{End, REPLY_TIMEOUT};
use super::session::{Next, Session, cut_frame, garbage, shows, since};
use super::shared::Shared;
use crate::server_under_test::ServerUnderTest;

/// The pause between two attempts to open a well-known pipe.
const AGAIN: Duration = Duration::from_millis(10);

/// The pause between two steps of a naive client.
const NAIVE_AGAIN: Duration = Duration::from_millis(2);

/// A virtual client.
#[derive(Debug)]
pub(super) struct VirtualClient {
    number: usize,
    pub(super) visit: Visit,
    came: Duration,
    /// When its handshake was complete.
    since: Duration,
    state: State,
    /// When its subserver was killed; if that was before READY, also the frames of its handshake until then.
    orphaned: Option<(Duration, Option<u64>)>,
}

/// Makes the next bytes of a client that breaks the protocol.
type Noise = fn(&mut Dice) -> Vec<u8>;

/// Device and inode.
type Pipe = (u64, u64);

#[derive(Debug)]
enum State {
    /// It has not arrived yet.
    Away,
    /// It sends no HELLO until `until`; it holds the well-known pipe, once it has found one.
    AtWkp {
        wkp: Option<OwnedFd>,
        until: Deadline,
        again: Deadline,
        noise: Dice,
    },
    /// A client of the course dialect, until `until`.
    Naive {
        naive: Naive,
        until: Deadline,
        again: Deadline,
    },
    InHandshake(Handshake),
    /// It is silent after its HELLO.
    SilentAfterHello {
        _handshake: Handshake,
        until: Deadline,
    },
    InSession(Session),
    /// It is a process of its own.
    Running(Program),
    Over,
}

impl VirtualClient {
    pub(super) fn new(number: usize, visit: Visit) -> Self {
        Self {
            number,
            visit,
            came: Duration::ZERO,
            since: Duration::ZERO,
            state: State::Away,
            orphaned: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.state, State::Away)
    }

    /// When to advance even without an event.
    pub(super) fn until(&self) -> Deadline {
        match &self.state {
            State::Away | State::Over => Deadline::NEVER,
            State::AtWkp { until, again, .. } | State::Naive { until, again, .. } => until.or(*again),
            State::InHandshake(handshake) => handshake.watch().1,
            State::SilentAfterHello { until, .. } => *until,
            State::InSession(session) => session.until(),
            State::Running(program) => program.until(),
        }
    }

    /// Lets the client arrive.
    ///
    /// # Errors
    /// [`Error::Signal`]. Other errors end this client only.
    pub(super) fn arrive(&mut self, server: &ServerUnderTest, shared: &mut Shared) -> Result<()> {
        self.came = now();
        shared.score.arrives(self.visit.behaviour);
        let begun = self.begin(server, shared);
        self.end_on_error(begun, shared)
    }

    fn begin(&mut self, server: &ServerUnderTest, shared: &mut Shared) -> Result<()> {
        match self.visit.behaviour {
            behaviour if behaviour.is_process() => {
                self.state = State::Running(Program::start(server, self.number, &self.visit)?);
            }
            Behaviour::SilentAtWkp | Behaviour::GarbageAtWkp | Behaviour::CuttingRecords => {
                let until = Deadline::in_exactly(self.visit.span);
                let noise = Dice::new(self.visit.seed, 0);
                self.state = State::AtWkp { wkp: None, until, again: Deadline::NEVER, noise };
                self.wait_at_wkp(shared);
            }
            Behaviour::Naive => {
                let naive = Naive::new(shared.place.directory(), self.number, self.visit.sizes.len())?;
                let until = Deadline::in_exactly(self.visit.span);
                self.state = State::Naive { naive, until, again: Deadline::NEVER };
                self.advance_naive(shared);
            }
            Behaviour::DyingAfterMkfifo => {
                let path = shared.place.private()?;
                let made = Fifo::make(path.clone());
                drop(made.map_err(|errno| Error::at("make a private pipe", &path, errno, ""))?);
                self.end(End::AsPlanned, shared);
            }
            _ => {
                let deadline = Deadline::after(REPLY_TIMEOUT);
                self.state = State::InHandshake(Handshake::new(&shared.process, &shared.place, deadline));
                self.advance_handshake(shared)?;
            }
        }
        Ok(())
    }

    /// Goes on as far as possible without blocking. An outdated cause does no harm.
    ///
    /// # Errors
    /// As [`VirtualClient::arrive`].
    pub(super) fn advance(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        let advanced = self.try_advance(cause, shared);
        self.end_on_error(advanced, shared)
    }

    fn try_advance(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        match &mut self.state {
            State::Away | State::Over => {}
            State::AtWkp { .. } => self.wait_at_wkp(shared),
            State::Naive { .. } => self.advance_naive(shared),
            State::InHandshake(handshake) => {
                if cause == Cause::Timer {
                    judge(handshake, &shared.process)?;
                }
                self.advance_handshake(shared)?;
            }
            State::SilentAfterHello { until, .. } if until.passed() => self.end(End::AsPlanned, shared),
            State::SilentAfterHello { .. } => {}
            State::InSession(session) => {
                let next = session.advance(cause, shared)?;
                self.leave_if_finished(next, shared);
            }
            State::Running(program) => {
                if let Some(end) = program.advance(&self.visit) {
                    self.end(end, shared);
                }
            }
        }
        Ok(())
    }

    fn end_on_error(&mut self, result: Result<()>, shared: &mut Shared) -> Result<()> {
        match result {
            Err(Error::Signal(signal)) => Err(Error::Signal(signal)),
            Err(error) => {
                let end = self.end_for(&error, shared);
                self.end(end, shared);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What an error means for a client of this behaviour.
    fn end_for(&self, error: &Error, shared: &mut Shared) -> End {
        match (error, &self.state, self.orphaned) {
            (Error::Protocol { what }, ..) => End::Wrong(what.clone()),
            (Error::AnswerTooLong { .. }, ..) => End::Wrong(error.to_string()),
            // A client that does not read cannot know at once.
            (Error::Lost { .. }, State::InSession(session), Some((killed, _))) if !session.starts_late() => {
                End::Orphaned(since(killed))
            }
            (Error::Lost { .. }, ..) if !self.visit.behaviour.is_owed_all() => End::Dropped,
            (Error::Refused { .. }, ..) if !self.visit.behaviour.is_owed_all() => End::TurnedAway,
            _ => shared.score.loss(self.came, explain(error)),
        }
    }

    fn end(&mut self, end: End, shared: &mut Shared) {
        self.state = State::Over;
        shared.score.ended(self.number, self.visit.behaviour, end);
    }

    /// Opens the well-known pipe when there is one; then stays silent or writes noise until its time is over.
    fn wait_at_wkp(&mut self, shared: &mut Shared) {
        let (make_noise, longest_pause): (Option<Noise>, _) = match self.visit.behaviour {
            Behaviour::GarbageAtWkp => (Some(garbage), 100),
            Behaviour::CuttingRecords => (Some(cut_frame), 10),
            _ => (None, 0),
        };
        let State::AtWkp { wkp, until, again, noise } = &mut self.state else { return };
        if until.passed() {
            return self.end(End::AsPlanned, shared);
        }
        if wkp.is_none() {
            *wkp = open_to_write(shared.place.wkp()).ok();
        }
        *again = match (&wkp, make_noise) {
            (None, _) => Deadline::in_exactly(AGAIN),
            (Some(_), None) => Deadline::NEVER,
            (Some(open), Some(make_noise)) => {
                // If the pipe is full or has no reader, try the next one.
                if write(open, &make_noise(noise)) == Err(Errno::EPIPE) {
                    *wkp = None;
                }
                Deadline::in_exactly(noise.while_of(0..=longest_pause))
            }
        };
    }

    fn advance_naive(&mut self, shared: &mut Shared) {
        let State::Naive { naive, until, again } = &mut self.state else { return };
        if until.passed() || !naive.advance(shared.place.wkp()) {
            return self.end(End::AsPlanned, shared);
        }
        *again = Deadline::in_exactly(NAIVE_AGAIN);
    }

    /// Advances the handshake as far as possible, or as far as the behaviour allows.
    fn advance_handshake(&mut self, shared: &mut Shared) -> Result<()> {
        let State::InHandshake(handshake) = &mut self.state else { return Ok(()) };
        unwatch(handshake, &shared.poller)?;
        if self.visit.behaviour == Behaviour::DyingAfterAck && has_ack(handshake) {
            self.end(End::AsPlanned, shared);
            return Ok(());
        }
        if let Some(connection) = handshake.advance()? {
            let frames = handshake.frames();
            return self.connected(*connection, frames, shared);
        }
        let said_hello = handshake.frames() > 0;
        match self.visit.behaviour {
            Behaviour::DyingAfterHello if said_hello => self.end(End::AsPlanned, shared),
            Behaviour::SilentAfterHello if said_hello => {
                let State::InHandshake(handshake) = std::mem::replace(&mut self.state, State::Over) else {
                    return Ok(());
                };
                let until = Deadline::in_exactly(self.visit.span);
                self.state = State::SilentAfterHello { _handshake: handshake, until };
            }
            _ => watch(handshake, self.number, &shared.poller)?,
        }
        Ok(())
    }

    fn connected(&mut self, connection: Connection, frames: u64, shared: &mut Shared) -> Result<()> {
        // HELLO, ACK and READY; further frames were repeated HELLOs.
        shared.score.turned_away += frames.saturating_sub(3);
        // A client that exchanged more than ACK and READY since the kill has retried, and has another
        // subserver. (Its new pipe may well have the inode number of the old one.)
        self.orphaned = self.orphaned.filter(|(_, before)| before.is_none_or(|before| frames == before + 2));
        self.since = now();
        let mut session = Session::new(connection, self.number, &self.visit);
        let begun = session.begin(shared);
        self.state = State::InSession(session);
        self.leave_if_finished(begun?, shared);
        Ok(())
    }

    fn leave_if_finished(&mut self, next: Next, shared: &mut Shared) {
        let end = match next {
            Next::Continues => return,
            Next::Served => End::Served,
            Next::Leaves => End::AsPlanned,
        };
        if let State::InSession(session) = std::mem::replace(&mut self.state, State::Over) {
            match self.visit.behaviour {
                Behaviour::NeverReading => {
                    shared.score.never_read(now() - self.since, session.is_evicted());
                }
                _ if next == Next::Served => session.leave(),
                _ => {}
            }
        }
        self.end(end, shared);
    }

    /// Called when a process of this soak has ended, perhaps this client's.
    pub(super) fn reap(&mut self, shared: &mut Shared) {
        let State::Running(program) = &mut self.state else { return };
        let orphaned = self.orphaned.map(|(killed, _)| killed);
        if let Some(end) = program.reap(&self.visit, orphaned, &mut shared.score, self.came) {
            self.end(end, shared);
        }
    }

    /// Ends the client if it is owed nothing: the soak is over.
    pub(super) fn dismiss(&mut self, shared: &mut Shared) {
        match &mut self.state {
            State::Away | State::Over => {}
            State::Running(program) => program.dismiss(&self.visit),
            _ if self.visit.behaviour.is_owed_all() => {}
            // The soak has to see that the server evicts it.
            State::InSession(_) if self.visit.behaviour == Behaviour::NeverReading => {}
            _ => self.end(End::AsPlanned, shared),
        }
    }

    /// Notes that its subserver was killed at `when`, if `pipes` contains its private pipe or `pids` its
    /// process.
    pub(super) fn note_kill(&mut self, pipes: &[Pipe], pids: &[u32], when: Duration) {
        let (private, frames) = match &self.state {
            State::InHandshake(handshake) => {
                (handshake.watch().0.first().map(|(fd, _)| *fd), Some(handshake.frames()))
            }
            State::InSession(session) => (Some(session.connection().from_server()), None),
            State::Running(program) if pids.contains(&program.pid()) => {
                self.orphaned = Some((when, None));
                return;
            }
            _ => return,
        };
        if private.and_then(identity).is_some_and(|private| pipes.contains(&private)) {
            self.orphaned = Some((when, frames));
        }
    }
}

fn identity(pipe: BorrowedFd<'_>) -> Option<Pipe> {
    fstat(pipe).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Whether the private pipe holds the answer to a HELLO.
fn has_ack(handshake: &Handshake) -> bool {
    let (fds, _) = handshake.watch();
    matches!(fds.first(), Some((private, PollFlags::POLLIN)) if shows(*private, PollFlags::POLLIN))
}
