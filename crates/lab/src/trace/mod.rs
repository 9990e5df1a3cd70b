//! `lab trace`: runs a program, and writes what it and its descendants do with pipes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use handshake_cli::{Status, complain};
use handshake_core::{Error, Result};
use pipe_watch::event::Header;
use pipe_watch::tracer::{self, Options, Summary};

/// Run a program and record what it and its descendants do with pipes.
///
/// Traces each system call about pipes and processes (ptrace(2)), and writes a JSON object for each.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the events to FILE
    #[arg(short, long = "output", value_name = "FILE", required = true)]
    output: Vec<PathBuf>,

    /// Keep the first N bytes of each read and write
    #[arg(long, value_name = "N", default_value_t = Options::default().data)]
    data: usize,

    /// Count events after the first N, and leave them out
    #[arg(long, value_name = "N", default_value_t = Options::default().max_events)]
    max_events: usize,

    /// Kill a program that starts more than N processes and programs
    #[arg(long, value_name = "N", default_value_t = Options::default().max_processes)]
    max_processes: usize,

    /// When the program has ended, end its descendants after DUR
    #[arg(long, value_name = "DUR", value_parser = handshake_cli::duration, default_value = "1s")]
    linger: std::time::Duration,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// Runs the command. [`Status::Broken`]: the program did not succeed.
///
/// # Errors
/// [`Error::Signal`]: it was interrupted.
pub fn run(args: Args) -> Result<Status> {
    let traced = match record(&args) {
        Ok(summary) => summary,
        Err(error) => {
            complain("lab", error);
            return Ok(Status::Refused);
        }
    };
    for warning in &traced.warnings {
        complain("lab", warning);
    }
    match traced {
        Summary { signal: Some(signal), .. } => Err(Error::Signal(signal)),
        Summary { ending: tracer::Ending::Exited(0), .. } => Ok(Status::Done),
        _ => Ok(Status::Broken),
    }
}

fn record(args: &Args) -> std::result::Result<Summary, tracer::Error> {
    let mut options = Options::default();
    options.data = args.data;
    options.max_events = args.max_events;
    options.max_processes = args.max_processes;
    options.linger = Some(args.linger);
    let files: io::Result<Vec<_>> = args.output.iter().map(File::create).collect();
    let mut files: Vec<_> = files.map_err(tracer::Error::Sink)?.into_iter().map(BufWriter::new).collect();
    let mut write = |line: String| files.iter_mut().try_for_each(|file| file.write_all(line.as_bytes()));
    let words = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    write(line(&Header::new(words))).map_err(tracer::Error::Sink)?;
    let summary = tracer::trace(&args.command, &options, &mut |event| write(line(&event)))?;
    files.iter_mut().try_for_each(BufWriter::flush).map_err(tracer::Error::Sink)?;
    Ok(summary)
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
