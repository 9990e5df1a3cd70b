//! A program that this process has started: it can be sent signals, it is reaped once, and what it prints is
//! kept. Dropping it kills it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus};

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::{Process, Woken};
use handshake_core::sys::ends_with_us;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, read};

use crate::programs::lines_of;
use crate::temporary;

/// The status of a process that another part of this program has reaped: the shell's 127.
const UNKNOWN: i32 = 127 << 8;

/// The pause between two looks whether a process has ended, in milliseconds.
const LOOK: u8 = 10;

/// A child process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    ended: Option<ExitStatus>,
    /// What it has printed, if its stdout is a pipe.
    printed: Vec<u8>,
    stderr: Option<File>,
}

/// A program that was started in another way. What it writes on stderr is not kept.
impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self { child, ended: None, printed: Vec::new(), stderr: None }
    }
}

impl Running {
    /// Starts a program whose stderr is a file without a name. If this process dies first, the kernel sends
    /// `with_us` to the program.
    ///
    /// # Errors
    /// It cannot be started; there is no temporary file.
    pub fn start(command: &mut Command, with_us: Signal) -> Result<Self> {
        let program = command.get_program().to_owned();
        let failed = |error: io::Error| Error::at("start", Path::new(&program), error, "");
        let stderr = temporary::file()?;
        command.stderr(stderr.try_clone().map_err(failed)?);
        ends_with_us(command, with_us);
        let mut running = Self::from(command.spawn().map_err(failed)?);
        running.stderr = Some(stderr);
        Ok(running)
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its stdin, if that is a pipe.
    pub fn stdin(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// What it has printed, as far as [`Running::listen`] has read it.
    pub fn printed(&self) -> &[u8] {
        &self.printed
    }

    /// Reads what it prints until that is `enough`, until EOF, or until the deadline. Returns whether the
    /// deadline has not passed.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub fn listen(
        &mut self,
        process: &Process,
        until: Deadline,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Result<bool> {
        let mut room = [0; 1 << 16];
        while let Some(stdout) = self.child.stdout.as_ref().filter(|_| !enough(&self.printed)) {
            match process.wait(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], until)? {
                Woken::Signal => {}
                Woken::Deadline => return Ok(false),
                // It is readable or at EOF, so this does not wait.
                Woken::Ready(_) => match read(stdout, &mut room) {
                    Ok(count) if count > 0 => self.printed.extend_from_slice(&room[..count]),
                    _ => self.child.stdout = None,
                },
            }
        }
        Ok(true)
    }

    /// Whether its stdout has come to EOF.
    pub fn is_silent(&self) -> bool {
        self.child.stdout.is_none()
    }

    /// The exit status, if the process is known to have ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.ended
    }

    /// The exit status, if the process has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or_else(|| self.child.try_wait().ok().flatten());
        self.ended
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            // Not reaped, so the PID is still its own.
            let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
        }
    }

    /// Waits for the end of the process, or for the deadline.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub fn wait(&mut self, process: &Process, until: Deadline) -> Result<Option<ExitStatus>> {
        while self.status().is_none() && !until.passed() {
            process.wait(&mut [], until)?;
        }
        Ok(self.status())
    }

    /// Waits for the end of the process, or for the deadline, whatever signals come.
    pub fn await_end(&mut self, until: Deadline) -> Option<ExitStatus> {
        while self.status().is_none() && !until.passed() {
            let _ = poll(&mut [], LOOK);
        }
        self.ended
    }

    /// Kills the process, unless it has ended, and reaps it.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        let status = self.ended.or_else(|| self.child.wait().ok()).unwrap_or(ExitStatus::from_raw(UNKNOWN));
        self.ended = Some(status);
        status
    }

    /// The lines that it has written on stderr. Only after its end: it shares the place in the file.
    pub fn complaints(&mut self) -> Vec<String> {
        self.stderr.as_mut().map(lines_of).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use handshake_core::event::Role;

    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("/bin/sh");
        Running::start(command.args(["-c", script]).stdin(Stdio::piped()), Signal::SIGKILL).unwrap()
    }

    #[test]
    fn a_program_ends_when_its_stdin_does_and_its_complaints_are_kept() {
        let process = Process::quiet(Role::Client).unwrap();
        let mut running = shell("read line; echo alas >&2; exit 3");
        assert_eq!(running.wait(&process, Deadline::in_exactly(Duration::from_millis(1))).unwrap(), None);
        running.close_stdin();
        while running.status().is_none() {
            // In a process with threads, another one may get SIGCHLD.
            running.wait(&process, Deadline::in_exactly(Duration::from_millis(10))).unwrap();
        }
        assert_eq!((running.kill().code(), running.complaints()), (Some(3), vec!["alas".to_owned()]));
    }

    #[test]
    fn what_a_program_prints_is_read_until_it_is_enough_and_until_its_end() {
        let process = Process::quiet(Role::Client).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo one; read line; echo two"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, Signal::SIGKILL).unwrap();
        let minute = Deadline::in_exactly(Duration::from_secs(60));
        assert!(running.listen(&process, minute, |printed| printed.contains(&b'\n')).unwrap());
        assert_eq!((running.printed(), running.is_silent()), (&b"one\n"[..], false));
        assert!(!running.listen(&process, Deadline::in_exactly(Duration::ZERO), |_| false).unwrap());
        running.close_stdin();
        assert!(running.listen(&process, minute, |_| false).unwrap());
        assert_eq!((running.printed(), running.is_silent()), (&b"one\ntwo\n"[..], true));
        assert!(running.await_end(minute).is_some());
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        assert_eq!(shell("exec sleep 1000").kill().signal(), Some(Signal::SIGKILL as i32));
    }
}
