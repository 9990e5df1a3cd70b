//! One client from its coming to its going, as a state machine, whatever its temper.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use handshake_core::client::handshake::{Handshake, Progress};
use handshake_core::client::session::Connection;
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Fifo, open_to_read, open_to_write};
use load::many::watch::{Cause, judge, unwatch, watch};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::unistd::write;

use super::crowd::Shared;
use super::dice::Dice;
use super::naive::Naive;
use super::plan::{Temper, Visit};
use super::program::Program;
use super::score::{End, PATIENCE};
use super::talk::{Next, Talk, cut_record, garbage, since};
use crate::house::House;

/// Between two looks for a well-known pipe that is not there.
const AGAIN: Duration = Duration::from_millis(10);

/// Between two looks of a naive client.
const NAIVE_AGAIN: Duration = Duration::from_millis(2);

/// A client.
#[derive(Debug)]
pub(super) struct Guest {
    number: usize,
    pub(super) visit: Visit,
    came: Duration,
    /// When its handshake was over.
    since: Duration,
    state: State,
    /// When its subserver was killed; and if that was before READY, how many records its handshake had taken by then.
    orphaned: Option<(Duration, Option<u64>)>,
}

/// Makes the next bytes that a client writes which breaks the protocol.
type Noise = fn(&mut Dice) -> Vec<u8>;

/// Device and inode.
type Pipe = (u64, u64);

#[derive(Debug)]
enum State {
    /// Not here yet.
    Away,
    /// One that says no HELLO: until `until`, with the well-known pipe once it found one.
    AtDoor {
        wkp: Option<OwnedFd>,
        until: Deadline,
        again: Deadline,
        noise: Dice,
    },
    /// One of the course dialect, until `until`.
    Naive {
        naive: Naive,
        until: Deadline,
        again: Deadline,
    },
    Shaking(Handshake),
    /// Silent after its HELLO.
    Holding {
        _handshake: Handshake,
        until: Deadline,
    },
    Talking(Talk),
    /// A process of its own.
    Running(Program),
    Over,
}

impl Guest {
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

    /// When to go on even if nothing is shown.
    pub(super) fn until(&self) -> Deadline {
        match &self.state {
            State::Away | State::Over => Deadline::NEVER,
            State::AtDoor { until, again, .. } | State::Naive { until, again, .. } => until.or(*again),
            State::Shaking(handshake) => handshake.watch().1,
            State::Holding { until, .. } => *until,
            State::Talking(talk) => talk.until(),
            State::Running(program) => program.until(),
        }
    }

    /// It comes.
    ///
    /// # Errors
    /// [`Error::Signal`]. Other errors end this client, and nobody else.
    pub(super) fn come(&mut self, house: &House, shared: &mut Shared) -> Result<()> {
        self.came = now();
        shared.score.comes(self.visit.temper);
        let begun = self.begin(house, shared);
        self.survive(begun, shared)
    }

    fn begin(&mut self, house: &House, shared: &mut Shared) -> Result<()> {
        match self.visit.temper {
            temper if temper.is_process() => {
                self.state = State::Running(Program::start(house, self.number, &self.visit)?);
                Ok(())
            }
            Temper::SilentAtWkp | Temper::GarbageAtWkp | Temper::CuttingRecords => {
                let until = Deadline::in_exactly(self.visit.span);
                let noise = Dice::new(self.visit.seed, 0);
                self.state = State::AtDoor { wkp: None, until, again: Deadline::NEVER, noise };
                self.stand_at_door(shared);
                Ok(())
            }
            Temper::Naive => {
                let naive = Naive::new(shared.place.directory(), self.number, self.visit.sizes.len())?;
                let until = Deadline::in_exactly(self.visit.span);
                self.state = State::Naive { naive, until, again: Deadline::NEVER };
                self.be_naive(shared);
                Ok(())
            }
            Temper::DyingAfterMkfifo => {
                let path = shared.place.private()?;
                let made =
                    Fifo::make(path.clone()).and_then(|fifo| open_to_read(&path).map(|end| (fifo, end)));
                drop(made.map_err(|errno| Error::at("make a private pipe", &path, errno, ""))?);
                self.end(End::AsMeant, shared);
                Ok(())
            }
            _ => {
                let deadline = Deadline::after(PATIENCE);
                self.state = State::Shaking(Handshake::new(&shared.process, &shared.place, deadline));
                self.shake(shared)
            }
        }
    }

    /// Goes as far as it can without waiting. A cause that is none any more does no harm.
    ///
    /// # Errors
    /// As [`Guest::come`].
    pub(super) fn go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        let gone_on = self.try_to_go_on(cause, shared);
        self.survive(gone_on, shared)
    }

    fn try_to_go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        match &mut self.state {
            State::Away | State::Over => {}
            State::AtDoor { .. } => self.stand_at_door(shared),
            State::Naive { .. } => self.be_naive(shared),
            State::Shaking(handshake) => {
                if cause == Cause::Time {
                    judge(handshake, &shared.process)?;
                }
                self.shake(shared)?;
            }
            State::Holding { until, .. } if until.passed() => self.end(End::AsMeant, shared),
            State::Holding { .. } => {}
            State::Talking(talk) => {
                let next = talk.go_on(cause, shared)?;
                self.leave_if_done(next, shared);
            }
            State::Running(program) => {
                if let Some(end) = program.go_on(&self.visit) {
                    self.end(end, shared);
                }
            }
        }
        Ok(())
    }

    fn survive(&mut self, result: Result<()>, shared: &mut Shared) -> Result<()> {
        match result {
            Err(Error::Signal(signal)) => Err(Error::Signal(signal)),
            Err(error) => {
                let end = self.misfortune(&error, shared);
                self.end(end, shared);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What an error means for a client of its temper.
    fn misfortune(&self, error: &Error, shared: &mut Shared) -> End {
        match (error, &self.state) {
            (Error::Protocol { what }, _) => End::Wrong(what.clone()),
            // Who does not read cannot know at once.
            (Error::Lost { .. }, State::Talking(talk)) if self.orphaned.is_some() && !talk.began_late() => {
                End::Orphaned(self.orphaned.map_or(Duration::ZERO, |(killed, _)| since(killed)))
            }
            (Error::Lost { .. }, _) if !self.visit.temper.is_owed_all() => End::Dropped,
            (Error::Refused { .. }, _) if !self.visit.temper.is_owed_all() => End::TurnedAway,
            _ => shared.score.loss(self.came, error.to_string()),
        }
    }

    fn end(&mut self, end: End, shared: &mut Shared) {
        self.state = State::Over;
        shared.score.ends(self.number, self.visit.temper, end);
    }

    /// Opens the well-known pipe when there is one; stands there, silent or with noise, until it has enough.
    fn stand_at_door(&mut self, shared: &mut Shared) {
        let (noise_of, longest_pause): (Option<Noise>, _) = match self.visit.temper {
            Temper::GarbageAtWkp => (Some(garbage), 100),
            Temper::CuttingRecords => (Some(cut_record), 10),
            _ => (None, 0),
        };
        let State::AtDoor { wkp, until, again, noise } = &mut self.state else { return };
        if until.passed() {
            return self.end(End::AsMeant, shared);
        }
        if wkp.is_none() {
            *wkp = open_to_write(shared.place.wkp()).ok();
        }
        *again = match (&wkp, noise_of) {
            (None, _) => Deadline::in_exactly(AGAIN),
            (Some(_), None) => Deadline::NEVER,
            (Some(open), Some(noise_of)) => {
                // When the pipe is full or its reader has gone, there is the next one.
                if write(open, &noise_of(noise)) == Err(Errno::EPIPE) {
                    *wkp = None;
                }
                Deadline::in_exactly(noise.while_of(0..=longest_pause))
            }
        };
    }

    fn be_naive(&mut self, shared: &mut Shared) {
        let State::Naive { naive, until, again } = &mut self.state else { return };
        if until.passed() || !naive.go_on(shared.place.wkp()) {
            return self.end(End::AsMeant, shared);
        }
        *again = Deadline::in_exactly(NAIVE_AGAIN);
    }

    /// Takes the handshake as far as it goes, or as its temper has it go.
    fn shake(&mut self, shared: &mut Shared) -> Result<()> {
        let State::Shaking(handshake) = &mut self.state else { return Ok(()) };
        unwatch(handshake, &shared.poller)?;
        if self.visit.temper == Temper::DyingAfterAck && has_ack(handshake) {
            self.end(End::AsMeant, shared);
            return Ok(());
        }
        if let Progress::Connected(connection) = handshake.advance()? {
            let records = handshake.frames();
            return self.connected(*connection, records, shared);
        }
        let said_hello = handshake.frames() > 0;
        match self.visit.temper {
            Temper::DyingAfterHello if said_hello => self.end(End::AsMeant, shared),
            Temper::SilentAfterHello if said_hello => {
                let State::Shaking(handshake) = std::mem::replace(&mut self.state, State::Over) else {
                    return Ok(());
                };
                let until = Deadline::in_exactly(self.visit.span);
                self.state = State::Holding { _handshake: handshake, until };
            }
            _ => watch(handshake, self.number, &shared.poller)?,
        }
        Ok(())
    }

    fn connected(&mut self, connection: Connection, records: u64, shared: &mut Shared) -> Result<()> {
        // HELLO, ACK, READY; whatever is more was another HELLO.
        shared.score.turned_away += records.saturating_sub(3);
        // Who has taken more than ACK and READY since it was orphaned has tried again, and has another subserver. (Its new
        // pipe may well have the number of the old one.)
        self.orphaned = self.orphaned.filter(|(_, before)| before.is_none_or(|before| records == before + 2));
        self.since = now();
        let mut talk = Talk::new(connection, self.number, &self.visit);
        let begun = talk.begin(shared);
        self.state = State::Talking(talk);
        self.leave_if_done(begun?, shared);
        Ok(())
    }

    fn leave_if_done(&mut self, next: Next, shared: &mut Shared) {
        let end = match next {
            Next::GoesOn => return,
            Next::Served => End::Served,
            Next::Goes => End::AsMeant,
        };
        if let State::Talking(talk) = std::mem::replace(&mut self.state, State::Over) {
            match self.visit.temper {
                Temper::NeverReading => {
                    shared.score.never_read(now() - self.since, talk.is_evicted());
                }
                _ if next == Next::Served => talk.leave(),
                _ => {}
            }
        }
        self.end(end, shared);
    }

    /// A process of this soak has ended: perhaps this client.
    pub(super) fn reap(&mut self, shared: &mut Shared) {
        let State::Running(program) = &mut self.state else { return };
        let Some(end) =
            program.reap(&self.visit, self.orphaned.map(|(killed, _)| killed), &mut shared.score, self.came)
        else {
            return;
        };
        self.end(end, shared);
    }

    /// The soak is over: who is owed nothing goes now.
    pub(super) fn dismiss(&mut self, shared: &mut Shared) {
        match &mut self.state {
            State::Away | State::Over => {}
            State::Running(program) => program.dismiss(&self.visit),
            _ if self.visit.temper.is_owed_all() => {}
            // It has to be seen that it is evicted.
            State::Talking(_) if self.visit.temper == Temper::NeverReading => {}
            _ => self.end(End::AsMeant, shared),
        }
    }

    /// Its subserver was killed at `when`, if `is_pipe` knows its private pipe or `is_process` its process.
    pub(super) fn is_orphaned(&mut self, pipes: &[Pipe], pids: &[u32], when: Duration) {
        let (private, records) = match &self.state {
            State::Shaking(handshake) => {
                (handshake.watch().0.first().map(|(fd, _)| *fd), Some(handshake.frames()))
            }
            State::Talking(talk) => (Some(talk.connection().from_server()), None),
            State::Running(program) if pids.contains(&program.pid()) => {
                self.orphaned = Some((when, None));
                return;
            }
            _ => return,
        };
        if private.and_then(identity).is_some_and(|private| pipes.contains(&private)) {
            self.orphaned = Some((when, records));
        }
    }
}

fn identity(pipe: BorrowedFd<'_>) -> Option<Pipe> {
    fstat(pipe).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Whether the answer to a HELLO stands in the private pipe.
fn has_ack(handshake: &Handshake) -> bool {
    let (fds, _) = handshake.watch();
    let Some((private, PollFlags::POLLIN)) = fds.first() else { return false };
    let mut look = [PollFd::new(*private, PollFlags::POLLIN)];
    poll(&mut look, PollTimeout::ZERO) == Ok(1)
        && look[0].revents().is_some_and(|shown| shown.contains(PollFlags::POLLIN))
}
