//! The session of one connection: keeps the window full, and checks every reply.

use std::collections::VecDeque;
use std::time::Duration;

use handshake_core::client::session::{Answer, Session as Connection};
use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::text::words;
use nix::sys::epoll::EpollFlags;

use super::Plan;
use super::shared::Shared;
use crate::many::payload;
use crate::many::watch::{Cause, Room, cannot_watch};

/// A session in progress.
pub(crate) struct Session {
    connection: Connection,
    worker: usize,
    /// When the handshake began.
    since: Duration,
    /// When each unanswered request was sent; answers come in this order.
    sent: VecDeque<Duration>,
    asked: usize,
    answered: usize,
    room: Room,
    /// When the timeout for the next answer passes.
    until: Deadline,
}

impl Session {
    pub(crate) fn new(mut connection: Connection, worker: usize, since: Duration, plan: &Plan) -> Self {
        connection.limit_messages(usize::MAX);
        Self {
            connection,
            worker,
            since,
            sent: VecDeque::with_capacity(plan.window.min(plan.requests)),
            asked: 0,
            answered: 0,
            room: Room::Unknown,
            until: Deadline::after(plan.timeout),
        }
    }

    pub(crate) fn until(&self) -> Deadline {
        // A held connection with all its answers waits for nothing.
        if self.asked > 0 && self.unanswered() == 0 { Deadline::NEVER } else { self.until }
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.asked - self.answered
    }

    /// Whether every request is sent and answered; without requests, whether READY is sent.
    pub(crate) fn is_done(&self, plan: &Plan) -> bool {
        self.answered == plan.requests && self.connection.is_flushed()
    }

    /// Watches for answers, if any are expected, and sends the first requests.
    ///
    /// # Errors
    /// Those of [`Session::advance`].
    pub(crate) fn begin(&mut self, shared: &mut Shared) -> Result<()> {
        if !shared.plan.connect_only {
            let token = Cause::Readable.token(self.worker);
            let from_server = self.connection.from_server();
            shared.poller.add(from_server, token, EpollFlags::EPOLLIN).map_err(cannot_watch)?;
        }
        self.send(shared)
    }

    /// Takes the available answers, if `cause` says so, and sends what it may.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Protocol`], [`Error::TooLong`]: the connection has failed.
    pub(crate) fn advance(&mut self, cause: Cause, shared: &mut Shared) -> Result<()> {
        if cause == Cause::Room {
            self.room = Room::Quiet;
        } else {
            self.receive(shared)?;
        }
        if cause == Cause::Timer && self.until.passed() {
            return Err(Error::lost_with("no answer came within --timeout", self.unanswered()));
        }
        self.send(shared)
    }

    fn receive(&mut self, shared: &mut Shared) -> Result<()> {
        self.connection.read()?;
        // Read the clock once for all answers of one read.
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

    /// Rebuilds the request, computes the expected reply, and compares.
    fn check(&mut self, refused: bool, shared: &mut Shared) {
        let Shared { plan, tally, message, reply, .. } = shared;
        let name = || format!("connection {}, request {}", self.worker + 1, self.answered + 1);
        if refused {
            let reason = words(reply);
            return tally.mismatch(|| format!("{}: the server refused it: {reason}", name()));
        }
        payload::fill(message, plan.payload, self.worker, self.answered);
        let number = u32::try_from(self.answered + 1).unwrap_or(u32::MAX);
        plan.expect.reply_to(number, message);
        if message != reply {
            tally.mismatch(|| format!("{}: {}", name(), difference(message, reply, plan)));
        }
    }

    /// Fills the window, and writes all requests at once.
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
        self.watch_room(shared)
    }

    fn may_ask(&self, plan: &Plan) -> bool {
        self.asked < plan.requests
            && self.unanswered() < plan.window
            && self.connection.may_send(plan.payload)
    }

    fn watch_room(&mut self, shared: &Shared) -> Result<()> {
        if self.connection.is_flushed() {
            return Ok(());
        }
        self.room.watch_once(self.connection.to_server(), self.worker, &shared.poller)
    }

    /// Sends BYE.
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
        "the reply has {} bytes instead of {}, and differs from byte {differs} on: is the server's service {}? If \
         not, name it with --expect",
        reply.len(),
        expected.len(),
        plan.expect
    )
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("connection", &self.connection).finish_non_exhaustive()
    }
}
