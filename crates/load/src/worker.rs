//! One connection from its handshake to its end, as a state machine; with `--connect-only`, one after the
//! other.

use std::time::Duration;

use handshake_core::client::handshake::{Handshake, Progress};
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};

use super::Plan;
use super::crowd::Shared;
use super::talk::Talk;
use crate::many::watch::{Cause, judge, unwatch, watch};

/// One of the crowd.
#[derive(Debug)]
pub(crate) struct Worker {
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
    pub(crate) fn new(number: usize, plan: &Plan) -> Self {
        Self { number, handshakes_left: plan.handshakes, state: State::Between }
    }

    /// Whether it has nothing more to do: it is over, or held with all its answers.
    pub(crate) fn is_settled(&self, plan: &Plan) -> bool {
        match &self.state {
            State::Over => true,
            State::Talking(talk) => plan.hold && talk.is_done(plan),
            State::Between | State::Shaking { .. } => false,
        }
    }

    /// When to go on even if nothing is shown.
    pub(crate) fn until(&self) -> Deadline {
        match &self.state {
            State::Between | State::Over => Deadline::NEVER,
            State::Shaking { handshake, .. } => handshake.watch().1,
            State::Talking(talk) => talk.until(),
        }
    }

    /// Goes as far as it can without waiting. A cause that is none any more does no harm.
    ///
    /// # Errors
    /// [`Error::Signal`]. Other errors end this worker alone.
    pub(crate) fn go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
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
                    judge(handshake, &shared.process)?;
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
                shared.tally.handshake_records += handshake.frames();
                shared.tally.connected(*since, now());
                let mut talk = Talk::new(*connection, self.number, *since, &shared.plan);
                let begun = talk.begin(shared);
                self.state = State::Talking(talk);
                begun?;
                self.leave_if_done(shared)
            }
        }
    }

    /// Says BYE when all is done, so that the next in line gets served; then the next handshake, if there is
    /// one.
    fn leave_if_done(&mut self, shared: &mut Shared) -> Result<()> {
        let State::Talking(talk) = &self.state else { return Ok(()) };
        if shared.plan.hold || !talk.is_done(&shared.plan) {
            return Ok(());
        }
        self.leave(shared);
        if self.handshakes_left > 0 { self.begin(shared) } else { Ok(()) }
    }

    /// Says BYE, if it is connected.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        if let State::Talking(talk) = std::mem::replace(&mut self.state, State::Over) {
            talk.leave(shared);
        }
    }

    fn fail(&mut self, error: &Error, shared: &mut Shared) {
        let unanswered = match std::mem::replace(&mut self.state, State::Over) {
            State::Talking(talk) => talk.unanswered(),
            State::Shaking { handshake, .. } => {
                shared.tally.handshake_records += handshake.frames();
                let said_hello = matches!(error, Error::NoAnswer { .. } | Error::Lost { .. });
                usize::from(shared.plan.connect_only && said_hello)
            }
            State::Between | State::Over => 0,
        };
        shared.tally.failed(error, unanswered);
    }
}
