//! A course client's messages, made records.

use std::path::PathBuf;
use std::rc::Rc;

use super::queue::PipeQueue;
use crate::process::Process;
use crate::wire::{Header, Kind, append, pieces};

/// What is read of a course client: each read is a message. It is made a request of this session here, so that from here on
/// such a client is like any other.
#[derive(Debug, Clone)]
pub struct Messages {
    /// Who looks for strangers' names in what comes through this pipe, and where those wait then.
    process: Rc<Process>,
    queue: Rc<PipeQueue>,
    /// The client's private pipe, whose name is no stranger's.
    private: PathBuf,
    session: u64,
    /// How many there were.
    count: u32,
}

impl Messages {
    /// None yet.
    pub(crate) fn of_session(
        session: u64,
        private: PathBuf,
        queue: &Rc<PipeQueue>,
        process: &Rc<Process>,
    ) -> Self {
        Self { process: Rc::clone(process), queue: Rc::clone(queue), private, session, count: 0 }
    }

    /// The records of what one read gave; none, if all of it was strangers'.
    pub(crate) fn records_of(&mut self, read: Vec<u8>) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(message) = self.process.without_strangers(read, &self.private, &self.queue) {
            self.count = self.count.wrapping_add(1);
            let (session, sequence) = (self.session, self.count);
            for (payload, part) in pieces(&message) {
                append(&mut records, Header { kind: Kind::Request, part, session, sequence }, payload);
            }
        }
        records
    }
}
