//! Where events come from: a traced program, a file, or the programs' own logs.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use handshake_cli::Status;
use pipe_watch::event::{Event, Header};
use pipe_watch::timeline::{merge, read_events};

use super::args::{Args, Source};
use super::import;

/// Events, and what is known of their source.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) header: Header,
    pub(super) events: Vec<Event>,
}

/// Reads them.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn events(args: &Args) -> Result<(Events, Status), String> {
    let (header, traced) = match args.source() {
        Source::Live(command) => return Err(format!("tracing {command:?} is not built here")),
        Source::File(path) => from_file(path)?,
        Source::Logs => (Header::new(Vec::new()), Vec::new()),
    };
    let own = from_logs(&args.events)?;
    let events = match (traced.is_empty(), own.is_empty()) {
        (_, true) => traced,
        (true, _) => own,
        (false, false) => merge(traced, own),
    };
    Ok((Events { header, events }, Status::Done))
}

fn from_file(path: &Path) -> Result<(Header, Vec<Event>), String> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    read_events(BufReader::new(file)).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn from_logs(paths: &[impl AsRef<Path>]) -> Result<Vec<Event>, String> {
    let mut own = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        own.extend(import::parse(&text).map_err(|error| format!("cannot read {}: {error}", path.display()))?);
    }
    Ok(import::events(own))
}
