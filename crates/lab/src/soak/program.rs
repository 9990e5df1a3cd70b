//! A client that is a process of its own, the real `client`: because it is to be stopped or killed, or just because.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use load::many::payload;
use nix::sys::signal::Signal;
use probe::running::Running;
use probe::temporary;

use super::plan::{Temper, Visit};
use super::score::{End, PATIENCE, Score};
use super::talk::{SERVICE, since};
use crate::house::House;

/// A client's process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Program {
    /// It stays connected until its stdin is closed.
    running: Running,
    stdout: File,
    /// What it must print.
    due: Vec<u8>,
    stopped: bool,
    /// When it is to be stopped, continued or killed.
    turning: Deadline,
    patience: Deadline,
}

impl Program {
    /// Starts it, with all that it has to say.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(house: &House, number: usize, visit: &Visit) -> Result<Self> {
        let failed = |error: std::io::Error| Error::at("start", &house.client, errno_of(&error), "");
        let (said, due) = lines(number, visit);
        let stdout = temporary::file()?;
        let mut command = Command::new(&house.client);
        let timeout = format!("{}s", PATIENCE.as_secs());
        command.args(["-q", "--timeout", &timeout, "--window", &visit.window.to_string()]);
        command.arg("--wkp").arg(house.place.wkp());
        let stays = visit.temper != Temper::PoliteProcess;
        if stays {
            command.stdin(Stdio::piped());
        } else {
            let mut stdin = temporary::file()?;
            stdin.write_all(&said).and_then(|()| stdin.rewind()).map_err(failed)?;
            command.stdin(stdin);
        }
        command.stdout(stdout.try_clone().map_err(failed)?);
        let mut running = Running::start(&mut command, Signal::SIGKILL)?;
        if let Some(stdin) = running.stdin() {
            // Less than the smallest pipe holds, so this never waits; nobody can have closed it yet but by dying.
            let _ = stdin.write_all(&said);
        }
        let turning = if stays { Deadline::in_exactly(visit.span) } else { Deadline::NEVER };
        let patience = Deadline::after(PATIENCE + visit.span + visit.stopped);
        Ok(Self { running, stdout, due, stopped: false, turning, patience })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(super) fn until(&self) -> Deadline {
        self.turning.or(self.patience)
    }

    /// Stops, continues or kills it, if it is time. Returns how it ended if its patience has: it is killed then.
    pub(super) fn go_on(&mut self, visit: &Visit) -> Option<End> {
        if self.patience.passed() {
            self.running.kill();
            return Some(End::Lost(format!("the process did not end within {PATIENCE:?}")));
        }
        if self.turning.passed() {
            self.turning = Deadline::NEVER;
            match visit.temper {
                Temper::Stopped if !self.stopped => {
                    self.running.signal(Signal::SIGSTOP);
                    self.stopped = true;
                    self.turning = Deadline::in_exactly(visit.stopped);
                }
                _ => self.dismiss(visit),
            }
        }
        None
    }

    /// Now it goes, as its temper has it. One that is owed its replies stays.
    pub(super) fn dismiss(&mut self, visit: &Visit) {
        self.turning = Deadline::NEVER;
        match visit.temper {
            Temper::Killed => self.running.signal(Signal::SIGKILL),
            _ => self.running.signal(Signal::SIGCONT),
        }
        self.running.close_stdin();
    }

    /// How it ended, if it has.
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
            || !self.due.starts_with(&printed)
        {
            let printed = String::from_utf8_lossy(&printed).into_owned();
            return Some(End::Wrong(format!("it printed {printed:?}")));
        }
        score.replies += printed.iter().filter(|byte| **byte == b'\n').count() as u64;
        let complaint = self.running.complaints().join("; ");
        let all = printed.len() == self.due.len();
        Some(match status.code() {
            Some(0) if all => End::Served,
            None if visit.temper == Temper::Killed && status.signal() == Some(Signal::SIGKILL as i32) => {
                End::AsMeant
            }
            // Its replies are counted, and so is that it knew.
            Some(1) if orphaned.is_some() => match orphaned.filter(|_| visit.temper.is_owed_all()) {
                Some(killed) => End::Orphaned(since(killed)),
                None => End::Dropped,
            },
            Some(1) if !visit.temper.is_owed_all() && complaint.contains("the connection is") => End::Dropped,
            _ => score.loss(came, told(status, &complaint, printed.len(), self.due.len())),
        })
    }
}

fn told(status: ExitStatus, complaint: &str, printed: usize, due: usize) -> String {
    format!("{status}, having printed {printed} of {due} bytes: {complaint}")
}

/// What it is to say, a line for each request, and what it must print.
fn lines(number: usize, visit: &Visit) -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut due, mut line) = (Vec::new(), Vec::new(), Vec::new());
    let mut service = SERVICE.for_session();
    for (request, size) in visit.sizes.iter().enumerate() {
        payload::fill(&mut line, *size, number, request);
        line.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
        said.extend_from_slice(&line);
        said.push(b'\n');
        service.process(&mut line);
        due.extend_from_slice(&line);
        due.push(b'\n');
    }
    (said, due)
}
