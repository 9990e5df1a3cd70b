//! The exit statuses, and which error ends a program with which (docs/protocol.md).

use handshake_core::Error;

/// The exit statuses, one table for all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done = 0,
    /// No answer in time, a broken protocol, a lost connection, a refused message.
    Broken = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The system or the server refused.
    Refused = 3,
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        match error {
            Error::System { .. }
            | Error::NotOurs { .. }
            | Error::InUse { .. }
            | Error::NoServer { .. }
            | Error::Refused { .. } => Self::Refused,
            Error::NoName { .. } => Self::Usage,
            _ => Self::Broken,
        }
    }
}
