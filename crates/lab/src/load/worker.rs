//! One connection from its handshake to its end, as a state machine; with `--connect-only`, one after the other.

use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::handshake::client::{Handshake, Progress};
use handshake_core::process::Woken;
use handshake_core::sys::Poller;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::EpollFlags;

use super::Plan;
use super::crowd::Shared;
use super::talk::Talk;

/// Why a worker goes on. For what a poller shows, it is in the token, beside the worker's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something of its handshake, or an answer.
    Shown,
    /// Its upstream has room again.
    Room,
    /// Its timer is due.
    Time,
}

impl Cause {
    /// The token for this cause, [`Cause::Shown`] or [`Cause::Room`], and this worker.
    pub(super) fn token(self, worker: usize) -> u64 {
        (worker as u64) << 1 | u64::from(self == Self::Room)
    }

    /// Whose a token is, and for what.
    pub(super) fn of(token: u64) -> (usize, Self) {
        let worker = usize::try_from(token >> 1).expect("it was one");
        (worker, if token & 1 == 1 { Self::Room } else { Self::Shown })
    }
}

/// One of the crowd.
#[derive(Debug)]
pub(super) struct Worker {
    number: usize,
    /// Handshakes that are not begun yet.
    handshakes_left: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between two connections, or before the first; never after [`Worker::go_on`].
    Between,
    Shaking {
        handshake: Handshake,
        /// When it began.
        since: Duration,
    },
    Talking(Talk),
    Over,
}

impl Worker {
    pub(super) fn new(number: usize, plan: &Plan) -> Self {
        Self { number, handshakes_left: plan.handshakes, state: State::Between }
    }

    /// Whether it has all its answers and stays (`--hold`).
    pub(super) fn holds(&self, plan: &Plan) -> bool {
        matches!(&self.state, State::Talking(talk) if plan.hold && talk.is_done(plan))
    }

    /// Leaves after it has held.
    pub(super) fn let_go(&mut self, shared: &mut Shared) {
        if let State::Talking(talk) = std::mem::replace(&mut self.state, State::Over) {
            talk.leave(shared);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// When to go on even if nothing is shown.
    pub(super) fn until(&self) -> Deadline {
        match &self.state {
            State::Between | State::Over => Deadline::NEVER,
            State::Shaking { handshake, .. } => handshake.watch().1,
            State::Talking(talk) => talk.until(),
        }
    }

    /// Goes as far as it can without waiting. A cause that is none any more does no harm.
    ///
    /// # Errors
    /// [`Error::Signal`]. Other errors end this worker, and nobody else.
    pub(super) fn go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        match self.try_to_go_on(cause, shared) {
            Err(Error::Signal(signal)) => Err(Error::Signal(signal)),
            Err(error) => {
                self.fail(&error, shared);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn try_to_go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        match &mut self.state {
            State::Between => self.begin(shared),
            State::Shaking { handshake, .. } => {
                if cause == Cause::Time {
                    judge(handshake, shared)?;
                }
                self.shake(shared)
            }
            State::Talking(talk) => {
                talk.go_on(cause, shared)?;
                self.leave_if_done(shared)
            }
            State::Over => Ok(()),
        }
    }

    fn begin(&mut self, shared: &mut Shared) -> Result<()> {
        let since = now();
        if shared.plan.connect_only {
            shared.tally.begins(since);
        }
        let deadline = Deadline::after(shared.plan.timeout);
        let handshake = Handshake::new(&shared.process, &shared.plan.place, deadline);
        self.handshakes_left -= 1;
        self.state = State::Shaking { handshake, since };
        self.shake(shared)
    }

    /// Takes the handshake as far as it goes. What it watches changes on the way.
    fn shake(&mut self, shared: &mut Shared) -> Result<()> {
        let State::Shaking { handshake, since } = &mut self.state else { return Ok(()) };
        unwatch(handshake, &shared.poller)?;
        match handshake.advance()? {
            Progress::Pending => watch(handshake, self.number, &shared.poller),
            Progress::Connected(connection) => {
                shared.tally.handshake_records += handshake.records();
                let mut talk = Talk::new(*connection, self.number, *since, &shared.plan);
                let begun = talk.begin(shared);
                self.state = State::Talking(talk);
                begun?;
                self.leave_if_done(shared)
            }
        }
    }

    /// Says BYE when all is done, so that the next in line gets served; then the next handshake, if there is one.
    fn leave_if_done(&mut self, shared: &mut Shared) -> Result<()> {
        let State::Talking(talk) = &self.state else { return Ok(()) };
        if shared.plan.hold || !talk.is_done(&shared.plan) {
            return Ok(());
        }
        let State::Talking(talk) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
        talk.leave(shared);
        if self.handshakes_left > 0 { self.begin(shared) } else { Ok(()) }
    }

    fn fail(&mut self, error: &Error, shared: &mut Shared) {
        let unanswered = match std::mem::replace(&mut self.state, State::Over) {
            State::Talking(talk) => talk.unanswered(),
            State::Shaking { handshake, .. } => {
                shared.tally.handshake_records += handshake.records();
                let said_hello = matches!(error, Error::NoAnswer { .. } | Error::Lost { .. });
                usize::from(shared.plan.connect_only && said_hello)
            }
            State::Between | State::Over => 0,
        };
        shared.tally.failed(error, unanswered);
    }
}

/// A deadline is judged only after a look found nothing.
fn judge(handshake: &Handshake, shared: &Shared) -> Result<()> {
    let (fds, _) = handshake.watch();
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
    match shared.process.wait(&mut fds, Deadline::in_exactly(Duration::ZERO))? {
        Woken::Deadline => handshake.judge_deadline(),
        Woken::Ready(_) | Woken::Signal => Ok(()),
    }
}

fn watch(handshake: &Handshake, worker: usize, poller: &Poller) -> Result<()> {
    for (fd, flags) in handshake.watch().0 {
        poller.add(fd, Cause::Shown.token(worker), interest(flags)).map_err(cannot_watch)?;
    }
    Ok(())
}

fn unwatch(handshake: &Handshake, poller: &Poller) -> Result<()> {
    handshake.watch().0.into_iter().try_for_each(|(fd, _)| poller.remove(fd)).map_err(cannot_watch)
}

/// The poller could not be changed.
pub(super) fn cannot_watch(errno: Errno) -> Error {
    Error::on("watch", "a pipe", errno)
}

fn interest(flags: PollFlags) -> EpollFlags {
    let mut interest = EpollFlags::empty();
    interest.set(EpollFlags::EPOLLIN, flags.contains(PollFlags::POLLIN));
    interest.set(EpollFlags::EPOLLOUT, flags.contains(PollFlags::POLLOUT));
    interest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_whose_they_are_and_for_what() {
        for (worker, cause) in
            [(0, Cause::Shown), (0, Cause::Room), (9999, Cause::Shown), (9999, Cause::Room)]
        {
            assert_eq!(Cause::of(cause.token(worker)), (worker, cause));
        }
    }
}
