//! The fallback where tracing is not allowed: runs a program, and looks at it again and again.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::event::Role;
use handshake_core::process::Process;
use handshake_core::sys::ends_with_us;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use pipe_watch::changes::Changes;
use pipe_watch::event::{Event, Header};
use pipe_watch::look::{Ending, Scope, look};
use pipe_watch::tracer::Options;
use probe::proc;
use probe::programs::end_children;
use probe::running::Running;

use super::args::Args;
use super::live::complain_of_left_out;
use super::recording::{Events, Outcome};

/// The time between two looks.
const GAP: Duration = Duration::from_millis(10);

/// What the looks have found.
#[derive(Debug, Default)]
struct Seen {
    changes: Changes,
    events: Vec<Event>,
    /// The most events that are kept.
    most: usize,
    left_out: u64,
}

impl Seen {
    fn add(&mut self, mut events: Vec<Event>) {
        let room = self.most.saturating_sub(self.events.len()).min(events.len());
        self.left_out += (events.len() - room) as u64;
        events.truncate(room);
        self.events.append(&mut events);
    }
}

/// Runs a program until it and its descendants have ended, or until a signal.
///
/// # Errors
/// The program cannot be started.
pub(super) fn record(args: &Args, command: &[OsString]) -> Result<Events> {
    let process = Process::quiet(Role::Client)?;
    proc::adopt_orphans();
    let mut running = start(command)?;
    let options = Options::default();
    let mut seen = Seen { most: args.max_events.unwrap_or(options.max_events), ..Seen::default() };
    let watched = watch(args, &process, &mut running, &mut seen);
    let signal = match watched {
        Err(Error::Signal(signal)) => Some(signal),
        watched => watched.map(|()| None)?,
    };
    if let Some(signal) = signal.and_then(|signal| Signal::try_from(signal).ok()) {
        running.signal(signal);
    }
    let status = running.await_end(Deadline::in_exactly(options.grace)).unwrap_or_else(|| running.kill());
    seen.changes.ended(running.pid(), ending(status));
    for pid in end_children() {
        seen.changes.ended(pid, Ending::Killed(Signal::SIGKILL as u8));
    }
    let last = std::mem::take(&mut seen.changes).end();
    seen.add(last);
    complain_of_left_out(seen.left_out);
    let outcome = Outcome::of(signal, status.success());
    Ok(Events { header: Header::new(command), events: seen.events, outcome })
}

fn start(command: &[OsString]) -> Result<Running> {
    let (program, arguments) = command.split_first().expect("clap requires a program");
    let mut command = Command::new(program);
    ends_with_us(command.args(arguments), Signal::SIGKILL);
    let failed = |error| Error::at("run", Path::new(program), errno_of(&error), "");
    command.spawn().map(Running::from).map_err(failed)
}

/// Looks until the program and its descendants have ended.
fn watch(args: &Args, process: &Process, running: &mut Running, seen: &mut Seen) -> Result<()> {
    let mut pids = vec![running.pid()];
    let mut lingers = None;
    while let Ok(snapshot) = look(&Scope::Trees(pids)) {
        let events = seen.changes.add(&snapshot);
        seen.add(events);
        pids = snapshot.chosen.iter().copied().collect();
        process.wait(&mut [], Deadline::in_exactly(GAP))?;
        if let Some(status) = running.status() {
            seen.changes.ended(running.pid(), ending(status));
            reap_orphans(&mut seen.changes);
            pids.retain(|pid| *pid != running.pid());
            if pids.is_empty() || lingers.get_or_insert(Deadline::in_exactly(args.linger)).passed() {
                break;
            }
        }
    }
    Ok(())
}

/// Reaps the orphans that have ended: they are children of this process. The program itself was reaped.
fn reap_orphans(changes: &mut Changes) {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        let (pid, ending) = match status {
            WaitStatus::Exited(pid, code) => (pid, Ending::Exited(code as u8)),
            WaitStatus::Signaled(pid, signal, _) => (pid, Ending::Killed(signal as u8)),
            _ => return,
        };
        changes.ended(pid.as_raw().cast_unsigned(), ending);
    }
}

/// How a process has ended.
fn ending(status: ExitStatus) -> Ending {
    match status.signal() {
        Some(signal) => Ending::Killed(signal as u8),
        None => Ending::Exited(status.code().unwrap_or(0) as u8),
    }
}
