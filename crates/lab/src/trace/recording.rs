//! What was recorded of programs: their events, and how a traced program ended.

use std::fs;
use std::path::Path;

use handshake_cli::Status;
use handshake_core::Error;
use pipe_watch::event::{Event, Header};
use pipe_watch::timeline::merge;
use pipe_watch::tracer;

use super::import;

/// Events, and what is known of their source.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) header: Header,
    pub(super) events: Vec<Event>,
    /// How the traced program ended.
    pub(super) outcome: Outcome,
}

impl Events {
    /// Adds what the programs' own logs say.
    pub(super) fn add(&mut self, own: Vec<Event>) {
        self.events = match (self.events.is_empty(), own.is_empty()) {
            (_, true) => return,
            (true, _) => own,
            (false, false) => merge(std::mem::take(&mut self.events), own),
        };
    }

    /// Events of a program that ran before.
    pub(super) fn of_past(header: Header, events: Vec<Event>) -> Self {
        Self { header, events, outcome: Outcome::Done }
    }
}

/// How a traced program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It succeeded.
    Done,
    /// It did not succeed.
    Failed,
    /// This signal to the lab ended the trace.
    Interrupted(i32),
}

impl Outcome {
    pub(super) fn of(signal: Option<i32>, is_success: bool) -> Self {
        match signal {
            Some(signal) => Self::Interrupted(signal),
            None if is_success => Self::Done,
            None => Self::Failed,
        }
    }

    /// The exit status.
    ///
    /// # Errors
    /// [`Signal`](Error::Signal): the trace was interrupted.
    pub(super) fn status(self) -> handshake_core::Result<Status> {
        match self {
            Self::Done => Ok(Status::Done),
            Self::Failed => Ok(Status::Broken),
            Self::Interrupted(signal) => Err(Error::Signal(signal)),
        }
    }
}

/// Why there are no events, and the exit status for it.
#[derive(Debug)]
pub(super) struct NoEvents(pub(super) Status, pub(super) String);

impl From<String> for NoEvents {
    fn from(text: String) -> Self {
        Self(Status::Usage, text)
    }
}

impl From<tracer::Error> for NoEvents {
    fn from(error: tracer::Error) -> Self {
        let is_usage = matches!(error, tracer::Error::Command);
        Self(if is_usage { Status::Usage } else { Status::Refused }, error.to_string())
    }
}

impl From<handshake_core::Error> for NoEvents {
    fn from(error: handshake_core::Error) -> Self {
        Self(Status::Refused, error.to_string())
    }
}

/// Reads the event logs of our programs.
pub(super) fn from_logs(paths: &[impl AsRef<Path>]) -> Result<Vec<Event>, String> {
    let mut own = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        own.extend(import::parse(&text).map_err(|error| failed(&error))?);
    }
    Ok(import::events(own))
}
