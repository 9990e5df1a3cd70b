//! `lab trace`: what programs did with pipes, as a timeline.
//!
//! The events come from a `source`: `live` traces a program (`looks` is the fallback where that is not
//! allowed), `demo` traces a demo, and `import` reads the programs' own logs. `pipe_watch::timeline` puts
//! events together, and `view` chooses what to show. One file for each format writes it: `html` (with `svg`,
//! `layout`, `legend`), `mermaid`, `chrome`, `json`, `text`.

mod args;
mod chrome;
mod demo;
mod details;
mod escape;
mod html;
mod import;
mod json;
mod layout;
mod legend;
mod live;
mod looks;
mod mermaid;
mod recording;
mod source;
mod svg;
mod text;
mod view;

use std::fs;

use handshake_cli::{Status, complain};
use handshake_core::error::errno_of;
use handshake_core::{Error, Result};
use pipe_watch::event::Header;
use pipe_watch::look::printable;
use pipe_watch::timeline::Timeline;

pub use args::Args;
use args::{Format, MOST};
pub(crate) use args::{Output, output};
pub(crate) use demo::title as demo_title;
use recording::{Events, NoEvents};
use view::View;

use crate::demo::printer::Printer;

/// Runs the command. [`Status::Broken`]: the traced program did not succeed.
///
/// # Errors
/// A file cannot be written. [`Error::Signal`]: the trace was interrupted; what came before is written.
pub fn run(args: Args) -> Result<Status> {
    if args.runs_programs() {
        args.outputs().iter().try_for_each(open)?;
    }
    let Events { header, events, outcome } = match source::events(&args) {
        Ok(events) => events,
        Err(NoEvents(status, reason)) => {
            complain("lab", reason);
            return Ok(status);
        }
    };
    let timeline = Timeline::of(events);
    let chosen = args.title.clone().or_else(|| header.title.clone());
    let title = chosen.map_or_else(|| title(&header.command, &timeline), |title| printable(&title));
    let choice = args.choice(header.hidden);
    let shown = choice.shown(&timeline);
    let all = || choice.of_all().shown(&timeline).unwrap_or_default();
    let view = View::new(&timeline, title, shown.as_ref().unwrap_or(&all()), choice.folds, choice.most);
    let written = args.outputs().iter().map(|output| write(output, &header, &view, args.by_clock()));
    // A recording is precious: each file is written, whatever happened to the others.
    written.collect::<Vec<_>>().into_iter().collect::<Result<()>>()?;
    if args.outputs().is_empty() {
        print(&view)?;
    }
    match shown {
        Ok(_) => outcome.status(),
        Err(error) => {
            complain("lab", error);
            Ok(Status::Usage)
        }
    }
}

/// Opens a file, so that a program does not run in vain.
fn open(output: &Output) -> Result<()> {
    let opened = fs::OpenOptions::new().write(true).create(true).truncate(false).open(output.path());
    opened
        .map(drop)
        .map_err(|error| Error::on("write", output.path().display().to_string(), errno_of(&error)))
}

/// Draws the event log of our programs.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(own: Vec<handshake_core::event::Event>, title: String, output: &Output) -> Result<()> {
    let timeline = Timeline::of(import::events(own));
    let all = vec![true; timeline.events.len()];
    let view = View::new(&timeline, title, &all, true, MOST);
    write(output, &Header::new(&[]), &view, false)
}

/// Writes a file in the format of its name.
fn write(output: &Output, header: &Header, view: &View<'_>, by_clock: bool) -> Result<()> {
    let text = match output.format {
        Format::Html => html::file(view, by_clock),
        Format::Svg => svg::file(view, by_clock),
        Format::Mermaid => mermaid::file(view),
        Format::Chrome => chrome::file(view),
        Format::Json => json::timeline(view.timeline),
        Format::Lines => json::lines(header, &view.timeline.events),
        Format::Text => text::file(view),
    };
    let failed =
        |error: std::io::Error| Error::on("write", output.path().display().to_string(), errno_of(&error));
    fs::write(output.path(), text).map_err(failed)
}

fn print(view: &View<'_>) -> Result<()> {
    let mut printer = Printer::new();
    printer.heading(&view.title)?;
    for line in text::lines(view) {
        printer.item(&line.first, &line.words)?;
    }
    Ok(())
}

/// The command line of a trace; else what there is to see.
fn title(command: &[String], timeline: &Timeline) -> String {
    if let Some((program, arguments)) = command.split_first() {
        let quoted = |word: &String| {
            if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.clone() }
        };
        let program = program.rsplit('/').next().unwrap_or(program).to_owned();
        let words: Vec<String> = [program].into_iter().chain(arguments.iter().map(quoted)).collect();
        return printable(&words.join(" "));
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for lane in &timeline.lanes {
        let name = lane
            .names
            .last()
            .map_or("process", String::as_str)
            .trim_end_matches(|c: char| c.is_ascii_digit());
        match counts.iter_mut().find(|(known, _)| *known == name.trim_end()) {
            Some((_, count)) => *count += 1,
            None => counts.push((name.trim_end(), 1)),
        }
    }
    let words = counts.iter().map(|(name, count)| match count {
        1 => (*name).to_owned(),
        count => format!("{count} {name}s"),
    });
    words.collect::<Vec<_>>().join(", ")
}
