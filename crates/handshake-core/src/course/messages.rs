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
    /// Who looks for strangers' names in what comes through this pipe.
    process: Rc<Process>,
    /// The client's private pipe, whose name is no stranger's.
    private: PathBuf,
    session: u64,
    /// How many there were.
    count: u32,
}

impl Messages {
    /// None yet.
    pub(crate) fn of_session(session: u64, private: PathBuf, process: &Rc<Process>) -> Self {
        Self { process: Rc::clone(process), private, session, count: 0 }
    }

    /// The records of what one read gave; none, if all of it was strangers', who join the `queue`.
    pub(crate) fn records_of(&mut self, read: Vec<u8>, queue: &Rc<PipeQueue>) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(message) = self.process.without_strangers(read, &self.private, queue) {
            self.count = self.count.wrapping_add(1);
            let (session, sequence) = (self.session, self.count);
            for (payload, part) in pieces(&message) {
                append(&mut records, Header { kind: Kind::Request, part, session, sequence }, payload);
            }
        }
        records
    }
}
