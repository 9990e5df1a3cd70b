//! Runs a program and reports what it and all its descendants do with pipes (ptrace(2)).
//!
//! ```no_run
//! use pipe_watch::tracer::{Options, trace};
//!
//! # fn main() -> Result<(), pipe_watch::tracer::Error> {
//! let command = ["sh", "-c", "echo hi | cat"].map(Into::into);
//! let summary = trace(&command, &Options::default(), &mut |event| {
//!     println!("{:?} {:?}", event.call, event.data);
//!     Ok(())
//! })?;
//! println!("{} events", summary.kept);
//! # Ok(())
//! # }
//! ```
//!
//! A seccomp filter stops the traced programs at the calls that can concern pipes and processes; all other
//! calls run at full speed. Reading order: `state` has what the tracer knows; `run` waits for stops and
//! decides when to end; `stops` handles each kind of stop; `tasks` has the births and ends of threads and
//! processes; `calls` takes a call apart when it begins (`pending`), and completes its event when it returns.
//! Below it are `transfer`, `descriptors`, `paths` with `fifo_names`, `polls` and `others`, each for some
//! calls. `table` knows which descriptor is which pipe. `spawn` starts the program under the `filter`, and
//! `refused` says why that is not allowed.
//!
//! No traced process outlives the tracer: the kernel kills them all if it ends (`PTRACE_O_EXITKILL`).
//! A tracer is no jail: two threads that race can start a process that is not traced.

mod calls;
mod descriptors;
mod fifo_names;
mod filter;
mod log;
pub(crate) mod names;
mod numbers;
mod others;
mod paths;
mod pending;
mod polls;
mod refused;
mod run;
mod spawn;
mod state;
mod stops;
mod table;
mod tasks;
mod transfer;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::event::Event;
pub use crate::look::Ending;
pub use refused::Refusal;

/// What to keep, and when to end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// How many bytes of each read and write an event keeps; never more than 1 MiB.
    pub data: usize,
    /// After so many events, the tracer counts further ones only.
    pub max_events: usize,
    /// A program that starts more processes and programs than that in all, or has more threads at once, is
    /// killed.
    pub max_processes: usize,
    /// How long descendants may run when the main program has ended. Then the tracer sends them SIGTERM.
    /// `None`: as long as they like.
    pub linger: Option<Duration>,
    /// How long traced processes may run after SIGTERM, or after a signal to the tracer. Then they are
    /// killed.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: 64,
            max_events: 20_000,
            max_processes: 10_000,
            linger: None,
            grace: Duration::from_secs(2),
        }
    }
}

/// How a trace ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How the main program ended.
    pub ending: Ending,
    /// The number of events that were handed on.
    pub kept: u64,
    /// The number of events that were left out, because there were too many.
    pub left_out: u64,
    /// The number of processes that were traced.
    pub processes: u64,
    /// How many processes were left when the main program had ended, and then were ended by the tracer.
    pub ended: u64,
    /// The signal to the tracer that ended the trace.
    pub signal: Option<i32>,
    /// What the trace does not show, and why: a sentence each.
    pub warnings: Vec<String>,
}

/// Why there is no trace.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command line is empty, or has a NUL in a word.
    Command,
    /// The calling process has other threads. It may not fork beside them.
    Threads,
    /// The program cannot be started.
    Start {
        /// The program.
        program: OsString,
        /// Why.
        error: io::Error,
    },
    /// Tracing is not allowed here.
    Refused(Refusal),
    /// A system call of the tracer failed.
    System {
        /// The call.
        call: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The events cannot be handed on: the sink's error.
    Sink(io::Error),
}

/// Runs a program until it and all its descendants have ended, and hands each event to `sink` when it is
/// complete. An event of a call that never returned comes at the end. Therefore events come in the order of
/// their ends; [`Event::seq`] has the order in which they began, in which a number may be missing.
///
/// The caller has no other thread. A child that it has already is reaped if it ends: this function waits for
/// any child. It holds back SIGINT, SIGTERM, SIGHUP and SIGQUIT, those that are not ignored, and takes them
/// itself. The caller needs no handler. After the first one, traced processes have [`Options::grace`] to end.
/// After the second one they are killed, unless it comes within 200 ms of the first. SIGINT and SIGQUIT of a
/// terminal have reached this process's group as well; the tracer passes them on to other groups, and other
/// signals to all.
///
/// # Errors
/// [`Error`]. After each, no traced process is left.
pub fn trace(
    command: &[OsString],
    options: &Options,
    sink: &mut dyn FnMut(Event) -> io::Result<()>,
) -> Result<Summary, Error> {
    let signals = crate::sys::HeldSignals::new(&run::TAKEN);
    let started = spawn::start(command, &signals)?;
    state::Tracer::new(options, started, sink).run(&signals)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => write!(f, "cannot run the program: the command line is empty or has a NUL byte"),
            Self::Threads => write!(f, "cannot trace: this process has more than one thread"),
            Self::Start { program, error } => write!(f, "cannot run {}: {error}", program.display()),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::System { call, error } => write!(f, "cannot trace: {call}: {error}"),
            Self::Sink(error) => write!(f, "cannot write the trace: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { error, .. } | Self::System { error, .. } | Self::Sink(error) => Some(error),
            _ => None,
        }
    }
}
