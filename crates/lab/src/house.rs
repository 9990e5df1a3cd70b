//! The server that a soak or a crowd comes to: a real one, in a directory of its own, looked at from outside.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::place::Place;
use handshake_core::process::{Process, Woken};
use handshake_core::sys::ends_with_us;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, read};
use probe::paradigm::Kind;
use probe::programs::{end_orphans, lines_of, programs};
use probe::{proc, temporary};
use tempfile::TempDir;

/// How long the server may take to begin, to come to rest, and to end.
pub(crate) const REST: Duration = Duration::from_secs(60);
/// Between two looks, in milliseconds.
const LOOK: u8 = 10;

/// The server, and where it serves. Dropping it ends the server and removes the directory.
#[derive(Debug)]
pub(crate) struct House {
    server: Child,
    ended: Option<ExitStatus>,
    program: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) place: Place,
    directory: TempDir,
    stderr: File,
    /// Its command line.
    pub(crate) words: String,
}

/// How the server ended, and what it left.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    /// Subservers that lived longer.
    pub(crate) outlived: Vec<u32>,
    /// Names in its directory.
    pub(crate) names: Vec<String>,
    /// What it said on stderr.
    pub(crate) complaints: Vec<String>,
}

/// What is to be seen of the server at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The main server's descriptors.
    pub(crate) descriptors: Vec<String>,
    /// The main server's private memory, in KiB.
    pub(crate) memory: u64,
    /// Subservers that live.
    pub(crate) subservers: Vec<u32>,
    pub(crate) zombies: usize,
}

impl House {
    /// Starts the server with these options in `directory`, which goes with it, and waits until clients can
    /// connect.
    ///
    /// # Errors
    /// A program is missing, or the server does not begin. [`Error::Signal`].
    pub(crate) fn open(
        kind: Kind,
        options: &[String],
        directory: TempDir,
        process: &Process,
    ) -> Result<Self> {
        let (program, client) = programs(kind.paradigm)?;
        proc::adopt_orphans();
        let stderr = temporary::file()?;
        let wkp = directory.path().join("mario");
        let mut command = Command::new(&program);
        command.args(options).arg("--wkp").arg(&wkp);
        command.args(["--ready-fd", "1"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let words = words(&command);
        let failed = |error: io::Error| Error::at("start", &program, errno_of(&error), "");
        command.stderr(stderr.try_clone().map_err(failed)?);
        ends_with_us(&mut command, Signal::SIGTERM);
        let place = Place::new(&wkp)?;
        let server = command.spawn().map_err(failed)?;
        let mut house = Self { server, ended: None, program, client, place, directory, stderr, words };
        house.await_ready(process)?;
        Ok(house)
    }

    /// A newline on its stdout, and then the end of it: from then on its descriptors are those of a server at rest.
    fn await_ready(&mut self, process: &Process) -> Result<()> {
        let Some(ready) = self.server.stdout.take() else { return Ok(()) };
        let until = Deadline::after(REST);
        let mut newline = [0];
        loop {
            match process.wait(&mut [PollFd::new(ready.as_fd(), PollFlags::POLLIN)], until)? {
                // Something is there, or the end, so this does not wait.
                Woken::Ready(_) if matches!(read(&ready, &mut newline), Ok(1)) => {}
                Woken::Ready(_) => return Ok(()),
                Woken::Signal => {}
                Woken::Deadline => {
                    let what = format!("the server was not ready within {REST:?}");
                    return Err(Error::Lost { what, unanswered: 0 });
                }
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Where the pipes are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Looks at the server.
    pub(crate) fn look(&self) -> Look {
        let (dead, living): (Vec<_>, Vec<_>) =
            proc::children(self.pid()).into_iter().partition(|child| child.state == 'Z');
        let subservers: Vec<u32> = living.iter().map(|child| child.pid).collect();
        Look {
            descriptors: proc::open_files(self.pid()),
            memory: proc::private_memory(self.pid()),
            subservers,
            zombies: dead.len(),
        }
    }

    /// Waits until the server has no subserver, no zombie, and the descriptors that it had, if `had` says so; returns
    /// the last look, whether or not that came to pass.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(crate) fn at_rest(&self, process: &Process, had: Option<&Look>) -> Result<Look> {
        let until = Deadline::after(REST);
        loop {
            let look = self.look();
            let same = had.is_none_or(|had| had.descriptors.len() == look.descriptors.len());
            if until.passed() || (same && look.subservers.is_empty() && look.zombies == 0) {
                return Ok(look);
            }
            process.wait(&mut [], Deadline::in_exactly(Duration::from_millis(LOOK.into())))?;
        }
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or_else(|| self.server.try_wait().ok().flatten());
        self.ended
    }

    /// Asks the server to end, and waits for that; kills it if it does not.
    pub(crate) fn close(&mut self) -> Ending {
        if self.ended().is_none() {
            // Not reaped yet, so the number is its own.
            let _ = kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGTERM);
        }
        let until = Deadline::after(REST);
        while self.ended().is_none() && !until.passed() {
            let _ = poll(&mut [], LOOK);
        }
        if self.ended.is_none() {
            let _ = self.server.kill();
        }
        let status = self.ended.or_else(|| self.server.wait().ok()).unwrap_or(ExitStatus::from_raw(0x7f00));
        self.ended = Some(status);
        let outlived = end_orphans(&self.program);
        // The place in the file is shared with whoever wrote there: all have ended.
        Ending { status, outlived, names: self.names(), complaints: lines_of(&mut self.stderr) }
    }

    /// The names in its directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.close();
        }
    }
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        [program].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
