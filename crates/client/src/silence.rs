//! A server that does not reply: how long it has been silent, when to say so, and when to give up.

use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::Error;

/// After this long without a reply the client reports that it waits.
const NOTICE: Duration = Duration::from_secs(3);

/// The time since the server last read or wrote, while it owes a reply.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When the silence began; `None` while no reply is due, as at the prompt.
    since: Option<Duration>,
    /// How long the silence may last; 0: for ever.
    timeout: Duration,
    /// Whether the client still has to report that it waits. It does so once.
    notice: bool,
}

impl Silence {
    pub(crate) fn new(timeout: Duration, notice: bool) -> Self {
        Self { since: None, timeout, notice }
    }

    /// Ends the silence: the server has read or written.
    pub(crate) fn reset(&mut self) {
        self.since = None;
    }

    /// Continues or begins the silence if a reply `is_due`; otherwise ends it.
    pub(crate) fn update(&mut self, is_due: bool) {
        self.since = if is_due { self.since.or_else(|| Some(now())) } else { None };
    }

    /// When to check the silence next.
    pub(crate) fn until(&self) -> Deadline {
        let notice = if self.notice { self.after(NOTICE) } else { Deadline::NEVER };
        self.end().or(notice)
    }

    /// When the reply timeout passes.
    pub(crate) fn end(&self) -> Deadline {
        if self.timeout.is_zero() { Deadline::NEVER } else { self.after(self.timeout) }
    }

    /// Whether the client has to report now that it waits. Returns true once.
    pub(crate) fn take_notice(&mut self) -> bool {
        let is_due = self.notice && self.after(NOTICE).passed();
        self.notice &= !is_due;
        is_due
    }

    /// The error that ends the session after the reply timeout. `server`: what the server does instead.
    pub(crate) fn error(&self, unanswered: usize, is_read: bool, server: Option<String>) -> Error {
        let seen = if is_read {
            "all that was sent has been read, by the server or by another program that reads its pipe"
        } else {
            seen(is_read)
        };
        let server = server.map(|server| format!("; {server}")).unwrap_or_default();
        Error::no_reply(self.timeout, unanswered, format!("{seen}{server}"))
    }

    fn after(&self, timeout: Duration) -> Deadline {
        self.since.map_or(Deadline::NEVER, |since| Deadline::at(since + timeout))
    }
}

/// What the pipe to the server reveals about a silent server.
pub(crate) fn seen(is_read: bool) -> &'static str {
    if is_read { "all that was sent has been read" } else { "the server has not read all that was sent" }
}
