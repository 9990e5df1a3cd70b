//! The fallback where tracing is not allowed: runs a program, and looks at it again and again.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::event::Role;
use handshake_core::process::Process;
use handshake_core::sys::ends_with_us;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use pipe_watch::changes::Changes;
use pipe_watch::event::Header;
use pipe_watch::look::{Scope, Snapshot, look};
use pipe_watch::tracer::Options;
use probe::proc;
use probe::programs::end_children;
use probe::running::Running;

use super::args::Args;
use super::recording::{Events, Outcome};

/// The time between two looks.
const GAP: Duration = Duration::from_millis(10);

/// How long the program may take to end after a signal to the lab. Then it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a program until it and its descendants have ended, or until a signal.
///
/// # Errors
/// The program cannot be started.
pub(super) fn record(args: &Args, command: &[OsString]) -> Result<Events> {
    let process = Process::quiet(Role::Client)?;
    proc::adopt_orphans();
    let mut running = start(command)?;
    let mut changes = Changes::default();
    let mut events = Vec::new();
    let most = args.max_events.unwrap_or(Options::default().max_events);
    let watched = watch(args, &process, &mut running, |snapshot| {
        events.extend(changes.add(snapshot));
        events.len() < most
    });
    let signal = match watched {
        Err(Error::Signal(signal)) => Some(signal),
        watched => watched.map(|()| None)?,
    };
    if let Some(signal) = signal.and_then(|signal| Signal::try_from(signal).ok()) {
        running.signal(signal);
    }
    let status = running.await_end(Deadline::in_exactly(GRACE)).unwrap_or_else(|| running.kill());
    end_children();
    events.extend(changes.end());
    let words = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = Outcome::of(signal, status.success());
    Ok(Events { header: Header::new(words), events, outcome })
}

fn start(command: &[OsString]) -> Result<Running> {
    let (program, arguments) = command.split_first().expect("clap requires a program");
    let mut command = Command::new(program);
    ends_with_us(command.args(arguments), Signal::SIGKILL);
    let failed = |error| Error::at("run", Path::new(program), errno_of(&error), "");
    command.spawn().map(Running::from).map_err(failed)
}

/// Looks until the program and its descendants have ended, or as long as there is `room` for more events.
fn watch(
    args: &Args,
    process: &Process,
    running: &mut Running,
    mut room: impl FnMut(&Snapshot) -> bool,
) -> Result<()> {
    let mut pids = vec![running.pid()];
    let mut lingers = None;
    while let Ok(snapshot) = look(&Scope::Trees(pids)) {
        if !room(&snapshot) {
            break;
        }
        pids = snapshot.chosen.iter().copied().collect();
        process.wait(&mut [], Deadline::in_exactly(GAP))?;
        if running.status().is_some() {
            // Orphans that have ended are children of this process. The program itself was reaped.
            while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid().is_some()) {}
            pids.retain(|pid| *pid != running.pid());
            if pids.is_empty() || lingers.get_or_insert(Deadline::in_exactly(args.linger)).passed() {
                break;
            }
        }
    }
    Ok(())
}
