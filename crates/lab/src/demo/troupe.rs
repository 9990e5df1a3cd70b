//! The processes of the play: the real programs, started here, and all ended and reaped when this is dropped.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use nix::poll::poll;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use probe::paradigm::Paradigm;
use probe::programs::{end_orphans, lines_of, programs};
use probe::{proc, temporary};
use tempfile::{NamedTempFile, TempDir};

use super::cast::Actor;
use super::guest::Invitation;
use super::wkp::Wkp;

/// What who does not end by itself is given, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// A guest that leaves more than that forks faster than one can end them.
const STRAYS_MAX: usize = 1000;
/// Between two looks whether somebody has ended, in milliseconds.
const LOOK: u8 = 10;

/// A process of ours.
#[derive(Debug)]
struct Member {
    actor: Actor,
    child: Child,
    /// A client stays connected as long as this is open.
    stdin: Option<ChildStdin>,
    /// None: a guest's is a terminal.
    stdout: Option<File>,
    ended: Option<ExitStatus>,
}

/// All of them, and where they play.
#[derive(Debug)]
pub(super) struct Troupe {
    /// Dropping the troupe ends them first, and then removes the directory.
    members: Vec<Member>,
    pub(super) paradigm: Paradigm,
    server: PathBuf,
    client: PathBuf,
    server_options: Vec<&'static str>,
    client_options: Vec<&'static str>,
    wkp: Wkp,
    place: TempDir,
    events: NamedTempFile,
    /// All stderr, in a file without a name.
    stderr: File,
    /// The reading end of the gate, inherited under its number.
    gate: Option<OwnedFd>,
    /// Processes that a guest had started, and that lived longer than all.
    pub(super) strays: Vec<u32>,
}

/// Deadlines for a play that runs by itself: nobody is to wait longer than the watchdog.
const CLIENT: &[&str] = &["-q", "--timeout", "1m"];
/// A person takes time, and deadlines only stand still for who stands at the gate itself.
const PATIENT_SERVER: [&str; 4] = ["--handshake-timeout", "0", "--grace", "1h"];
const PATIENT_CLIENT: &[&str] = &["-q", "--timeout", "0", "--reply-timeout", "0"];

impl Troupe {
    /// Nobody yet. With `gate` all will stop there.
    ///
    /// # Errors
    /// A program is missing, or there is no place for temporary files.
    pub(super) fn gather(
        paradigm: Paradigm,
        shared_wkp: bool,
        wkp: Wkp,
        gate: Option<OwnedFd>,
    ) -> Result<Self> {
        let (server, client) = programs(paradigm)?;
        let mut server_options = vec!["-q"];
        server_options.extend(shared_wkp.then_some("--shared-wkp"));
        server_options.extend(gate.iter().flat_map(|_| PATIENT_SERVER));
        let client_options = if gate.is_some() { PATIENT_CLIENT } else { CLIENT };
        proc::adopt_orphans();
        Ok(Self {
            members: Vec::new(),
            paradigm,
            server,
            client,
            server_options,
            client_options: client_options.into(),
            wkp,
            place: temporary::directory("lab-demo-")?,
            events: temporary::named_file("lab-events-")?,
            stderr: temporary::file()?,
            gate,
            strays: Vec::new(),
        })
    }

    /// The directory of the pipes.
    pub(super) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn wkp(&self) -> &Wkp {
        &self.wkp
    }

    /// The event record, to be read.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn events(&self) -> Result<File> {
        self.events
            .reopen()
            .map_err(|error| Error::at("open the event record", self.events.path(), errno_of(&error), ""))
    }

    /// Starts the server or a client; returns its process number.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&mut self, actor: Actor) -> Result<u32> {
        let (program, options) = match actor {
            Actor::Server => (&self.server, &self.server_options),
            _ => (&self.client, &self.client_options),
        };
        let failed = |error: std::io::Error| Error::at("start", program, errno_of(&error), "");
        let stdout = temporary::file()?;
        let mut command = Command::new(program);
        command.args(options).arg("--wkp").arg(self.place.path().join(self.wkp.name()));
        command.arg("--events").arg(self.events.path());
        if let Some(gate) = &self.gate {
            command.arg("--gate").arg(gate.as_raw_fd().to_string());
        }
        command.stdin(if actor == Actor::Server { Stdio::null() } else { Stdio::piped() });
        command.stdout(stdout.try_clone().map_err(failed)?);
        command.stderr(self.stderr.try_clone().map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let (pid, stdin) = (child.id(), child.stdin.take());
        self.members.push(Member { actor, child, stdin, stdout: Some(stdout), ended: None });
        Ok(pid)
    }

    /// Starts somebody else's program, in the directory of the pipes, with `screen` as its stdout and stderr; returns its
    /// process number.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start_guest(&mut self, actor: Actor, guest: &Invitation, screen: OwnedFd) -> Result<u32> {
        let mut child = guest.start(self.place(), screen)?;
        let (pid, stdin) = (child.id(), child.stdin.take());
        self.members.push(Member { actor, child, stdin, stdout: None, ended: None });
        Ok(pid)
    }

    /// Gives a client a line to send.
    pub(super) fn say(&mut self, actor: Actor, line: &str) {
        if let Some(stdin) = self.member(actor).and_then(|member| member.stdin.as_mut()) {
            // Far less than the pipe holds, so this never waits; a client that has gone shows in the verdict.
            let _ = stdin.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Ends a client's stdin: it has nothing more to say.
    pub(super) fn hang_up(&mut self, actor: Actor) {
        if let Some(member) = self.member(actor) {
            member.stdin = None;
        }
    }

    /// Sends a signal to one who has not ended.
    pub(super) fn signal(&mut self, actor: Actor, signal: Signal) {
        if let Some(member) = self.member(actor).filter(|member| member.ended.is_none()) {
            // Not reaped yet, so the number is still its own.
            let _ = kill(Pid::from_raw(member.child.id().cast_signed()), signal);
        }
    }

    /// Reaps who has ended since; returns who, and how.
    pub(super) fn reap(&mut self) -> Vec<(Actor, ExitStatus)> {
        let mut reaped = Vec::new();
        for member in self.members.iter_mut().filter(|member| member.ended.is_none()) {
            if let Ok(Some(status)) = member.child.try_wait() {
                member.ended = Some(status);
                reaped.push((member.actor, status));
            }
        }
        reaped
    }

    /// How one has ended, if it has.
    pub(super) fn ended(&self, actor: Actor) -> Option<ExitStatus> {
        self.members.iter().find(|member| member.actor == actor)?.ended
    }

    /// The lines that one has printed. Only for who has ended: the place in the file is shared.
    pub(super) fn printed(&mut self, actor: Actor) -> Vec<String> {
        let stdout = self.member(actor).and_then(|member| member.stdout.as_mut());
        stdout.map(lines_of).unwrap_or_default()
    }

    /// What anybody complained about. Only when all have ended.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        lines_of(&mut self.stderr)
    }

    /// Ends everybody who still runs; returns those who should not have been there: who had to be killed, and orphans.
    pub(super) fn end(&mut self) -> Vec<u32> {
        self.members.iter_mut().for_each(|member| member.stdin = None);
        for actor in self.members.iter().map(|member| member.actor).collect::<Vec<_>>() {
            self.signal(actor, Signal::SIGTERM);
        }
        let until = Deadline::after(GRACE);
        loop {
            self.reap();
            if until.passed() || self.members.iter().all(|member| member.ended.is_some()) {
                break;
            }
            let _ = poll(&mut [], LOOK);
        }
        let mut left = Vec::new();
        for member in self.members.iter_mut().filter(|member| member.ended.is_none()) {
            left.push(member.child.id());
            let _ = member.child.kill();
            member.ended = member.child.wait().ok();
        }
        left.extend(end_orphans(&self.server));
        self.end_strays();
        left
    }

    /// Whoever else is a child of this process by now: an orphan that a guest has left. Its own are adopted when it ends.
    fn end_strays(&mut self) {
        for _ in 0..STRAYS_MAX {
            let Some(stray) = proc::children(std::process::id()).into_iter().next() else { return };
            // A child of this process and not reaped yet, so the number is still its own.
            let pid = Pid::from_raw(stray.pid.cast_signed());
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
            if stray.state != 'Z' {
                self.strays.push(stray.pid);
            }
        }
    }

    fn member(&mut self, actor: Actor) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.actor == actor)
    }
}

impl Drop for Troupe {
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
    fn who_inherits_blocked_signals_still_hears_them() {
        // The demo's own, which blocks SIGTERM; what it starts inherits that, and begins in the same way.
        let _demo = Process::quiet(Role::Client).unwrap();
        let started = Process::quiet(Role::Client).unwrap();
        raise(Signal::SIGTERM).unwrap();
        let heard = started.wait(&mut [], Deadline::after(GRACE));
        assert!(matches!(heard, Err(Error::Signal(Signal::SIGTERM))), "{heard:?}");
    }
}
