//! A session with a course client: a record instead of READY, and texts in records of the client's size.

use std::path::PathBuf;
use std::rc::Rc;

use super::confirmation::Confirmation;
use super::incoming::Taken;
use crate::course::split::{Front, Known, Shape};
use crate::course::{HandshakeSteps, padded, text_of, without_newline};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::event::What;
use crate::process::Process;
use crate::server::course::client_process::is_running;
use crate::server::course::names::{NameRecord, RecordForm};
use crate::server::course::open::THIRD_STEP_WITHIN_WHILE_RUNNING;
use crate::stream::FrameWriter;
use crate::text::words;
use crate::wire::{Header, Kind};

const TWO_STEPS: &str = "--handshake 2: course clients have none";
const ORIGINAL: &str = "a name in 100 zero-padded bytes: it has none";
const NONE_CAME: &str = "none came within 100 ms: it has none";
const TAKEN_FOR_THIRD_STEP: &str =
    "its first record is taken for the third step; if it is a message, start the server with --handshake 2";
const TAKEN_FOR_MESSAGE: &str =
    "its first record is taken for a message; if it is the third step, start the server with --handshake 3";
const TEXT_FOR_INTEGER: &str =
    "it takes the acknowledgement for a number: start the server with --ack-size 4";

/// What the server knows of the client.
pub(super) struct Course {
    process: Rc<Process>,
    session: u64,
    private: PathBuf,
    ways: HandshakeSteps,
    known: Known,
    /// Until when a client that runs gets more time for its third step.
    runs_until: Deadline,
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
    /// The parts of a reply that is not complete yet.
    reply: Vec<u8>,
}

impl Course {
    /// Begins with a client that got this acknowledgement.
    pub(super) fn new(
        process: &Rc<Process>,
        session: u64,
        private: PathBuf,
        ways: HandshakeSteps,
        name: NameRecord,
        ack: Vec<u8>,
    ) -> Self {
        Self {
            process: Rc::clone(process),
            session,
            private,
            ways,
            known: Known { name_size: name.size, is_bare: name.is_bare, ack },
            runs_until: Deadline::in_exactly(THIRD_STEP_WITHIN_WHILE_RUNNING),
            shape: None,
            pending: Vec::new(),
            received: 0,
            divided: None,
            record: 0,
            has_newline: false,
            reply: Vec::new(),
        }
    }

    /// Returns the confirmation to expect from a client whose name had this form.
    pub(super) fn awaits(&self, form: RecordForm) -> Confirmation {
        match self.ways {
            HandshakeSteps::Two => self.no_third_step(Confirmation::Over, TWO_STEPS),
            HandshakeSteps::Auto if form == RecordForm::Original => {
                self.no_third_step(Confirmation::Possible, ORIGINAL)
            }
            _ => Confirmation::Record,
        }
    }

    /// Judges that no third step came in time, for `Dialect::confirmation_is_late`. With `--handshake auto`,
    /// a client that runs gets more time, and any other client has no third step.
    pub(super) fn third_step_is_late(
        &self,
        confirmation: &mut Confirmation,
        is_sure: bool,
    ) -> Option<&'static str> {
        if self.ways == HandshakeSteps::Auto {
            if !self.runs_until.passed() && is_running(&self.private) {
                return None;
            }
            if is_sure {
                *confirmation = self.no_third_step(Confirmation::Possible, NONE_CAME);
                return None;
            }
        }
        Some("no third step came within the handshake timeout")
    }

    /// Divides one read into the third step, if one may come, and messages.
    pub(super) fn take(
        &mut self,
        read: Vec<u8>,
        message: &mut Vec<u8>,
        confirmation: &mut Confirmation,
    ) -> Taken {
        let (third_step, doubt) = self.third_step(&read, *confirmation);
        let was_awaited = std::mem::replace(confirmation, Confirmation::Over).is_awaited();
        let (third_step, rest) = read.split_at(third_step.unwrap_or(0));
        if !rest.is_empty() {
            let several = |shape: &Shape| shape.first(rest) < rest.len() && shape.divides(rest);
            self.divided = self.shape.filter(several);
            if self.divided.is_none() {
                self.shape = Some(Shape::of(rest));
            }
            (self.pending, self.received) = (rest.to_vec(), 0);
        }
        let doubt = if self.known.took_text_for_integer(third_step) { Some(TEXT_FOR_INTEGER) } else { doubt };
        if !third_step.is_empty() {
            self.log(What::ReadyReceived, &words(text_of(third_step)));
        } else if was_awaited {
            self.log(What::NoConfirmation, "a message came");
        }
        if let Some(doubt) = doubt {
            self.log(What::InDoubt, doubt);
        }
        match rest.is_empty() {
            alone if was_awaited => Taken::Confirmation { alone },
            true => Taken::Nothing,
            false => {
                self.next_message(message);
                Taken::Request
            }
        }
    }

    /// Takes the next of several messages that came together, and removes everything but its text. Returns
    /// false if there is none.
    pub(super) fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        let rest = &self.pending[self.received..];
        if rest.is_empty() {
            return false;
        }
        let size = self.divided.map_or(rest.len(), |shape| shape.first(rest));
        let text = text_of(&rest[..size]);
        self.record = size;
        self.has_newline = text.ends_with(b"\n");
        message.clear();
        message.extend_from_slice(without_newline(text));
        self.received += size;
        true
    }

    /// Queues a reply as this client reads it: text and NUL, never larger than its request. It would read the
    /// rest of a larger reply as the next reply. BYE does not exist: the client reads EOF.
    ///
    /// # Errors
    /// [`Error::Lost`]: a REFUSE, which does not exist either.
    pub(super) fn push(&mut self, to_client: &mut FrameWriter, header: Header, text: &[u8]) -> Result<()> {
        match header.kind {
            Kind::Reply => {
                let room = self.record - self.reply.len();
                self.reply.extend_from_slice(&text[..text.len().min(room)]);
                if !header.part.more {
                    self.reply.extend_from_slice(if self.has_newline { b"\n" } else { b"" });
                    to_client.push_raw(&padded(&self.reply, self.record));
                    self.reply.clear();
                }
                Ok(())
            }
            Kind::Refuse => Err(Error::lost(String::from_utf8_lossy(text))),
            _ => Ok(()),
        }
    }

    /// Returns how many bytes at the front of a read are the third step, and a text for the log if that is in
    /// doubt.
    fn third_step(&self, read: &[u8], confirmation: Confirmation) -> (Option<usize>, Option<&'static str>) {
        let awaited = confirmation.is_awaited();
        if confirmation == Confirmation::Over {
            return (None, None);
        }
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

    fn no_third_step(&self, then: Confirmation, because: &str) -> Confirmation {
        self.log(What::NoConfirmation, because);
        then
    }

    fn log(&self, what: What, text: &str) {
        self.process.log(what, |event| event.session(self.session).text(text));
    }
}
