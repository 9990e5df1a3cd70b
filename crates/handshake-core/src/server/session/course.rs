//! A session with a course client: a third step instead of READY, and texts in records of the client's size.

use std::path::PathBuf;

use nix::errno::Errno;

use super::incoming::Incoming;
use super::io::gone;
use super::{Found, Session, Turn};
use crate::course::split::{Front, Known, Shape};
use crate::course::{HandshakeSteps, padded, text_of, without_newline};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::event::What;
use crate::server::course::client_process::is_running;
use crate::server::course::names::{NameRecord, RecordForm};
use crate::server::course::open::{THIRD_STEP_WITHIN, THIRD_STEP_WITHIN_WHILE_RUNNING};
use crate::text::words;

const NONE_CAME: &str = "none came within 100 ms: it has none";
const TAKEN_FOR_THIRD_STEP: &str =
    "its first record is taken for the third step; if it is a message, start the server with --handshake 2";
const TAKEN_FOR_MESSAGE: &str =
    "its first record is taken for a message; if it is the third step, start the server with --handshake 3";
const TEXT_FOR_INTEGER: &str =
    "it takes the acknowledgement for a number: start the server with --ack-size 4";

/// What the server knows of the client.
#[derive(Debug)]
pub(super) struct Course {
    private: PathBuf,
    ways: HandshakeSteps,
    is_original: bool,
    known: Known,
    confirmation: Confirmation,
    /// The size of its messages, once the first has come.
    shape: Option<Shape>,
    /// The messages of one read. Those before `pending[received..]` have been received.
    pending: Vec<u8>,
    received: usize,
    /// If they are several messages: their shape.
    divided: Option<Shape>,
    /// The size of the current request's record, which is the size of the client's buffer.
    record: usize,
    /// Whether its text ended in a newline.
    has_newline: bool,
}

/// Whether a third step may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmation {
    /// The next record is probably the third step.
    Awaited,
    /// The next record is the third step only if it can be nothing else.
    Possible,
    /// The third step has come, or there is none.
    Over,
}

impl Course {
    /// Returns a reply as this client reads it: text and NUL, never larger than its request. It would read
    /// the rest of a larger reply as the next reply.
    pub(super) fn reply(&self, text: &[u8]) -> Vec<u8> {
        let newline: &[u8] = if self.has_newline { b"\n" } else { b"" };
        padded(&[text, newline].concat(), self.record)
    }

    /// Returns how many bytes at the front of a read are the third step, and a text for the log if that is in
    /// doubt.
    fn third_step(&self, read: &[u8]) -> (Option<usize>, Option<&'static str>) {
        let awaited = match self.confirmation {
            Confirmation::Over => return (None, None),
            Confirmation::Possible => false,
            Confirmation::Awaited => true,
        };
        if awaited && self.ways == HandshakeSteps::Three {
            return (Some(self.known.third_step_size(read)), None);
        }
        match self.known.front(read) {
            Front::ThirdStep(size) if awaited || self.known.is_third_step(&read[..size]) => {
                (Some(size), None)
            }
            Front::Probably(size) if awaited => (Some(size), Some(TAKEN_FOR_THIRD_STEP)),
            Front::Unknown if awaited => (None, Some(TAKEN_FOR_MESSAGE)),
            _ => (None, None),
        }
    }
}

impl Session {
    /// Sets the session up for a client that speaks the course dialect and got this acknowledgement.
    #[must_use]
    pub(crate) fn in_course(
        mut self,
        private: PathBuf,
        ways: HandshakeSteps,
        name: NameRecord,
        ack: Vec<u8>,
    ) -> Self {
        self.incoming = Incoming::unnumbered();
        self.course = Some(Course {
            private,
            ways,
            is_original: name.form == RecordForm::Original,
            known: Known { name_size: name.size, is_bare: name.is_bare, ack },
            confirmation: Confirmation::Awaited,
            shape: None,
            pending: Vec::new(),
            received: 0,
            divided: None,
            record: 0,
            has_newline: false,
        });
        self
    }

    /// Waits for the answer to step 8, if there is one. After it, both ends have sent to and received from
    /// each other.
    pub(super) fn await_third_step(&mut self) -> Result<()> {
        let (ways, is_original) = self
            .course
            .as_ref()
            .map_or((HandshakeSteps::Two, false), |course| (course.ways, course.is_original));
        let patience = match ways {
            HandshakeSteps::Two => {
                self.no_third_step(Confirmation::Over, "--handshake 2: course clients have none");
                return Ok(());
            }
            HandshakeSteps::Auto if is_original => {
                self.no_third_step(Confirmation::Possible, "a name in 100 zero-padded bytes: it has none");
                return Ok(());
            }
            HandshakeSteps::Three => self.limits.handshake_timeout,
            HandshakeSteps::Auto => THIRD_STEP_WITHIN,
        };
        let (mut until, mut late) = (Deadline::after(patience), false);
        let runs_until = Deadline::in_exactly(THIRD_STEP_WITHIN_WHILE_RUNNING);
        let mut record = Vec::new();
        while self.confirmation() == Confirmation::Awaited {
            match self.find(&mut record)? {
                Found::Bye(reason) => return Err(Error::lost(reason)),
                Found::Nothing if self.confirmation() != Confirmation::Awaited => break,
                Found::Nothing if self.input_ended => {
                    return Err(Error::lost("it left after the acknowledgement"));
                }
                Found::Nothing | Found::Request => {}
            }
            if self.process.asked_to_end().is_some() {
                return Err(Error::lost("the server is shutting down"));
            }
            if late && ways == HandshakeSteps::Auto && !runs_until.passed() && self.client_is_running() {
                (until, late) = (Deadline::after(patience), false);
            }
            if late {
                match (ways, &self.dispatcher) {
                    (HandshakeSteps::Auto, None) => self.no_third_step(Confirmation::Possible, NONE_CAME),
                    _ => self.deadline_passed("no third step came within the handshake timeout")?,
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

    /// Divides one read of a course client into its third step, if one may come, and messages for
    /// [`Session::pending_message`]. Returns whether a third step was awaited.
    pub(super) fn take_read(&mut self, read: Vec<u8>) -> bool {
        let Some(course) = &mut self.course else { return false };
        let (third_step, doubt) = course.third_step(&read);
        let awaited =
            std::mem::replace(&mut course.confirmation, Confirmation::Over) == Confirmation::Awaited;
        let (third_step, rest) = read.split_at(third_step.unwrap_or(0));
        if !rest.is_empty() {
            let several = |shape: &Shape| shape.first(rest) < rest.len() && shape.divides(rest);
            course.divided = course.shape.filter(several);
            if course.divided.is_none() {
                course.shape = Some(Shape::of(rest));
            }
            (course.pending, course.received) = (rest.to_vec(), 0);
        }
        let doubt =
            if course.known.took_text_for_integer(third_step) { Some(TEXT_FOR_INTEGER) } else { doubt };
        if rest.is_empty() {
            self.answered();
        }
        if !third_step.is_empty() {
            let text = words(text_of(third_step));
            self.process.log(What::ReadyReceived, |event| event.session(self.id).text(text));
        } else if awaited {
            self.process.log(What::NoConfirmation, |event| event.session(self.id).text("a message came"));
        }
        if let Some(doubt) = doubt {
            self.process.log(What::InDoubt, |event| event.session(self.id).text(doubt));
        }
        awaited
    }

    /// Takes the next of several messages that came together, and removes everything but its text. Returns
    /// false if there is none.
    pub(super) fn pending_message(&mut self, message: &mut Vec<u8>) -> bool {
        let Some(course) = &mut self.course else { return false };
        let rest = &course.pending[course.received..];
        if rest.is_empty() {
            return false;
        }
        let size = course.divided.map_or(rest.len(), |shape| shape.first(rest));
        let text = text_of(&rest[..size]);
        course.record = size;
        course.has_newline = text.ends_with(b"\n");
        message.clear();
        message.extend_from_slice(without_newline(text));
        course.received += size;
        true
    }

    fn client_is_running(&self) -> bool {
        self.course.as_ref().is_some_and(|course| is_running(&course.private))
    }

    fn confirmation(&self) -> Confirmation {
        self.course.as_ref().map_or(Confirmation::Over, |course| course.confirmation)
    }

    /// Handles the central process's report that it found no third step. With `--handshake auto`, the session
    /// then expects none. Returns whether a third step was awaited.
    pub(super) fn third_step_not_found(&mut self) -> bool {
        let awaited = self.confirmation() == Confirmation::Awaited
            && self.course.as_ref().is_some_and(|course| course.ways == HandshakeSteps::Auto);
        if awaited {
            self.no_third_step(Confirmation::Possible, NONE_CAME);
        }
        awaited
    }

    fn no_third_step(&mut self, then: Confirmation, because: &str) {
        if let Some(course) = &mut self.course {
            course.confirmation = then;
        }
        self.process.log(What::NoConfirmation, |event| event.session(self.id).text(because));
    }
}
