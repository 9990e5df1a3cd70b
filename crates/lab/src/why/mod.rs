//! `lab why`: why does it hang? One sentence for each thread that waits at a pipe, without tracing.
//!
//! The facts and sentences are `pipe_watch`'s. This module adds the course's steps (`course`) and prints
//! (`print`, with `alike` for crowds).

mod alike;
mod course;
mod print;

use std::collections::BTreeSet;
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::time::Duration;

use handshake_cli::Status;
use handshake_cli::{complain, duration};
use handshake_core::Result;
use handshake_core::deadline::Deadline;
use handshake_core::event::Role;
use handshake_core::process::Process;
use pipe_watch::look::{self, Deadlock, Finding, Kind, Report, Scope, Snapshot, Wait, look};

use crate::demo::printer::Printer;
use course::{Course, Step};

/// The time between two looks. A healthy program does not wait that long for another one's next call.
const GAP: Duration = Duration::from_millis(50);

/// See why processes hang: what each thread waits for, and which process should end the wait.
///
/// Looks twice, 50 ms apart, at what the kernel shows of the processes; it neither stops nor traces them. For
/// each thread that is stuck it prints the call, the pipe, the process at the other end and what that one
/// does, the course's step, and what would most likely help. It also finds deadlocks, zombies and stopped
/// processes. Exits with 1 if any of the processes is stuck, and with 0 if none is.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,

    /// Look again every DUR until the processes have ended, and print what has changed
    #[arg(long, value_name = "DUR", value_parser = pause_of)]
    watch: Option<Duration>,

    /// Print a JSON object instead of sentences
    #[arg(long)]
    json: bool,

    /// The well-known pipe's name
    #[arg(long, value_name = "NAME", default_value = "mario")]
    wkp: String,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// Look at these processes and their descendants
    #[arg(value_name = "PID")]
    pids: Vec<u32>,

    /// Look at the processes that work in this directory, or use a pipe in it
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Look at the other children of the process that started this command: those of the shell
    #[arg(long)]
    children: bool,
}

/// What two looks found, with the course's steps.
#[derive(Debug)]
struct Found {
    snapshot: Snapshot,
    report: Report,
    /// The step of each finding.
    steps: Vec<Option<Step>>,
}

impl Found {
    fn new(earlier: &Snapshot, snapshot: Snapshot, wkp: &str) -> Self {
        let report = Report::since(earlier, &snapshot);
        let course = Course::new(&snapshot, wkp);
        let steps = report.findings.iter().map(|finding| course.step(finding)).collect();
        Self { snapshot, report, steps }
    }

    /// The findings, each with its step.
    fn all(&self) -> impl Iterator<Item = (&Finding, Option<&Step>)> {
        self.report.findings.iter().zip(self.steps.iter().map(Option::as_ref))
    }

    /// The findings that explain a hang. A server without a client is none.
    fn troubles(&self) -> impl Iterator<Item = (&Finding, Option<&Step>)> {
        let is_trouble = |(finding, step): &(&Finding, Option<&Step>)| {
            finding.kind.is_trouble() && step.is_none_or(|step| !step.is_idle)
        };
        self.all().filter(is_trouble)
    }

    /// The deadlocks of which such a finding is a part. A server whose client has ended is in none: only the
    /// ended client was to end its wait.
    fn deadlocks(&self) -> impl Iterator<Item = &Deadlock> {
        let (mut parts, mut abandoned) = (BTreeSet::new(), BTreeSet::new());
        for (finding, step) in self.troubles() {
            parts.insert(finding.pid);
            abandoned.extend(step.filter(|step| step.is_abandoned).map(|_| finding.pid));
        }
        let is_told = move |deadlock: &&Deadlock| {
            let mut pids = deadlock.pids.iter();
            pids.clone().any(|pid| parts.contains(pid)) && !pids.any(|pid| abandoned.contains(pid))
        };
        self.report.deadlocks.iter().filter(is_told)
    }

    fn status(&self) -> Status {
        if self.troubles().next().is_some() { Status::Broken } else { Status::Done }
    }
}

/// Runs the command. [`Status::Broken`]: a process is stuck.
///
/// # Errors
/// The output cannot be written. [`Error::Signal`](handshake_core::Error::Signal): it was interrupted.
pub fn run(args: Args) -> Result<Status> {
    let process = Process::quiet(Role::Client)?;
    let mut printer = Printer::new();
    let mut earlier = match look(&args.chosen.scope(None)).and_then(|snapshot| args.chosen.check(snapshot)) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            complain("lab", error);
            return Ok(Status::Usage);
        }
    };
    let (mut gap, mut printed) = (GAP, None);
    loop {
        pause(&process, gap)?;
        // All processes of the first look may have ended by now.
        let Ok(snapshot) = look(&args.chosen.scope(Some(&earlier))) else { return Ok(Status::Done) };
        let found = Found::new(&earlier, snapshot, &args.wkp);
        let told: Vec<_> = found.report.findings.iter().map(essence).collect();
        if printed.as_ref() != Some(&told) {
            if args.json { print::json(&found, &mut printer)? } else { print::text(&found, &mut printer)? }
        }
        match args.watch {
            Some(watch) if !found.snapshot.chosen.is_empty() => gap = watch,
            _ => return Ok(found.status()),
        }
        (earlier, printed) = (found.snapshot, Some(told));
    }
}

impl Chosen {
    /// The scope of a look: at the processes of the earlier one, and at new ones.
    fn scope(&self, earlier: Option<&Snapshot>) -> Scope {
        match &self.directory {
            Some(directory) => Scope::Directory(directory.clone()),
            None if self.children => Scope::Children(parent_id()),
            None => {
                let seen = earlier.map(|snapshot| snapshot.chosen.iter().copied());
                Scope::Trees(seen.map_or_else(|| self.pids.clone(), Iterator::collect))
            }
        }
    }

    /// Each PID on the command line must be a process.
    fn check(&self, snapshot: Snapshot) -> Result<Snapshot, look::Error> {
        match self.pids.iter().find(|pid| !snapshot.chosen.contains(pid)) {
            Some(missing) => Err(look::Error::NoProcess(*missing)),
            None => Ok(snapshot),
        }
    }
}

/// What makes a finding another one: not the time that a sleep or a futex(2) has left.
fn essence(finding: &Finding) -> (u32, Kind, Option<Wait>, Vec<u32>) {
    let wait = Some(finding.wait.clone())
        .filter(|wait| !matches!(wait, Wait::Sleep { .. } | Wait::Thread { limit: Some(_) }));
    (finding.tid, finding.kind, wait, finding.needs.clone())
}

/// The time between two looks: without any, the command would look all the time.
fn pause_of(text: &str) -> std::result::Result<Duration, String> {
    let time = duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("0 is no pause between two looks".to_owned()) } else { Ok(time) }
}

/// Waits for this time.
fn pause(process: &Process, gap: Duration) -> Result<()> {
    let until = Deadline::in_exactly(gap);
    while !until.passed() {
        process.wait(&mut [], until)?;
    }
    Ok(())
}
