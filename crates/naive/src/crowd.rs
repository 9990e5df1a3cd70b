//! Many clients that are let go at one instant, and what becomes of each.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Seek, pipe};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use probe::running::Running;

/// Between two looks whether a client has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What became of one.
#[derive(Debug)]
pub struct End {
    /// All that it wrote on stdout.
    pub printed: Vec<u8>,
    /// None: it was still waiting, and was killed.
    pub status: Option<ExitStatus>,
    /// When it had ended, from the moment when all were let go.
    pub after: Duration,
}

/// The clients, started and held back. Dropping it ends them.
#[derive(Debug)]
pub struct Crowd {
    members: Vec<Member>,
    /// The writing end of what is everybody's stdin.
    barrier: Option<PipeWriter>,
}

#[derive(Debug)]
struct Member {
    running: Running,
    stdout: File,
    /// When it had ended.
    after: Option<Duration>,
}

impl Crowd {
    /// Starts so many. They hold back until their stdin ends.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn gather(commands: impl IntoIterator<Item = Command>) -> Result<Self> {
        let failed = |error: io::Error| Error::on("start", "a client", error);
        let (closed, barrier) = pipe().map_err(failed)?;
        let mut crowd = Self { members: Vec::new(), barrier: Some(barrier) };
        for mut command in commands {
            let stdout = tempfile::tempfile().map_err(failed)?;
            command.stdin(closed.try_clone().map_err(failed)?);
            command.stdout(stdout.try_clone().map_err(failed)?);
            let running = command.spawn().map_err(failed)?.into();
            crowd.members.push(Member { running, stdout, after: None });
        }
        Ok(crowd)
    }

    /// Releases all clients, and ends those that still run at the end of the wait. It waits until all have
    /// ended, until none has ended for `quiet`, or until `until`.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub fn release(mut self, quiet: Duration, until: Deadline, process: &Process) -> Result<Vec<End>> {
        let released = now();
        self.barrier = None;
        let mut hanging = Deadline::in_exactly(quiet);
        loop {
            // Judged only after one more look: this process may have been stopped for a while.
            let late = until.or(hanging).passed();
            if self.reap(released) {
                hanging = Deadline::in_exactly(quiet);
            } else if late {
                break;
            }
            if self.members.iter().all(|member| member.after.is_some()) {
                break;
            }
            // A look now and then even so: in a process with threads another one may get the signal.
            process.wait(&mut [], until.or(hanging).or(Deadline::in_exactly(LOOK)))?;
        }
        let after = now() - released;
        Ok(self.members.iter_mut().map(|member| member.end(after)).collect())
    }

    /// Reaps the clients that have ended; returns whether there were any.
    fn reap(&mut self, released: Duration) -> bool {
        let mut any = false;
        for member in self.members.iter_mut().filter(|member| member.after.is_none()) {
            member.after = member.running.status().map(|_| now() - released);
            any |= member.after.is_some();
        }
        any
    }
}

impl Member {
    /// Ends it, if it still runs, and tells what became of it.
    fn end(&mut self, killed: Duration) -> End {
        let status = self.running.kill();
        let mut printed = Vec::new();
        // A file without a name; one that could not be read is as good as empty.
        let _ = self.stdout.rewind().and_then(|()| self.stdout.read_to_end(&mut printed));
        End { printed, status: self.after.map(|_| status), after: self.after.unwrap_or(killed) }
    }
}

#[cfg(test)]
mod tests {
    use handshake_core::event::Role;

    use super::*;
    use crate::Stage;

    #[test]
    fn a_crowd_ends_served_or_hanging_and_is_counted() {
        let process = Process::quiet(Role::Client).unwrap();
        let run = |script: &'static str, quiet| {
            let command = || {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]);
                command
            };
            let crowd = Crowd::gather(std::iter::repeat_with(command).take(3)).unwrap();
            crowd.release(quiet, Deadline::after(Duration::from_secs(60)), &process).unwrap()
        };
        let ends = run("read line; printf wpard", Duration::from_secs(60));
        assert_eq!((Stage::Served.count_in(&ends), ends.len()), (3, 3));
        assert!(ends.iter().all(|end| end.status.is_some_and(|status| status.success())));
        // Longer than the shell takes to write two letters, and far less than it would sleep.
        let ends = run("read line; printf wp; exec sleep 1000", Duration::from_secs(1));
        assert_eq!(ends.len(), 3);
        assert_eq!((Stage::Served.count_in(&ends), Stage::ReadsReply.count_in(&ends)), (0, 0));
        assert!(ends.iter().all(|end| end.status.is_none()));
    }
}
