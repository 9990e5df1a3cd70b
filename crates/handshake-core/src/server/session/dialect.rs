//! What a session does differently for each dialect. No other file of the session asks for the dialect.

use std::path::PathBuf;

use super::Session;
use super::confirmation::Confirmation;
use super::course::Course;
use super::incoming::Taken;
use crate::course::HandshakeSteps;
use crate::error::Result;
use crate::server::course::names::NameRecord;
use crate::server::course::open::THIRD_STEP_WITHIN;
use crate::stream::FrameWriter;
use crate::wire::Header;

/// The dialect of a client, and what the session knows of a course client.
pub(super) enum Dialect {
    Framed,
    Course(Box<Course>),
}

impl Dialect {
    /// Judges that no confirmation came in time. Returns the reason to end the session, or `None` if the
    /// session goes on. `is_sure`: the pipe that the client writes to was empty.
    pub(super) fn confirmation_is_late(
        &mut self,
        confirmation: &mut Confirmation,
        is_sure: bool,
    ) -> Option<&'static str> {
        match self {
            Self::Framed => Some("no READY came within the handshake timeout"),
            Self::Course(course) => course.third_step_is_late(confirmation, is_sure),
        }
    }

    /// Takes a complete message of the wire. If it is a request, `message` has its text afterwards.
    pub(super) fn take(&mut self, message: &mut Vec<u8>, confirmation: &mut Confirmation) -> Taken {
        match self {
            Self::Framed => Taken::Request,
            Self::Course(course) => course.take(std::mem::take(message), message, confirmation),
        }
    }

    /// Takes the next of several requests that came together. Returns false if there is none.
    pub(super) fn next_message(&mut self, message: &mut Vec<u8>) -> bool {
        match self {
            Self::Framed => false,
            Self::Course(course) => course.next_message(message),
        }
    }

    /// Queues what the frame says for writing.
    ///
    /// # Errors
    /// The dialect has no such frame, and the session must end.
    pub(super) fn push(&mut self, to_client: &mut FrameWriter, header: Header, payload: &[u8]) -> Result<()> {
        match self {
            Self::Framed => to_client.push(header, payload),
            Self::Course(course) => return course.push(to_client, header, payload),
        }
        Ok(())
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
        let course = Course::new(&self.process, self.id, private, ways, name, ack);
        self.confirmation = course.awaits(name.form);
        if ways == HandshakeSteps::Auto {
            self.limits.handshake_timeout = THIRD_STEP_WITHIN;
        }
        self.dialect = Dialect::Course(Box::new(course));
        self
    }
}
