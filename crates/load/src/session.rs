//! The session of one connection: keeps the window full, and checks every reply.

use std::collections::VecDeque;
use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::text::words;
use nix::sys::epoll::EpollFlags;

use super::Plan;
use super::shared::Shared;
use super::tally::Tally;
use super::transport::Stream;
use crate::many::payload;
use crate::many::watch::{Cause, Room, cannot_watch};

/// A session in progress.
pub(crate) struct Session<S> {
    stream: S,
    /// When the handshake began.
    since: Duration,
    talk: Talk,
    room: Room,
    /// When the timeout for the next answer passes.
    until: Deadline,
}

/// What was asked and answered.
struct Talk {
    worker: usize,
    /// When each unanswered request was sent; answers come in this order.
    sent: VecDeque<Duration>,
    asked: usize,
    answered: usize,
}

impl<S: Stream> Session<S> {
    pub(crate) fn new(stream: S, worker: usize, since: Duration, plan: &Plan) -> Self {
        let window = plan.asked.window.min(plan.requests);
        Self {
            stream,
            since,
            talk: Talk { worker, sent: VecDeque::with_capacity(window), asked: 0, answered: 0 },
            room: Room::Unknown,
            until: Deadline::after(plan.timeout),
        }
    }

    pub(crate) fn until(&self) -> Deadline {
        // A held connection with all its answers waits for nothing.
        if self.talk.asked > 0 && self.unanswered() == 0 { Deadline::NEVER } else { self.until }
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.talk.asked - self.talk.answered
    }

    /// Whether every request is sent and answered; without requests, whether READY is sent.
    pub(crate) fn is_done(&self, plan: &Plan) -> bool {
        self.talk.answered == plan.requests && self.stream.is_flushed()
    }

    /// Watches for answers, if any are expected, and sends the first requests.
    ///
    /// # Errors
    /// Those of [`Session::advance`].
    pub(crate) fn begin(&mut self, shared: &mut Shared) -> Result<()> {
        if !shared.plan.asked.connect_only && shared.is_watched {
            let token = Cause::Readable.token(self.talk.worker);
            shared.poller.add(self.stream.input(), token, EpollFlags::EPOLLIN).map_err(cannot_watch)?;
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
        self.send(shared)?;
        // The calls of a connection that is not watched wait by themselves.
        while !shared.is_watched && !self.is_done(&shared.plan) {
            self.receive(shared)?;
            self.send(shared)?;
        }
        Ok(())
    }

    fn receive(&mut self, shared: &mut Shared) -> Result<()> {
        let Shared { plan, tally, message, room, .. } = shared;
        // Read the clock once for all answers of one read.
        let mut at = None;
        self.stream.receive(room, |answer| {
            self.talk.take(answer, *at.get_or_insert_with(now), plan, tally, message);
        })?;
        if let Some(at) = at.filter(|_| !plan.timeout.is_zero()) {
            self.until = Deadline::at(at + plan.timeout);
        }
        Ok(())
    }

    /// Fills the window, and writes all requests at once.
    fn send(&mut self, shared: &mut Shared) -> Result<()> {
        let Shared { plan, tally, message, out, .. } = shared;
        self.stream.flush(out)?;
        while self.stream.is_flushed() && self.may_ask(plan) {
            let at = now();
            if self.talk.asked >= plan.asked.warm_up {
                tally.begins(at);
            }
            while self.may_ask(plan) {
                payload::fill(message, plan.asked.payload, self.talk.worker, self.talk.asked);
                self.stream.send(message, out)?;
                self.talk.sent.push_back(at);
                self.talk.asked += 1;
            }
            self.stream.flush(out)?;
        }
        if self.stream.is_flushed() || !shared.is_watched {
            return Ok(());
        }
        self.room.watch_once(self.stream.output(), self.talk.worker, &shared.poller)
    }

    fn may_ask(&self, plan: &Plan) -> bool {
        self.talk.asked < plan.requests
            && self.unanswered() < plan.asked.window
            && self.stream.may_send(plan.asked.payload)
    }

    /// Ends the session.
    pub(crate) fn leave(self, shared: &mut Shared) {
        if shared.plan.asked.connect_only {
            shared.tally.done(self.since, now());
        }
        self.stream.leave();
    }
}

impl Talk {
    /// Counts an answer, rebuilds its request, computes the expected reply, and compares.
    fn take(
        &mut self,
        answer: Result<&[u8], &[u8]>,
        at: Duration,
        plan: &Plan,
        tally: &mut Tally,
        message: &mut Vec<u8>,
    ) {
        let (worker, request) = (self.worker + 1, self.answered + 1);
        let told = |what: String| format!("connection {worker}, request {request}: {what}");
        let Some(sent) = self.sent.pop_front() else {
            return tally.mismatch(|| told("the answer was not due".into()));
        };
        if self.answered >= plan.asked.warm_up {
            tally.done(sent, at);
        }
        match answer {
            Ok(reply) => {
                payload::fill(message, plan.asked.payload, self.worker, self.answered);
                plan.expect.reply_to(u32::try_from(request).unwrap_or(u32::MAX), message);
                if message != reply {
                    tally.mismatch(|| told(difference(message, reply, plan)));
                }
            }
            Err(reason) => tally.mismatch(|| told(format!("the server refused it: {}", words(reason)))),
        }
        self.answered += 1;
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
