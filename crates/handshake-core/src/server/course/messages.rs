//! Turns a course client's messages into frames.

use std::path::PathBuf;

use super::foreign::ForeignNames;
use crate::stream::Translate;
use crate::wire::{Header, Kind, append, pieces};

/// Turns each read of a course client's pipe into a request of the client's session. The session then handles
/// the client like a framed one.
#[derive(Debug)]
pub(crate) struct Messages {
    /// Receives the names among the bytes read.
    foreign: ForeignNames,
    /// The client's private pipe, whose name is not foreign.
    private: PathBuf,
    session: u64,
    /// How many messages there were.
    count: u32,
}

impl Messages {
    /// Begins without messages.
    pub(crate) fn of_session(session: u64, private: PathBuf, foreign: ForeignNames) -> Self {
        Self { foreign, private, session, count: 0 }
    }
}

impl Translate for Messages {
    /// Returns no frames if the read contained only names.
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
