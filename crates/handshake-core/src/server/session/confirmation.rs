//! Waits until the client confirms the acknowledgement: with READY, or in the course dialect with a record.

use nix::errno::Errno;

use super::io::{Turn, gone};
use super::{Found, Session};
use crate::deadline::Deadline;
use crate::error::{Error, LEFT_BEFORE, Result, SHUTTING_DOWN};
use crate::event::{Event, What};
use crate::strays::note_skipped;
use crate::text::words;

/// Whether a confirmation may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// READY is awaited.
    Ready,
    /// The next record of the course client is probably the confirmation.
    Record,
    /// The next record is the confirmation only if it can be nothing else.
    Possible,
    /// The confirmation has come, or there is none.
    Over,
}

impl Confirmation {
    pub(super) fn is_awaited(self) -> bool {
        matches!(self, Self::Ready | Self::Record)
    }
}

impl Session {
    /// Waits for READY, the answer to step 8. After it, both ends have sent to and received from each other.
    ///
    /// # Errors
    /// [`Error::Lost`]: READY did not come in time, or the client has gone.
    pub fn await_ready(&mut self) -> Result<()> {
        let mut until = Deadline::after(self.limits.handshake_timeout);
        let (mut late, mut message, mut own_end) = (false, Vec::new(), None);
        while self.confirmation.is_awaited() {
            if let Found::Bye(reason) = self.find(&mut message)? {
                return Err(self.last_word(&words(&reason)));
            }
            if !self.confirmation.is_awaited() {
                break;
            }
            // Another process may have opened a fresh upstream by its name, and closed it. Until READY, this
            // process has it open to write, and an error on the private pipe shows that the client has gone.
            if self.input_ended && own_end.is_none() {
                own_end = self.fresh.as_ref().and_then(|fifo| fifo.open_to_write().ok());
                self.input_ended = own_end.is_none();
            }
            if self.input_ended {
                return Err(match self.confirmation {
                    Confirmation::Ready => Error::lost(format!("{LEFT_BEFORE} READY")),
                    _ => Error::lost("it left after the acknowledgement"),
                });
            }
            if self.process.asked_to_end().is_some() {
                return Err(self.bye(SHUTTING_DOWN));
            }
            note_skipped(&mut self.from_client, Some(self.id), &self.process);
            if late {
                let is_sure = self.dispatcher.is_none();
                if let Some(why) = self.dialect.confirmation_is_late(&mut self.confirmation, is_sure) {
                    self.deadline_passed(why)?;
                }
                (until, late) = (Deadline::after(self.limits.handshake_timeout), false);
                continue;
            }
            // Judged after one more read, whatever it brings. A client that sends other frames without end
            // gets no more time.
            late = until.passed();
            match self.turn(until)? {
                Turn::Deadline => late = true,
                Turn::Left => return Err(gone(Errno::EPIPE)),
                Turn::Moved | Turn::Signal => {}
            }
        }
        if let Some(fifo) = &self.fresh {
            let event = |event: Event| event.session(self.id).pipe(fifo.name());
            // If this fails, the session goes on: the pipe works with its name, too. Its end tries again.
            let removed = self.process.log_around(What::UpstreamRemoved, event, || fifo.remove());
            self.fresh.take_if(|_| removed.is_ok());
        }
        Ok(())
    }

    /// Handles BYE instead of READY, from the central process or from the client.
    fn last_word(&mut self, reason: &str) -> Error {
        match self.dispatcher {
            Some(_) if !reason.is_empty() => self.bye(reason),
            _ => Error::lost("it said BYE before READY"),
        }
    }
}
