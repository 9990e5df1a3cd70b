//! One connection's session: keep the window full, check every reply.

use std::collections::VecDeque;
use std::time::Duration;

use handshake_core::client::session::{Answer, Connection};
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::service::Service;
use handshake_core::text::words;
use nix::sys::epoll::EpollFlags;

use super::Plan;
use super::crowd::Shared;
use crate::many::payload;
use crate::many::watch::{Cause, Room, cannot_watch};

/// A session under way.
pub(crate) struct Talk {
    connection: Connection,
    worker: usize,
    /// When the handshake began.
    since: Duration,
    /// Says what the server must answer.
    service: Box<dyn Service>,
    /// When each request without an answer was sent; the answers come in this order.
    sent: VecDeque<Duration>,
    asked: usize,
    answered: usize,
    room: Room,
    /// When the patience for the next answer ends.
    until: Deadline,
}

impl Talk {
    pub(crate) fn new(mut connection: Connection, worker: usize, since: Duration, plan: &Plan) -> Self {
        connection.limit_messages(usize::MAX);
        Self {
            connection,
            worker,
            since,
            service: plan.expect.for_session(),
            sent: VecDeque::with_capacity(plan.window.min(plan.requests)),
            asked: 0,
            answered: 0,
            room: Room::Unknown,
            until: Deadline::after(plan.timeout),
        }
    }

    pub(crate) fn until(&self) -> Deadline {
        // A connection that is held with all its answers waits for nothing.
        if self.asked > 0 && self.unanswered() == 0 { Deadline::NEVER } else { self.until }
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.asked - self.answered
    }

    /// Whether everything is sent and answered; without any request, whether READY is sent.
    pub(crate) fn is_done(&self, plan: &Plan) -> bool {
        self.answered == plan.requests && self.connection.is_flushed()
    }

    /// Watches for answers, if there are to be any, and sends the first requests.
    ///
    /// # Errors
    /// As [`Talk::go_on`].
    pub(crate) fn begin(&mut self, shared: &mut Shared) -> Result<()> {
        if !shared.plan.connect_only {
            let token = Cause::Shown.token(self.worker);
            let from_server = self.connection.from_server();
            shared.poller.add(from_server, token, EpollFlags::EPOLLIN).map_err(cannot_watch)?;
        }
        self.send(shared)
    }

    /// Takes the answers that are there, if that is why it goes on, and sends what may be sent.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Protocol`], [`Error::TooLong`]: this connection is over.
    pub(crate) fn go_on(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        if cause == Cause::Room {
            self.room = Room::Quiet;
        } else {
            self.receive(shared)?;
        }
        if cause == Cause::Time && self.until.passed() {
            let what = "no answer came within --timeout".into();
            return Err(Error::Lost { what, unanswered: self.unanswered() });
        }
        self.send(shared)
    }

    fn receive(&mut self, shared: &mut Shared) -> Result<()> {
        self.connection.read()?;
        // One look at the clock for all that one read brought.
        let mut at = None;
        loop {
            let refused = match self.connection.answer(&mut shared.reply)? {
                Answer::Reply(_) => false,
                Answer::Refused(_) => true,
                Answer::Nothing => return Ok(()),
            };
            let at = *at.get_or_insert_with(now);
            let sent = self.sent.pop_front().expect("an answer that is not due is an error");
            if self.answered >= shared.plan.warm_up {
                shared.tally.done(sent, at);
            }
            self.check(refused, shared);
            self.answered += 1;
            if !shared.plan.timeout.is_zero() {
                self.until = Deadline::at(at + shared.plan.timeout);
            }
        }
    }

    /// Makes the request again, lets the service have it, and compares.
    fn check(&mut self, refused: bool, shared: &mut Shared) {
        let Shared { plan, tally, message, reply, .. } = shared;
        let number = || format!("connection {}, request {}", self.worker + 1, self.answered + 1);
        if refused {
            let reason = words(reply);
            return tally.mismatch(|| format!("{}: the server refused it: {reason}", number()));
        }
        payload::fill(message, plan.payload, self.worker, self.answered);
        self.service.process(message);
        if message != reply {
            tally.mismatch(|| format!("{}: {}", number(), difference(message, reply, plan)));
        }
    }

    /// Fills the window, and writes all of it at once.
    fn send(&mut self, shared: &mut Shared) -> Result<()> {
        self.connection.flush()?;
        while self.connection.is_flushed() && self.may_ask(&shared.plan) {
            let at = now();
            if self.asked >= shared.plan.warm_up {
                shared.tally.begins(at);
            }
            while self.may_ask(&shared.plan) {
                payload::fill(&mut shared.message, shared.plan.payload, self.worker, self.asked);
                self.connection.send(&shared.message)?;
                self.sent.push_back(at);
                self.asked += 1;
            }
            self.connection.flush()?;
        }
        self.order_room(shared)
    }

    fn may_ask(&self, plan: &Plan) -> bool {
        self.asked < plan.requests
            && self.unanswered() < plan.window
            && self.connection.may_send(plan.payload)
    }

    fn order_room(&mut self, shared: &Shared) -> Result<()> {
        if self.connection.is_flushed() {
            return Ok(());
        }
        self.room.order(self.connection.to_server(), self.worker, &shared.poller)
    }

    /// Says BYE.
    pub(crate) fn leave(self, shared: &mut Shared) {
        if shared.plan.connect_only {
            shared.tally.done(self.since, now());
        }
        self.connection.bye();
    }
}

fn difference(expected: &[u8], reply: &[u8], plan: &Plan) -> String {
    let differs = expected.iter().zip(reply).take_while(|(due, came)| due == came).count();
    format!(
        "{} bytes came where {} were due, and from byte {differs} on they differ: the service was expected to \
         be {}: is it? Say which it is with --expect",
        reply.len(),
        expected.len(),
        plan.expect
    )
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk").field("connection", &self.connection).finish_non_exhaustive()
    }
}
