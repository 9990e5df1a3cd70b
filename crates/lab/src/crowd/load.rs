//! A load process: `lab load --hold`, which is many of the clients, and stays until it is told to leave.

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

use crate::house::{House, REST, words};

/// What its clients may take for a handshake, and for a reply: so long that a slow machine is no failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// At least so often it is looked whether the server lives.
const LOOK: Duration = Duration::from_millis(200);

/// A process that is many clients. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Load {
    /// Its command line.
    pub(super) words: String,
    running: Running,
    /// `None` after EOF.
    stdout: Option<ChildStdout>,
    printed: Vec<u8>,
}

/// Whether its clients stay when they have their replies, or leave at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    UntilTold,
    UntilServed,
}

impl Load {
    /// Starts one that is so many clients.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(house: &House, connections: usize, stay: Stay) -> Result<Self> {
        let failed = |error: std::io::Error| Error::on("start", "lab load", errno_of(&error));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["load", "--connections", &connections.to_string(), "--requests", "1"]);
        command.args([
            "--expect",
            super::SERVICE,
            "--timeout",
            &format!("{}s", PATIENCE.as_secs()),
            "--json",
        ]);
        command.args((stay == Stay::UntilTold).then_some("--hold"));
        command.arg("--wkp").arg(house.place.wkp());
        let words = words(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, Signal::SIGTERM)?;
        Ok(Self { words, stdout: running.take_stdout(), running, printed: Vec::new() })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What it has reported, if it has.
    pub(super) fn report(&self) -> Option<Report> {
        let line = self.printed.strip_suffix(b"\n")?;
        serde_json::from_slice(line).ok()
    }

    /// Whether there is nothing to wait for: it has reported, or its stdout has ended.
    pub(super) fn is_told(&self) -> bool {
        self.printed.ends_with(b"\n") || self.stdout.is_none()
    }

    /// Takes what is there; its stdout was shown to have something, or the end.
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

    /// Tells its clients to leave.
    pub(super) fn leave(&mut self) {
        self.running.close_stdin();
    }

    /// Tells its clients to leave, and waits for that. Returns how it ended, and what it had to complain of.
    pub(super) fn end(&mut self, process: &Process) -> Result<(ExitStatus, Vec<String>)> {
        self.leave();
        self.running.wait(process, Deadline::after(REST))?;
        Ok((self.running.kill(), self.running.complaints()))
    }
}

/// Waits until all have reported or failed, or until the deadline.
///
/// # Errors
/// [`Error::Lost`]: the server has ended by itself. [`Error::Signal`].
pub(super) fn await_reports(
    loads: &mut [Load],
    until: Deadline,
    house: &mut House,
    process: &Process,
) -> Result<()> {
    while !until.passed() {
        let mut waiting: Vec<&mut Load> = loads.iter_mut().filter(|load| !load.is_told()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if let Some(status) = house.ended() {
            let what = format!("the server has ended by itself: {status}");
            return Err(Error::Lost { what, unanswered: 0 });
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
