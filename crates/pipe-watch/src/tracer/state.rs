//! What the tracer knows: the traced threads and processes, pipes and names, and how far the trace is.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Instant;

use super::fifo_names::Names;
use super::log::Log;
use super::pending::PendingCall;
use super::spawn::Started;
use super::table::{Files, Pipes};
use super::{Ending, Options, Refusal, Summary};
use crate::event::Event;

/// The tracer, with all that it knows.
pub(super) struct Tracer<'a> {
    pub(super) options: &'a Options,
    pub(super) log: Log<'a>,
    pub(super) pipes: Pipes,
    pub(super) names: Names,
    /// All traced threads, by thread ID.
    pub(super) tasks: HashMap<i32, Task>,
    /// All traced processes that have not ended, by PID.
    pub(super) processes: HashMap<i32, Process>,
    /// Stopped children whose parent's stop has not come yet.
    pub(super) early: Vec<i32>,
    /// Children that have ended before their parent's stop came.
    pub(super) gone: HashSet<i32>,
    pub(super) main: Started,
    /// Whether the main program runs: before that, its PID runs code of the tracer.
    pub(super) has_begun: bool,
    /// How the main program ended, as of wait(2).
    pub(super) status: Option<i32>,
    pub(super) summary: Summary,
    /// The number of processes and programs that were started.
    pub(super) starts: usize,
    pub(super) refusal: Option<Refusal>,
    pub(super) phase: Phase,
    /// When the first signal to the tracer came.
    pub(super) signalled: Option<Instant>,
}

/// How far the end of the trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The programs run.
    Running,
    /// The main program has ended: its descendants may run until then.
    Lingering(Option<Instant>),
    /// They were asked to end until then.
    Asked(Instant),
    /// They are killed as soon as they stop.
    Killed,
}

/// A traced thread.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) pid: i32,
    pub(super) files: Files,
    /// The call that it is in, if its return is of interest.
    pub(super) call: Option<PendingCall>,
    /// A call that a signal interrupted.
    pub(super) interrupted: Option<PendingCall>,
    pub(super) has_ended: bool,
    /// Whether its parent has not reported its birth.
    pub(super) is_adopted: bool,
}

/// A traced process.
#[derive(Debug)]
pub(super) struct Process {
    /// The name of its program.
    pub(super) name: String,
    /// How many of its threads have not ended.
    pub(super) threads: usize,
    /// The last program that was not found. A search in PATH fails often before it succeeds.
    pub(super) not_found: Option<Event>,
}

impl Task {
    pub(super) fn new(pid: i32, files: Files) -> Self {
        Self { pid, files, call: None, interrupted: None, has_ended: false, is_adopted: false }
    }
}

impl Process {
    pub(super) fn new(name: String) -> Self {
        Self { name, threads: 1, not_found: None }
    }
}

impl<'a> Tracer<'a> {
    pub(super) fn new(
        options: &'a Options,
        main: Started,
        sink: &'a mut dyn FnMut(Event) -> io::Result<()>,
    ) -> Self {
        let task = Task::new(main.pid, Files::default());
        let process = Process::new(String::new());
        Self {
            options,
            log: Log::new(options.max_events, sink),
            pipes: Pipes::default(),
            names: Names::default(),
            tasks: HashMap::from([(main.pid, task)]),
            processes: HashMap::from([(main.pid, process)]),
            early: Vec::new(),
            gone: HashSet::new(),
            main,
            has_begun: false,
            status: None,
            summary: Summary {
                ending: Ending::Exited(0),
                kept: 0,
                left_out: 0,
                processes: 1,
                ended: 0,
                signal: None,
                warnings: Vec::new(),
            },
            starts: 0,
            refusal: None,
            phase: Phase::Running,
            signalled: None,
        }
    }
}
