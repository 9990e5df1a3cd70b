//! A load process: `lab load --hold`, which acts as many of the clients, and stays until it is asked to
//! leave.

use std::os::fd::AsFd;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::process::{Process, Woken};
use load::Report;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::read;
use probe::running::Running;

use crate::server_under_test::{REST, ServerUnderTest, words};

/// How long its clients wait for a handshake and for a reply: so long that a slow machine is no failure.
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);

/// How often to check that the server is alive.
const LOOK: Duration = Duration::from_millis(200);

/// A process that acts as many clients. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Load {
    /// The process's command line.
    pub(super) words: String,
    running: Running,
    /// `None` after EOF.
    stdout: Option<ChildStdout>,
    printed: Vec<u8>,
}

/// Whether the clients stay after their replies, or leave at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    UntilAsked,
    UntilServed,
}

impl Load {
    /// Starts a process that acts as `connections` clients.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) fn start(server: &ServerUnderTest, connections: usize, stay: Stay) -> Result<Self> {
        let failed = |error: std::io::Error| Error::on("start", "lab load", errno_of(&error));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["load", "--connections", &connections.to_string(), "--requests", "1"]);
        command.args(["--expect", super::SERVICE, "--timeout", &format!("{}s", TIMEOUT.as_secs()), "--json"]);
        command.args((stay == Stay::UntilAsked).then_some("--hold"));
        command.arg("--wkp").arg(server.place.wkp());
        let words = words(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, Signal::SIGTERM)?;
        Ok(Self { words, stdout: running.take_stdout(), running, printed: Vec::new() })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The report, if the process has printed it.
    pub(super) fn report(&self) -> Option<Report> {
        let line = self.printed.strip_suffix(b"\n")?;
        serde_json::from_slice(line).ok()
    }

    /// Whether the process has printed its report, or has closed its stdout.
    pub(super) fn is_finished(&self) -> bool {
        self.printed.ends_with(b"\n") || self.stdout.is_none()
    }

    /// Reads what the process has printed; call it when its stdout is readable.
    fn read(&mut self) {
        let Some(stdout) = &self.stdout else { return };
        let mut buffer = [0; 4096];
        match read(stdout, &mut buffer) {
            Ok(0) => self.stdout = None,
            Ok(count) => self.printed.extend(&buffer[..count]),
            Err(Errno::EINTR) => {}
            Err(_) => self.stdout = None,
        }
    }

    /// Asks the clients to leave.
    pub(super) fn leave(&mut self) {
        self.running.close_stdin();
    }

    /// Asks the clients to leave, and waits for the process's end. Returns its status and its complaints.
    pub(super) fn end(&mut self, process: &Process) -> Result<(ExitStatus, Vec<String>)> {
        self.leave();
        self.running.wait(process, Deadline::after(REST))?;
        Ok((self.running.kill(), self.running.complaints()))
    }
}

/// Waits until all processes have reported or failed, or until the deadline.
///
/// # Errors
/// [`Error::Lost`]: the server has ended by itself. [`Error::Signal`].
pub(super) fn await_reports(
    loads: &mut [Load],
    until: Deadline,
    server: &mut ServerUnderTest,
    process: &Process,
) -> Result<()> {
    while !until.passed() {
        let mut waiting: Vec<&mut Load> = loads.iter_mut().filter(|load| !load.is_finished()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if let Some(status) = server.ended() {
            let what = format!("the server has ended by itself: {status}");
            return Err(Error::lost(what));
        }
        let stdouts = waiting.iter().filter_map(|load| load.stdout.as_ref());
        let mut fds: Vec<_> = stdouts.map(|stdout| PollFd::new(stdout.as_fd(), PollFlags::POLLIN)).collect();
        let woken = process.wait(&mut fds, until.or(Deadline::in_exactly(LOOK)))?;
        let shown: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if matches!(woken, Woken::Ready(_)) {
            waiting.iter_mut().zip(shown).filter(|(_, shown)| *shown).for_each(|(load, _)| load.read());
        }
    }
    Ok(())
}
