//! Makes a course client's messages into frames.

use std::path::PathBuf;

use super::foreign::ForeignNames;
use crate::stream::Translate;
use crate::wire::{Header, Kind, append, pieces};

/// Each read of a course client's pipe is a message. It becomes a request of its session here, and from here on the
/// client is like any other.
#[derive(Debug)]
pub(crate) struct Messages {
    /// Names in what is read go there.
    foreign: ForeignNames,
    /// The client's private pipe, whose name is not foreign.
    private: PathBuf,
    session: u64,
    /// How many there were.
    count: u32,
}

impl Messages {
    /// None yet.
    pub(crate) fn of_session(session: u64, private: PathBuf, foreign: ForeignNames) -> Self {
        Self { foreign, private, session, count: 0 }
    }
}

impl Translate for Messages {
    /// None, if all of it was names.
    fn frames_of(&mut self, read: Vec<u8>) -> Vec<u8> {
        let mut frames = Vec::new();
        if let Some(message) = self.foreign.taken_out_of(read, &self.private) {
            self.count = self.count.wrapping_add(1);
            let (session, sequence) = (self.session, self.count);
            for (payload, part) in pieces(&message) {
                append(&mut frames, Header { kind: Kind::Request, part, session, sequence }, payload);
            }
        }
        frames
    }
}
