//! A load process: `lab load --hold`, which acts as many of the clients, and stays until it is asked to
//! leave.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use load::Report;
use nix::sys::signal::Signal;
use probe::programs::{this_program, words};
use probe::running::Running;

use crate::server_under_test::{REST, ServerUnderTest};

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
        let mut command = this_program()?;
        command.args(["load", "--connections", &connections.to_string(), "--requests", "1"]);
        command.args(["--expect", super::SERVICE, "--timeout", &format!("{}s", TIMEOUT.as_secs()), "--json"]);
        command.args((stay == Stay::UntilAsked).then_some("--hold"));
        command.arg("--wkp").arg(server.place.wkp());
        let words = words(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self { words, running: Running::start(&mut command, Signal::SIGTERM)? })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The report, if the process has printed it.
    pub(super) fn report(&self) -> Option<Report> {
        let line = self.running.printed().strip_suffix(b"\n")?;
        serde_json::from_slice(line).ok()
    }

    /// Whether the process has printed its report, or has closed its stdout.
    pub(super) fn is_finished(&self) -> bool {
        is_reported(self.running.printed()) || self.running.is_silent()
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
    for load in loads {
        while !load.is_finished() && !until.passed() {
            if let Some(status) = server.ended() {
                let what = format!("the server has ended by itself: {status}");
                return Err(Error::lost(what));
            }
            load.running.listen(process, until.or(Deadline::in_exactly(LOOK)), is_reported)?;
        }
    }
    Ok(())
}

fn is_reported(printed: &[u8]) -> bool {
    printed.ends_with(b"\n")
}
