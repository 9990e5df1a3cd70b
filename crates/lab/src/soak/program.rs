//! A client that is a process of its own, the real `client`: one to stop or kill, or a polite one.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use load::many::payload;
use nix::sys::signal::Signal;
use probe::running::Running;
use probe::temporary;

use super::plan::{Behaviour, Visit};
use super::score::{End, REPLY_TIMEOUT, Score};
use super::session::{SERVICE, since};
use crate::server_under_test::ServerUnderTest;

/// A client's process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Program {
    /// The process stays connected until its stdin is closed.
    running: Running,
    stdout: File,
    /// The expected output.
    expected: Vec<u8>,
    stopped: bool,
    /// When to stop, continue or kill the process.
    turn_at: Deadline,
    kill_at: Deadline,
}

impl Program {
    /// Starts the process, with all its messages.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) fn start(server: &ServerUnderTest, number: usize, visit: &Visit) -> Result<Self> {
        let failed = |error: std::io::Error| Error::at("start", &server.client, error, "");
        let (input, expected) = lines(number, visit);
        let stdout = temporary::file()?;
        let mut command = Command::new(&server.client);
        let timeout = format!("{}s", REPLY_TIMEOUT.as_secs());
        command.args(["-q", "--timeout", &timeout, "--window", &visit.window.to_string()]);
        command.arg("--wkp").arg(server.place.wkp());
        let is_controlled = visit.behaviour != Behaviour::PoliteProcess;
        if is_controlled {
            command.stdin(Stdio::piped());
        } else {
            let mut stdin = temporary::file()?;
            stdin.write_all(&input).and_then(|()| stdin.rewind()).map_err(failed)?;
            command.stdin(stdin);
        }
        command.stdout(stdout.try_clone().map_err(failed)?);
        let mut running = Running::start(&mut command, Signal::SIGKILL)?;
        if let Some(stdin) = running.stdin() {
            // The pipe holds more than this, so the write never blocks. If the process has already died, the
            // write fails.
            let _ = stdin.write_all(&input);
        }
        let turn_at = if is_controlled { Deadline::in_exactly(visit.span) } else { Deadline::NEVER };
        let kill_at = Deadline::after(REPLY_TIMEOUT + visit.span + visit.stopped);
        Ok(Self { running, stdout, expected, stopped: false, turn_at, kill_at })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(super) fn until(&self) -> Deadline {
        self.turn_at.or(self.kill_at)
    }

    /// Stops, continues or kills the process, when it is time. If its time is over, kills it and returns how
    /// it ended.
    pub(super) fn advance(&mut self, visit: &Visit) -> Option<End> {
        if self.kill_at.passed() {
            self.running.kill();
            return Some(End::Lost(format!("the process did not end within {REPLY_TIMEOUT:?}")));
        }
        if self.turn_at.passed() {
            self.turn_at = Deadline::NEVER;
            match visit.behaviour {
                Behaviour::Stopped if !self.stopped => {
                    self.running.signal(Signal::SIGSTOP);
                    self.stopped = true;
                    self.turn_at = Deadline::in_exactly(visit.stopped);
                }
                _ => self.dismiss(visit),
            }
        }
        None
    }

    /// Ends the process, as its behaviour requires. A process that is owed replies stays.
    pub(super) fn dismiss(&mut self, visit: &Visit) {
        self.turn_at = Deadline::NEVER;
        match visit.behaviour {
            Behaviour::Killed => self.running.signal(Signal::SIGKILL),
            _ => self.running.signal(Signal::SIGCONT),
        }
        self.running.close_stdin();
    }

    /// How the process ended, if it has.
    pub(super) fn reap(
        &mut self,
        visit: &Visit,
        orphaned: Option<Duration>,
        score: &mut Score,
        came: Duration,
    ) -> Option<End> {
        let status = self.running.status()?;
        let mut printed = Vec::new();
        if self.stdout.rewind().and_then(|()| self.stdout.read_to_end(&mut printed)).is_err()
            || !self.expected.starts_with(&printed)
        {
            let printed = String::from_utf8_lossy(&printed).into_owned();
            return Some(End::Wrong(format!("it printed {printed:?}")));
        }
        score.replies += printed.iter().filter(|byte| **byte == b'\n').count() as u64;
        let complaint = self.running.complaints().join("; ");
        let all = printed.len() == self.expected.len();
        Some(match status.code() {
            Some(0) if all => End::Served,
            None if visit.behaviour == Behaviour::Killed
                && status.signal() == Some(Signal::SIGKILL as i32) =>
            {
                End::AsPlanned
            }
            // Its replies are counted, and so is its reaction to the kill.
            Some(1) if orphaned.is_some() => match orphaned.filter(|_| visit.behaviour.is_owed_all()) {
                Some(killed) => End::Orphaned(since(killed)),
                None => End::Dropped,
            },
            Some(1) if !visit.behaviour.is_owed_all() && complaint.contains("the connection is") => {
                End::Dropped
            }
            _ => {
                let (printed, expected) = (printed.len(), self.expected.len());
                let what = format!("{status}, having printed {printed} of {expected} bytes: {complaint}");
                score.loss(came, what)
            }
        })
    }
}

/// The input, one line for each request, and the expected output.
fn lines(number: usize, visit: &Visit) -> (Vec<u8>, Vec<u8>) {
    let (mut input, mut expected, mut line) = (Vec::new(), Vec::new(), Vec::new());
    for (request, size) in visit.sizes.iter().enumerate() {
        payload::fill(&mut line, *size, number, request);
        line.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
        input.extend_from_slice(&line);
        input.push(b'\n');
        SERVICE.reply_to(0, &mut line);
        expected.extend_from_slice(&line);
        expected.push(b'\n');
    }
    (input, expected)
}
