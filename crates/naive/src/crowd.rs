//! Many clients that are let go at one instant, and what becomes of each.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Seek, pipe};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::process::Process;

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
    child: Child,
    stdout: File,
    ended: Option<(ExitStatus, Duration)>,
}

impl Crowd {
    /// Starts so many. They hold back until their stdin ends.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn gather(commands: impl IntoIterator<Item = Command>) -> Result<Self> {
        let failed = |error: io::Error| Error::on("start", "a client", errno_of(&error));
        let (closed, barrier) = pipe().map_err(failed)?;
        let mut crowd = Self { members: Vec::new(), barrier: Some(barrier) };
        for mut command in commands {
            let stdout = tempfile::tempfile().map_err(failed)?;
            command.stdin(closed.try_clone().map_err(failed)?);
            command.stdout(stdout.try_clone().map_err(failed)?);
            crowd.members.push(Member { child: command.spawn().map_err(failed)?, stdout, ended: None });
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
            if self.members.iter().all(|member| member.ended.is_some()) {
                break;
            }
            // A look now and then even so: in a process with threads another one may get the signal.
            process.wait(&mut [], until.or(hanging).or(Deadline::in_exactly(LOOK)))?;
        }
        self.end();
        let after = now() - released;
        Ok(self.members.iter_mut().map(|member| member.what_became(after)).collect())
    }

    /// Reaps the clients that have ended; returns whether there were any.
    fn reap(&mut self, released: Duration) -> bool {
        let mut any = false;
        for member in self.members.iter_mut().filter(|member| member.ended.is_none()) {
            member.ended = member.child.try_wait().ok().flatten().map(|status| (status, now() - released));
            any |= member.ended.is_some();
        }
        any
    }

    /// Ends the clients that still run.
    fn end(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.ended.is_none()) {
            // Ours and not reaped, so the number is still its own.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

impl Member {
    /// It has ended, so the place in the file is nobody else's.
    fn what_became(&mut self, killed: Duration) -> End {
        let mut printed = Vec::new();
        // A file without a name; one that could not be read is as good as empty.
        let _ = self.stdout.rewind().and_then(|()| self.stdout.read_to_end(&mut printed));
        let (status, after) = self.ended.map_or((None, killed), |(status, after)| (Some(status), after));
        End { printed, status, after }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use handshake_core::event::Role;

    use super::*;
    use crate::{Outcome, Stage};

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
        let done = Outcome::of(&ends);
        assert_eq!((done.at(Stage::Served), done.ends.len()), (3, 1));
        assert!(ends.iter().all(|end| end.status.is_some_and(|status| status.success())));
        // Longer than the shell takes to write two letters, and far less than it would sleep.
        let ends = run("read line; printf wp; exec sleep 1000", Duration::from_secs(1));
        let hung = Outcome::of(&ends);
        assert_eq!(hung.ends.values().sum::<usize>(), 3);
        assert_eq!((hung.at(Stage::Served), hung.at(Stage::ReadsReply)), (0, 0));
        assert!(ends.iter().all(|end| end.status.is_none()));
    }
}
