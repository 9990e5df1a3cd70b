//! The server that a soak or a crowd comes to: a real one, in a directory of its own, looked at from outside.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::place::Place;
use handshake_core::process::{Process, Woken};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use nix::unistd::read;
use probe::paradigm::Kind;
use probe::proc;
use probe::programs::{end_orphans, programs};
use probe::running::Running;
use tempfile::TempDir;

/// How long the server may take to begin, to come to rest, and to end.
pub(crate) const REST: Duration = Duration::from_secs(60);
/// Between two looks, in milliseconds.
const LOOK: u8 = 10;

/// The server, and where it serves. Dropping it ends the server and removes the directory.
#[derive(Debug)]
pub(crate) struct House {
    server: Running,
    program: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) place: Place,
    directory: TempDir,
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
        let wkp = directory.path().join("mario");
        let mut command = Command::new(&program);
        command.args(options).arg("--wkp").arg(&wkp);
        command.args(["--ready-fd", "1"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let words = words(&command);
        let place = Place::new(&wkp)?;
        let server = Running::start(&mut command, Signal::SIGTERM)?;
        let mut house = Self { server, program, client, place, directory, words };
        house.await_ready(process)?;
        Ok(house)
    }

    /// A newline on its stdout, and then the end of it: from then on its descriptors are those of a server at rest.
    fn await_ready(&mut self, process: &Process) -> Result<()> {
        let Some(ready) = self.server.take_stdout() else { return Ok(()) };
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
        self.server.pid()
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
        self.server.status()
    }

    /// Asks the server to end, and waits for that; kills it if it does not.
    pub(crate) fn close(&mut self) -> Ending {
        self.server.signal(Signal::SIGTERM);
        let until = Deadline::after(REST);
        while self.ended().is_none() && !until.passed() {
            let _ = poll(&mut [], LOOK);
        }
        let status = self.server.kill();
        let outlived = end_orphans(&self.program);
        // Only now have all ended that write to its stderr.
        Ending { status, outlived, names: self.names(), complaints: self.server.complaints() }
    }

    /// The names in its directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if self.ended().is_none() {
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
