//! A server that does not reply: how long it has been silent, when to say so, and when to give it up.

use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::Error;

/// After so long without a reply the client says that it waits.
const NOTICE: Duration = Duration::from_secs(3);

/// The time since the server was heard last, while it owes a reply.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When it began; `None` while no reply is due, as at the prompt.
    since: Option<Duration>,
    /// How long it may be; 0: for ever.
    patience: Duration,
    /// Whether to say that the client waits. It is said once.
    notice: bool,
}

impl Silence {
    pub(crate) fn new(patience: Duration, notice: bool) -> Self {
        Self { since: None, patience, notice }
    }

    /// The server reads or writes.
    pub(crate) fn is_broken(&mut self) {
        self.since = None;
    }

    /// Whether a reply `is_due` now; then the silence goes on, or begins.
    pub(crate) fn goes_on(&mut self, is_due: bool) {
        self.since = if is_due { self.since.or_else(|| Some(now())) } else { None };
    }

    /// When to look at it again.
    pub(crate) fn until(&self) -> Deadline {
        let notice = if self.notice { self.after(NOTICE) } else { Deadline::NEVER };
        self.end().or(notice)
    }

    /// When the patience with the server ends.
    pub(crate) fn end(&self) -> Deadline {
        if self.patience.is_zero() { Deadline::NEVER } else { self.after(self.patience) }
    }

    /// Whether to say now that the client waits.
    pub(crate) fn is_to_be_told(&mut self) -> bool {
        let told = self.notice && self.after(NOTICE).passed();
        self.notice &= !told;
        told
    }

    /// Why the session ends when the patience has ended.
    pub(crate) fn error(&self, unanswered: usize, is_read: bool) -> Error {
        let seen = if is_read {
            "all that was sent has been read, by the server or by another program that reads its pipe"
        } else {
            seen(is_read)
        };
        Error::NoReply { silent: self.patience, unanswered, seen }
    }

    fn after(&self, patience: Duration) -> Deadline {
        self.since.map_or(Deadline::NEVER, |since| Deadline::at(since + patience))
    }
}

/// What the pipe to a silent server tells of it.
pub(crate) fn seen(is_read: bool) -> &'static str {
    if is_read { "all that was sent has been read" } else { "the server has not read all that was sent" }
}
