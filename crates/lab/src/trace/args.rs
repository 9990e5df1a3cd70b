//! The command line of `lab trace`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipe_watch::tracer::Options;
use probe::paradigm::Paradigm;

use crate::numbers::{CLIENTS_MAX, MESSAGES_MAX, within};

use super::view::Choice;

/// The most events that a picture has, unless more are asked for.
pub(super) const MOST: usize = 2_000;

const USAGE: &str = "lab trace [OPTIONS] -- PROGRAM [ARGUMENT]...
       lab trace [OPTIONS] demo PARADIGM
       lab trace [OPTIONS] --events FILE...
       lab trace [OPTIONS] --from FILE.jsonl";

/// The most bytes that an event keeps.
const DATA_MAX: usize = 1 << 20;

/// See what programs do with pipes, as a timeline: a picture, or text.
///
/// Each process has a lane; arrows lead from each write to the read that took its bytes. The events come from
/// a program that is traced, from a file of events, or from the event logs of this project's programs.
/// Without -o, the timeline is text on stdout. `lab trace demo PARADIGM` traces a demo, with the course's
/// steps.
#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true, disable_help_subcommand = true, override_usage = USAGE)]
#[command(group(
    clap::ArgGroup::new("source").required(true).multiple(true).args(["events", "from", "command"])
))]
pub struct Args {
    /// Write the timeline to FILE; its ending says how: .html .svg .mmd .chrome.json .json .jsonl .txt
    #[arg(short, long, value_name = "FILE", value_parser = output)]
    output: Vec<Output>,

    /// Draw what these event logs say (the files of --events), or add their steps to a trace
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) events: Vec<PathBuf>,

    /// Draw the events in a file that -o FILE.jsonl wrote
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub(super) from: Option<PathBuf>,

    /// Keep the first N bytes of each read and write
    #[arg(long, value_name = "N", default_value = "64", value_parser = within(0..=DATA_MAX))]
    pub(super) data: usize,

    /// Kill a program that starts more than N processes and programs
    #[arg(long, value_name = "N", default_value_t = Options::default().max_processes)]
    pub(super) max_processes: usize,

    /// Let descendants run for DUR when the program has ended; then end them with SIGTERM, and SIGKILL 2 s
    /// later
    #[arg(long, value_name = "DUR", value_parser = handshake_cli::duration, default_value = "1s")]
    pub(super) linger: Duration,

    /// The axis: one event after the other (order), or by time as well (clock)
    #[arg(long, value_name = "AXIS", default_value = "order")]
    time: Axis,

    /// Show only events of this process or pipe: a PID or a name, as the picture has it
    #[arg(long, value_name = "PIPE|PID")]
    only: Vec<String>,

    /// Record and show at most N events, and count the others [default: record 20,000, show 2,000]
    #[arg(long, value_name = "N")]
    pub(super) max_events: Option<usize>,

    /// Show repeated calls as one row (the default)
    #[arg(long, overrides_with = "no_fold")]
    fold: bool,

    /// Show each of many repeated calls
    #[arg(long)]
    no_fold: bool,

    /// The title of the picture
    #[arg(long, value_name = "TEXT")]
    pub(super) title: Option<String>,

    /// The program to trace, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub(super) command: Vec<OsString>,

    #[command(subcommand)]
    demo: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    Demo(DemoArgs),
}

/// Trace a demo: the real server and clients, with the course's steps.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Which server
    #[arg(value_enum)]
    pub(super) paradigm: Paradigm,

    /// How many clients
    #[arg(long, value_name = "N", default_value = "2", value_parser = within(1..=CLIENTS_MAX))]
    pub(super) clients: usize,

    /// How many messages each of them sends
    #[arg(long, value_name = "M", default_value = "1", value_parser = within(0..=MESSAGES_MAX))]
    pub(super) messages: usize,

    /// For dispatch: use one well-known pipe for everything that all clients send, and never remove it
    #[arg(long)]
    pub(super) shared_wkp: bool,
}

/// Where the events come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A program that is run.
    Live(&'a [OsString]),
    /// A demo that is run.
    Demo(&'a DemoArgs),
    /// A file of events.
    File(&'a Path),
    /// Only the programs' own logs.
    Logs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Axis {
    Order,
    Clock,
}

/// A file to write.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    path: PathBuf,
    pub(super) format: Format,
}

impl Output {
    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// How a timeline is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Svg,
    Mermaid,
    Chrome,
    Json,
    Lines,
    Text,
}

/// The endings of files, and their formats. `.chrome.json` stands before `.json`.
const FORMATS: [(&str, Format); 7] = [
    (".html", Format::Html),
    (".svg", Format::Svg),
    (".mmd", Format::Mermaid),
    (".chrome.json", Format::Chrome),
    (".json", Format::Json),
    (".jsonl", Format::Lines),
    (".txt", Format::Text),
];

impl Args {
    pub(super) fn source(&self) -> Source<'_> {
        match (&self.demo, &self.from) {
            (Some(Subcommand::Demo(demo)), _) => Source::Demo(demo),
            (None, Some(file)) => Source::File(file),
            (None, None) if self.command.is_empty() => Source::Logs,
            (None, None) => Source::Live(&self.command),
        }
    }

    /// Whether there is a program to run.
    pub(super) fn runs_programs(&self) -> bool {
        matches!(self.source(), Source::Live(_) | Source::Demo(_))
    }

    pub(super) fn outputs(&self) -> &[Output] {
        &self.output
    }

    /// What to show. A process that is `hidden` is left out, with the pipes that it has.
    pub(super) fn choice(&self, hidden: Option<u32>) -> Choice {
        let folds = self.fold || !self.no_fold;
        Choice { only: self.only.clone(), hidden, folds, most: self.max_events.unwrap_or(MOST) }
    }

    pub(super) fn by_clock(&self) -> bool {
        self.time == Axis::Clock
    }
}

/// Reads an output from the command line.
pub(crate) fn output(text: &str) -> Result<Output, String> {
    let known = FORMATS.iter().find(|(ending, _)| text.ends_with(ending) && text.len() > ending.len());
    match known {
        Some((_, format)) => Ok(Output { path: text.into(), format: *format }),
        None => {
            let endings: Vec<&str> = FORMATS.iter().map(|(ending, _)| *ending).collect();
            Err(format!("its ending says no format; there are {}", endings.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_is_the_format() {
        assert_eq!(output("a.b.html").unwrap().format, Format::Html);
        assert_eq!(output("x.chrome.json").unwrap().format, Format::Chrome);
        assert_eq!(output("x.json").unwrap().format, Format::Json);
        for wrong in ["x.pdf", "html", ".svg", "svg/", "x.html~"] {
            assert!(output(wrong).unwrap_err().contains(".html .svg .mmd .chrome.json"), "{wrong}");
        }
    }
}
