//! Where events come from: a traced program, a file, or the programs' own logs.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use handshake_cli::complain;
use pipe_watch::event::{Event, Header};
use pipe_watch::timeline::read_events;
use pipe_watch::tracer;

use super::args::{Args, Source};
use super::demo;
use super::live;
use super::looks;
use super::recording::{Events, NoEvents, Outcome, from_logs};

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
        Source::Logs => Events::of_past(Header::new(&[]), Vec::new()),
    };
    match from_logs(&args.events) {
        Ok(own) => found.add(own),
        // The program has run: what was recorded is not thrown away.
        Err(error) if args.runs_programs() => {
            complain("lab", error);
            found.outcome = Outcome::Failed;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(found)
}

fn from_file(path: &Path) -> Result<(Header, Vec<Event>), String> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    read_events(BufReader::new(file)).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
