//! Runs a command, and prints what it and its descendants did with pipes:
//!
//! ```sh
//! cargo run -p pipe-watch --example trace -- sh -c 'echo hi | cat'
//! ```

use std::env;
use std::ffi::OsString;

use pipe_watch::timeline::{Timeline, text_of};
use pipe_watch::tracer::{Options, trace};

fn main() -> Result<(), pipe_watch::tracer::Error> {
    let given: Vec<OsString> = env::args_os().skip(1).collect();
    let command =
        if given.is_empty() { ["sh", "-c", "echo hi | cat"].map(Into::into).to_vec() } else { given };
    let mut events = Vec::new();
    let summary = trace(&command, &Options::default(), &mut |event| {
        events.push(event);
        Ok(())
    })?;
    let timeline = Timeline::of(events);
    for event in 0..timeline.events.len() {
        println!("{}: {}", timeline.lanes[timeline.lane_of[event]].title, text_of(&timeline, event));
    }
    for arrow in &timeline.arrows {
        let [from, to] = [arrow.from, arrow.to].map(|event| timeline.events[event].seq);
        println!("{} bytes went from event {from} to event {to}", arrow.bytes.unwrap_or(0));
    }
    println!("{} processes, {} events", summary.processes, summary.kept);
    Ok(())
}
