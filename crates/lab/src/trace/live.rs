//! Runs a program and traces it.

use std::ffi::OsString;

use handshake_cli::complain;
use pipe_watch::event::{Event, Header};
use pipe_watch::look::{Ending, printable};
use pipe_watch::tracer::{self, Options, trace};

use super::args::Args;
use super::recording::{Events, Outcome};

/// Runs a program until it and its descendants have ended. Returns early at a signal, when they have ended.
///
/// # Errors
/// Those of the tracer.
pub(super) fn record(args: &Args, command: &[OsString]) -> Result<Events, tracer::Error> {
    let mut options = Options::default();
    options.data = args.data;
    options.max_events = args.max_events.unwrap_or(options.max_events);
    options.max_processes = args.max_processes;
    options.linger = Some(args.linger);
    let mut events = Vec::new();
    let summary = trace(command, &options, &mut |event| {
        events.push(event);
        Ok(())
    })?;
    for warning in &summary.warnings {
        complain("lab", printable(warning));
    }
    complain_of_left_out(summary.left_out);
    events.sort_by_key(|event: &Event| event.seq);
    (1..).zip(&mut events).for_each(|(seq, event)| event.seq = seq);
    let outcome = Outcome::of(summary.signal, summary.ending == Ending::Exited(0));
    Ok(Events { header: Header::new(command), events, outcome })
}

/// Says how many events are missing because of the limit.
pub(super) fn complain_of_left_out(count: u64) {
    if count > 0 {
        complain("lab", format!("{count} more events were left out: --max-events has the limit"));
    }
}
