//! `lab trace`: what programs did with pipes, as a timeline.
//!
//! The events come from a source (`import` reads logs); `pipe_watch::timeline` puts them together; `view`
//! chooses what to show, and one file for each format writes it: `html` (with `svg`, `layout`, `legend`),
//! `mermaid`, `chrome`, `json`, `text`.

mod args;
mod chrome;
mod details;
mod escape;
mod html;
mod import;
mod json;
mod layout;
mod legend;
mod mermaid;
mod source;
mod svg;
mod text;
mod view;

use std::fs;

use handshake_cli::{Status, complain};
use handshake_core::error::errno_of;
use handshake_core::{Error, Result};
use pipe_watch::timeline::Timeline;

pub use args::Args;
use args::{Format, Output};
use source::Events;
use view::View;

use crate::demo::printer::Printer;

/// Runs the command.
///
/// # Errors
/// A file cannot be written. [`Error::Signal`]: it was interrupted.
pub fn run(args: Args) -> Result<Status> {
    let (events, status) = match source::events(&args) {
        Ok(events) => events,
        Err(error) => return usage(error),
    };
    let Events { header, events } = events;
    let timeline = Timeline::of(events);
    let title = args.title.clone().unwrap_or_else(|| title(&header.command, &timeline));
    let view = match View::new(&timeline, title, &args.choice()) {
        Ok(view) => view,
        Err(error) => return usage(error),
    };
    for output in args.outputs() {
        let text = match output.format {
            Format::Html => html::file(&view, args.by_clock()),
            Format::Svg => svg::file(&view, args.by_clock()),
            Format::Mermaid => mermaid::file(&view),
            Format::Chrome => chrome::file(&view),
            Format::Json => json::timeline(&timeline),
            Format::Lines => json::lines(&header, &timeline.events),
            Format::Text => text::file(&view),
        };
        write(output, &text)?;
    }
    if args.outputs().is_empty() {
        print(&view)?;
    }
    Ok(status)
}

fn usage(error: String) -> Result<Status> {
    complain("lab", error);
    Ok(Status::Usage)
}

fn write(output: &Output, text: &str) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::on("write", output.path.display().to_string(), errno_of(&error));
    fs::write(&output.path, text).map_err(failed)
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
    if !command.is_empty() {
        return pipe_watch::look::printable(&command.join(" "));
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
