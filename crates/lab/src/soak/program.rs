//! A client that is a process of its own, the real `client`: because it is to be stopped or killed, or just because.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::sys::ends_with_us;
use load::many::payload;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probe::programs::lines_of;
use probe::temporary;

use super::plan::{Temper, Visit};
use super::score::{End, PATIENCE, Score};
use super::talk::{SERVICE, since};
use crate::house::House;

/// A client's process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// As long as this is open, it stays connected.
    stdin: Option<ChildStdin>,
    stdout: File,
    stderr: File,
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
        let (stdout, stderr) = (temporary::file()?, temporary::file()?);
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
        command.stdout(stdout.try_clone().map_err(failed)?).stderr(stderr.try_clone().map_err(failed)?);
        ends_with_us(&mut command, Signal::SIGKILL);
        let mut child = command.spawn().map_err(failed)?;
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // Less than the smallest pipe holds, so this never waits; nobody can have closed it yet but by dying.
            let _ = stdin.write_all(&said);
        }
        let turning = if stays { Deadline::in_exactly(visit.span) } else { Deadline::NEVER };
        let patience = Deadline::after(PATIENCE + visit.span + visit.stopped);
        Ok(Self { child, stdin, stdout, stderr, due, stopped: false, turning, patience })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn until(&self) -> Deadline {
        self.turning.or(self.patience)
    }

    /// Stops, continues or kills it, if it is time. Returns how it ended if its patience has: it is killed then.
    pub(super) fn go_on(&mut self, visit: &Visit) -> Option<End> {
        if self.patience.passed() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return Some(End::Lost(format!("the process did not end within {PATIENCE:?}")));
        }
        if self.turning.passed() {
            self.turning = Deadline::NEVER;
            match visit.temper {
                Temper::Stopped if !self.stopped => {
                    self.signal(Signal::SIGSTOP);
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
            Temper::Killed => self.signal(Signal::SIGKILL),
            _ => self.signal(Signal::SIGCONT),
        }
        self.stdin = None;
    }

    fn signal(&self, signal: Signal) {
        // Not reaped yet, so the number is its own.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// How it ended, if it has.
    pub(super) fn reap(
        &mut self,
        visit: &Visit,
        orphaned: Option<Duration>,
        score: &mut Score,
        came: Duration,
    ) -> Option<End> {
        let status = self.child.try_wait().ok().flatten()?;
        let mut printed = Vec::new();
        if self.stdout.rewind().and_then(|()| self.stdout.read_to_end(&mut printed)).is_err()
            || !self.due.starts_with(&printed)
        {
            let printed = String::from_utf8_lossy(&printed).into_owned();
            return Some(End::Wrong(format!("it printed {printed:?}")));
        }
        score.replies += printed.iter().filter(|byte| **byte == b'\n').count() as u64;
        let complaint = lines_of(&mut self.stderr).join("; ");
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

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail for one that was reaped, which is as it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
