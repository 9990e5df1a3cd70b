//! The processes of a demo: the real programs, started here. Dropping this ends and reaps all of them.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use nix::sys::signal::Signal;
use probe::paradigm::Paradigm;
use probe::programs::{end_children, end_orphans, lines_of, programs};
use probe::running::Running;
use probe::{proc, temporary};
use tempfile::{NamedTempFile, TempDir};

use super::external_client::ExternalProgram;
use super::roster::Actor;
use super::wkp::Wkp;

/// How long a process may take to end by itself, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// A process that the demo started.
#[derive(Debug)]
struct Member {
    actor: Actor,
    /// A client stays connected as long as its stdin is open.
    running: Running,
    /// `None` for the external client, whose stdout is a terminal.
    stdout: Option<File>,
    /// Whether its end was noticed.
    reaped: bool,
}

/// All processes, and their directory.
#[derive(Debug)]
pub(super) struct Processes {
    /// Dropping this struct ends them first, and then removes the directory.
    members: Vec<Member>,
    pub(super) paradigm: Paradigm,
    server: PathBuf,
    client: PathBuf,
    wkp: Wkp,
    place: TempDir,
    events: NamedTempFile,
    /// The stderr of all processes, a file without a name.
    stderr: File,
    /// The read end of the gate, inherited under its number.
    gate: Option<OwnedFd>,
    /// PIDs of processes that the external client started, and that outlived it.
    pub(super) leftover_processes: Vec<u32>,
}

/// The options in a demo without a pause: no client waits longer than the watchdog.
const SERVER: &[&str] = &["-q"];
const CLIENT: &[&str] = &["-q", "--timeout", "1m"];
/// The options with a pause. A person takes time, and a deadline stands still only for the process at the
/// gate.
const PATIENT_SERVER: &[&str] = &["-q", "--handshake-timeout", "0", "--grace", "1h"];
const PATIENT_CLIENT: &[&str] = &["-q", "--timeout", "0", "--reply-timeout", "0"];

impl Processes {
    /// Prepares a demo without any process. With `gate`, all processes will stop there.
    ///
    /// # Errors
    /// A program is missing, or temporary files cannot be made.
    pub(super) fn prepare(paradigm: Paradigm, wkp: Wkp, gate: Option<OwnedFd>) -> Result<Self> {
        let (server, client) = programs(paradigm)?;
        proc::adopt_orphans();
        Ok(Self {
            members: Vec::new(),
            paradigm,
            server,
            client,
            wkp,
            place: temporary::directory("lab-demo-")?,
            events: temporary::named_file("lab-events-")?,
            stderr: temporary::file()?,
            gate,
            leftover_processes: Vec::new(),
        })
    }

    /// The directory of the pipes.
    pub(super) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn wkp(&self) -> &Wkp {
        &self.wkp
    }

    /// Opens the event log for reading.
    ///
    /// # Errors
    /// The event log cannot be opened.
    pub(super) fn events(&self) -> Result<File> {
        self.events.reopen().map_err(|error| Error::at("open the event log", self.events.path(), error, ""))
    }

    /// Starts the server or a client; returns its PID.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(super) fn start(&mut self, actor: Actor) -> Result<u32> {
        let (program, options) = match (actor, &self.gate) {
            (Actor::Server, None) => (&self.server, SERVER),
            (Actor::Server, Some(_)) => (&self.server, PATIENT_SERVER),
            (_, None) => (&self.client, CLIENT),
            (_, Some(_)) => (&self.client, PATIENT_CLIENT),
        };
        let failed = |error: std::io::Error| Error::at("start", program, error, "");
        let stdout = temporary::file()?;
        let mut command = Command::new(program);
        command.args(options).arg("--wkp").arg(self.place.path().join(self.wkp.name()));
        command.arg("--events").arg(self.events.path());
        if let Some(gate) = &self.gate {
            command.arg("--gate").arg(gate.as_raw_fd().to_string());
        }
        if actor == Actor::Server {
            command.args(self.paradigm.option()).stdin(Stdio::null());
        } else {
            command.stdin(Stdio::piped());
        }
        command.stdout(stdout.try_clone().map_err(failed)?);
        command.stderr(self.stderr.try_clone().map_err(failed)?);
        let running = command.spawn().map_err(failed)?;
        Ok(self.add(actor, running.into(), Some(stdout)))
    }

    fn add(&mut self, actor: Actor, running: Running, stdout: Option<File>) -> u32 {
        let pid = running.pid();
        self.members.push(Member { actor, running, stdout, reaped: false });
        pid
    }

    /// Starts the external client, in the directory of the pipes, with `screen` as its stdout and stderr;
    /// returns its PID.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(super) fn start_external(
        &mut self,
        actor: Actor,
        external: &ExternalProgram,
        screen: OwnedFd,
    ) -> Result<u32> {
        let running = external.start(self.place(), screen)?;
        Ok(self.add(actor, running.into(), None))
    }

    /// Gives a client a line to send.
    pub(super) fn send_line(&mut self, actor: Actor, line: &str) {
        if let Some(stdin) = self.member(actor).and_then(|member| member.running.stdin()) {
            // The pipe holds far more, so this never blocks. If the client has ended, the verdict shows it.
            let _ = stdin.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Closes a client's stdin: it has nothing more to send.
    pub(super) fn close_stdin(&mut self, actor: Actor) {
        if let Some(member) = self.member(actor) {
            member.running.close_stdin();
        }
    }

    /// Sends a signal to a process that has not ended.
    pub(super) fn signal(&mut self, actor: Actor, signal: Signal) {
        if let Some(member) = self.member(actor) {
            member.running.signal(signal);
        }
    }

    /// Reaps the processes that have ended since the last call; returns them and their statuses.
    pub(super) fn reap(&mut self) -> Vec<(Actor, ExitStatus)> {
        let mut reaped = Vec::new();
        for member in self.members.iter_mut().filter(|member| !member.reaped) {
            reaped.extend(member.running.status().map(|status| (member.actor, status)));
            member.reaped = member.running.ended().is_some();
        }
        reaped
    }

    /// The exit status of a process, if it has ended.
    pub(super) fn ended(&self, actor: Actor) -> Option<ExitStatus> {
        self.members.iter().find(|member| member.actor == actor)?.running.ended()
    }

    /// The lines that a process has printed. Call it only after its end, because it shares the file offset.
    pub(super) fn printed(&mut self, actor: Actor) -> Vec<String> {
        let stdout = self.member(actor).and_then(|member| member.stdout.as_mut());
        stdout.map(lines_of).unwrap_or_default()
    }

    /// The messages of all processes on stderr. Call it only after the end of all.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        lines_of(&mut self.stderr)
    }

    /// Ends all running processes. Returns the PIDs that should not have been left: processes that had to be
    /// killed, and orphans.
    pub(super) fn end(&mut self) -> Vec<u32> {
        for Member { running, .. } in &mut self.members {
            running.close_stdin();
            running.signal(Signal::SIGTERM);
        }
        let until = Deadline::after(GRACE);
        let mut left = Vec::new();
        for Member { running, reaped, .. } in &mut self.members {
            if running.await_end(until).is_none() {
                left.push(running.pid());
                running.kill();
            }
            *reaped = true;
        }
        left.extend(end_orphans(&self.server));
        self.leftover_processes.extend(end_children());
        left
    }

    fn member(&mut self, actor: Actor) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.actor == actor)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use handshake_core::event::Role;
    use handshake_core::process::Process;
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_program_with_inherited_blocked_signals_still_receives_them() {
        // The demo blocks SIGTERM. A program that it starts inherits the blocked signal, and starts in the
        // same way.
        let _demo = Process::quiet(Role::Client).unwrap();
        let started = Process::quiet(Role::Client).unwrap();
        raise(Signal::SIGTERM).unwrap();
        let received = started.wait(&mut [], Deadline::after(GRACE));
        assert!(
            matches!(received, Err(Error::Signal(number)) if number == Signal::SIGTERM as i32),
            "{received:?}"
        );
    }
}
