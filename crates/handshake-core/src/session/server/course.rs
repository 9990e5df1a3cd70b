//! What is different in a session with a course client: a third step instead of READY, and texts in records of the client's
//! size.

use nix::errno::Errno;

use super::turn::{gone, lost};
use super::{Found, Session, Turn};
use crate::course::server::GRACE;
use crate::course::{HOLA, Ways, padded, text_of, without_newline};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::event::What;
use crate::text::words;

const NONE_CAME: &str = "none came within 100 ms: it has none";

/// What is known of the client.
#[derive(Debug)]
pub(super) struct Course {
    ways: Ways,
    /// The acknowledgement that it got.
    ack: Vec<u8>,
    confirmation: Confirmation,
    /// How large the record of its request is, and so what its buffer holds.
    record: usize,
}

/// Whether a third step may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmation {
    /// The next record is it.
    Awaited,
    /// The next record is it if it can be nothing else.
    Possible,
    /// It has come, or there is none.
    Over,
}

/// What a record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A message, now without what is none of its text.
    Message,
    /// The third step that was awaited.
    AwaitedThirdStep,
    /// One that was not awaited any longer.
    LateThirdStep,
}

impl Course {
    /// A reply as this client reads it: text and NUL, never larger than what it sent, or the rest would be taken for the next.
    pub(super) fn reply(&self, text: &[u8]) -> Vec<u8> {
        padded(text, self.record)
    }

    /// Whether this can be nothing but a third step: HOLA, the acknowledgement, or its number plus one.
    fn is_third_step(&self, record: &[u8]) -> bool {
        let text = without_newline(text_of(record));
        let ack = text_of(&self.ack);
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
        let integer = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
        let is_next_number = number(ack).is_some_and(|sent| number(text) == sent.checked_add(1));
        let is_next_integer = integer(&self.ack).is_some_and(|sent| integer(record) == sent.checked_add(1));
        // An integer may read as a text of a byte or two, and a message may be just that.
        let is_text = ack.len() + 1 == self.ack.len() || self.ack.len() > size_of::<u32>();
        let is_ack = record == self.ack || is_text && !ack.is_empty() && text == ack;
        text == HOLA || is_ack || is_next_number || is_next_integer
    }
}

impl Session {
    /// The client speaks the course dialect; it got this acknowledgement.
    #[must_use]
    pub(crate) fn in_course(mut self, ways: Ways, ack: Vec<u8>) -> Self {
        self.course = Some(Course { ways, ack, confirmation: Confirmation::Awaited, record: 0 });
        self
    }

    /// The answer to step 8, where there is one. With it both ends have sent to and received from each other.
    pub(super) fn await_third_step(&mut self) -> Result<()> {
        let ways = self.course.as_ref().map_or(Ways::Two, |course| course.ways);
        let patience = match ways {
            Ways::Two => {
                self.no_third_step(Confirmation::Over, "--handshake 2: course clients have none");
                return Ok(());
            }
            Ways::Three => self.terms.handshake_timeout,
            Ways::Auto => GRACE,
        };
        let (mut until, mut late) = (Deadline::after(patience), false);
        let mut record = Vec::new();
        while self.confirmation() == Confirmation::Awaited {
            match self.find(&mut record)? {
                Found::Bye(reason) => return Err(lost(&reason)),
                Found::Nothing if self.confirmation() != Confirmation::Awaited => break,
                Found::Nothing if self.input_ended => return Err(lost("it left after the acknowledgement")),
                Found::Nothing | Found::Request => {}
            }
            if self.process.asked_to_end().is_some() {
                return Err(lost("the server is shutting down"));
            }
            if late {
                match (ways, &self.centre) {
                    (Ways::Auto, None) => self.no_third_step(Confirmation::Possible, NONE_CAME),
                    _ => self.deadline_passed("no third step came within --handshake-timeout")?,
                }
                (until, late) = (Deadline::after(patience), false);
                continue;
            }
            late = until.passed();
            match self.turn(until)? {
                Turn::Deadline => late = true,
                Turn::Left => return Err(gone(Errno::EPIPE)),
                Turn::Moved | Turn::Signal => {}
            }
        }
        Ok(())
    }

    /// What a record is that has come whole: for the service, or for whom?
    pub(super) fn heard(&mut self, record: &mut Vec<u8>) -> Heard {
        let Some(course) = &mut self.course else { return Heard::Message };
        course.record = record.len();
        let confirmation = std::mem::replace(&mut course.confirmation, Confirmation::Over);
        let awaited = confirmation == Confirmation::Awaited;
        if awaited || confirmation == Confirmation::Possible && course.is_third_step(record) {
            let text = words(text_of(record));
            self.process.saw(What::ReadyReceived, |event| event.session(self.id).text(text));
            record.clear();
            // It is no message.
            self.due = self.due.wrapping_sub(1);
            self.answered();
            return if awaited { Heard::AwaitedThirdStep } else { Heard::LateThirdStep };
        }
        record.truncate(without_newline(text_of(record)).len());
        Heard::Message
    }

    fn confirmation(&self) -> Confirmation {
        self.course.as_ref().map_or(Confirmation::Over, |course| course.confirmation)
    }

    /// The central process found no third step when it was asked: where that is to be found out, there is none.
    pub(super) fn finds_no_third_step(&mut self) -> bool {
        let awaited = self.confirmation() == Confirmation::Awaited
            && self.course.as_ref().is_some_and(|course| course.ways == Ways::Auto);
        if awaited {
            self.no_third_step(Confirmation::Possible, NONE_CAME);
        }
        awaited
    }

    fn no_third_step(&mut self, then: Confirmation, because: &str) {
        if let Some(course) = &mut self.course {
            course.confirmation = then;
        }
        self.process.saw(What::ThirdStepSpared, |event| event.session(self.id).text(because));
    }
}
