//! Where events come from: a traced program, a file, or the programs' own logs.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use handshake_cli::{Status, complain};
use pipe_watch::event::{Event, Header};
use pipe_watch::timeline::{merge, read_events};
use pipe_watch::tracer;

use super::args::{Args, Source};
use super::demo;
use super::import;
use super::live::{self, Outcome};
use super::looks;

/// Events, and what is known of their source.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) header: Header,
    pub(super) events: Vec<Event>,
    /// How the traced program ended.
    pub(super) outcome: Outcome,
    /// A process that is not to be shown.
    pub(super) hidden: Option<u32>,
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
    fn of_past(header: Header, events: Vec<Event>) -> Self {
        Self { header, events, outcome: Outcome::Done, hidden: None }
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
        let is_usage = matches!(error, tracer::Error::Command | tracer::Error::Start { .. });
        Self(if is_usage { Status::Usage } else { Status::Refused }, error.to_string())
    }
}

impl From<handshake_core::Error> for NoEvents {
    fn from(error: handshake_core::Error) -> Self {
        Self(Status::Usage, error.to_string())
    }
}

/// Reads them, or runs the program that makes them.
pub(super) fn events(args: &Args) -> Result<Events, NoEvents> {
    let mut found = match args.source() {
        Source::Live(command) => match live::record(args, command) {
            Err(tracer::Error::Refused(refusal)) => {
                complain("lab", refusal);
                complain("lab", "it looks at the program instead: short events are missing, and all bytes");
                looks::record(args, command)?
            }
            recorded => recorded?,
        },
        Source::Demo(demo) => demo::record(args, demo)?,
        Source::File(path) => {
            let (header, events) = from_file(path)?;
            Events::of_past(header, events)
        }
        Source::Logs => Events::of_past(Header::new(Vec::new()), Vec::new()),
    };
    found.add(from_logs(&args.events)?);
    Ok(found)
}

fn from_file(path: &Path) -> Result<(Header, Vec<Event>), String> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    read_events(BufReader::new(file)).map_err(|error| format!("cannot read {}: {error}", path.display()))
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
