//! One connection from its handshake to its end, as a state machine; with `--connect-only`, one connection
//! after another.

use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};

use super::Plan;
use super::session::Session;
use super::shared::Shared;
use super::transport::{Opening, Transport};
use crate::many::watch::{Cause, judge, unwatch, watch};

/// One connection of the crowd.
pub(crate) struct Worker<T: Transport> {
    number: usize,
    /// Handshakes that have not begun yet.
    handshakes_left: usize,
    state: State<T::Opening>,
}

enum State<O: Opening> {
    /// Between two connections, or before the first; never after [`Worker::advance`].
    Between,
    InHandshake {
        handshake: O,
        /// When the handshake began.
        since: Duration,
    },
    InSession(Session<O::Stream>),
    Over,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(number: usize, plan: &Plan) -> Self {
        Self { number, handshakes_left: plan.handshakes, state: State::Between }
    }

    /// Whether nothing is left to do: the connection is closed, or held open with all its answers.
    pub(crate) fn is_settled(&self, plan: &Plan) -> bool {
        match &self.state {
            State::Over => true,
            State::InSession(session) => plan.asked.hold && session.is_done(plan),
            State::Between | State::InHandshake { .. } => false,
        }
    }

    /// When to advance even without an event.
    pub(crate) fn until(&self) -> Deadline {
        match &self.state {
            State::Between | State::Over => Deadline::NEVER,
            State::InHandshake { handshake, .. } => handshake.watch().1,
            State::InSession(session) => session.until(),
        }
    }

    /// Goes on as far as possible without blocking. An outdated cause does no harm.
    ///
    /// # Errors
    /// [`Error::Signal`]. Other errors end this connection only.
    pub(crate) fn advance(&mut self, cause: Cause, to: &T, shared: &mut Shared) -> Result<()> {
        match self.try_advance(cause, to, shared) {
            Err(Error::Signal(signal)) => Err(Error::Signal(signal)),
            Err(error) => {
                self.fail(&error, shared);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn try_advance(&mut self, cause: Cause, to: &T, shared: &mut Shared) -> Result<()> {
        match &mut self.state {
            State::Between => self.begin(to, shared),
            State::InHandshake { handshake, .. } => {
                if let (Cause::Timer, Some(process)) = (cause, &shared.process) {
                    judge(handshake, process)?;
                }
                self.advance_handshake(to, shared)
            }
            State::InSession(session) => {
                session.advance(cause, shared)?;
                self.leave_if_finished(to, shared)
            }
            State::Over => Ok(()),
        }
    }

    fn begin(&mut self, to: &T, shared: &mut Shared) -> Result<()> {
        let since = now();
        if shared.plan.asked.connect_only {
            shared.tally.begins(since);
        }
        let handshake = to.open(self.number, shared.plan.timeout);
        self.handshakes_left -= 1;
        self.state = State::InHandshake { handshake, since };
        self.advance_handshake(to, shared)
    }

    /// Advances the handshake as far as possible. Its watched file descriptors change on the way.
    fn advance_handshake(&mut self, to: &T, shared: &mut Shared) -> Result<()> {
        let State::InHandshake { handshake, since } = &mut self.state else { return Ok(()) };
        unwatch(handshake, &shared.poller)?;
        let Some(stream) = handshake.advance()? else {
            return watch(handshake, self.number, &shared.poller);
        };
        shared.tally.handshake_records += handshake.frames();
        shared.tally.connected(*since, now());
        let mut session = Session::new(stream, self.number, *since, &shared.plan);
        let begun = session.begin(shared);
        self.state = State::InSession(session);
        begun?;
        self.leave_if_finished(to, shared)
    }

    /// Sends BYE when all is done, so that the next client in the queue is served. Then begins the next
    /// handshake, if any.
    fn leave_if_finished(&mut self, to: &T, shared: &mut Shared) -> Result<()> {
        let State::InSession(session) = &self.state else { return Ok(()) };
        if shared.plan.asked.hold || !session.is_done(&shared.plan) {
            return Ok(());
        }
        self.leave(shared);
        if self.handshakes_left > 0 { self.begin(to, shared) } else { Ok(()) }
    }

    /// Sends BYE, if the worker is connected.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        if let State::InSession(session) = std::mem::replace(&mut self.state, State::Over) {
            session.leave(shared);
        }
    }

    fn fail(&mut self, error: &Error, shared: &mut Shared) {
        let unanswered = match std::mem::replace(&mut self.state, State::Over) {
            State::InSession(session) => session.unanswered(),
            State::InHandshake { handshake, .. } => {
                shared.tally.handshake_records += handshake.frames();
                let said_hello = matches!(error, Error::NoAnswer { .. } | Error::Lost { .. });
                usize::from(shared.plan.asked.connect_only && said_hello)
            }
            State::Between | State::Over => 0,
        };
        shared.tally.failed(error, unanswered);
    }
}
