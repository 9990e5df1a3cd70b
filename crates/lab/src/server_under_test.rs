//! The server under test of a soak, a crowd or a race: a real server in its own directory, observed from
//! outside.

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

/// How long the server may take to start, to become idle, and to end.
pub(crate) const REST: Duration = Duration::from_secs(60);
/// The pause between two checks, in milliseconds.
const POLL_INTERVAL: u8 = 10;

/// The server and its directory. Dropping this ends the server and removes the directory.
#[derive(Debug)]
pub(crate) struct ServerUnderTest {
    server: Running,
    program: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) place: Place,
    directory: TempDir,
    /// The server's command line.
    pub(crate) words: String,
}

/// How the server ended, and what it left behind.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    /// Subservers that outlived the server.
    pub(crate) outlived: Vec<u32>,
    /// Names left in the server's directory.
    pub(crate) names: Vec<String>,
    /// The server's messages on stderr.
    pub(crate) complaints: Vec<String>,
}

/// What /proc shows of the server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The main server's open files.
    pub(crate) descriptors: Vec<String>,
    /// The main server's private memory, in KiB.
    pub(crate) memory: u64,
    /// PIDs of the living subservers.
    pub(crate) subservers: Vec<u32>,
    pub(crate) zombies: usize,
}

impl ServerUnderTest {
    /// Starts the server with these options in `directory`, and waits until clients can connect.
    ///
    /// # Errors
    /// A program is missing, or the server does not start. [`Error::Signal`].
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
        let mut started = Self { server, program, client, place, directory, words };
        started.await_ready(process)?;
        Ok(started)
    }

    /// Waits for the newline on the server's stdout and for EOF. After that, the server holds only its own
    /// file descriptors.
    fn await_ready(&mut self, process: &Process) -> Result<()> {
        let Some(ready) = self.server.take_stdout() else { return Ok(()) };
        let until = Deadline::after(REST);
        let mut newline = [0];
        loop {
            match process.wait(&mut [PollFd::new(ready.as_fd(), PollFlags::POLLIN)], until)? {
                // Stdout is readable or at EOF, so this read does not block.
                Woken::Ready(_) if matches!(read(&ready, &mut newline), Ok(1)) => {}
                Woken::Ready(_) => return Ok(()),
                Woken::Signal => {}
                Woken::Deadline => {
                    let what = format!("the server was not ready within {REST:?}");
                    return Err(Error::lost(what));
                }
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The directory of the pipes.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What /proc shows of the server now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (dead, living): (Vec<_>, Vec<_>) =
            proc::children(self.pid()).into_iter().partition(|child| child.state == 'Z');
        let subservers: Vec<u32> = living.iter().map(|child| child.pid).collect();
        Snapshot {
            descriptors: proc::open_files(self.pid()),
            memory: proc::private_memory(self.pid()),
            subservers,
            zombies: dead.len(),
        }
    }

    /// Waits until the server has no subserver, no zombie, and as many file descriptors as `had` shows.
    /// Returns the last look, even if the time ran out.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(crate) fn at_rest(&self, process: &Process, had: Option<&Snapshot>) -> Result<Snapshot> {
        let until = Deadline::after(REST);
        loop {
            let snapshot = self.snapshot();
            let same = had.is_none_or(|had| had.descriptors.len() == snapshot.descriptors.len());
            if until.passed() || (same && snapshot.subservers.is_empty() && snapshot.zombies == 0) {
                return Ok(snapshot);
            }
            process.wait(&mut [], Deadline::in_exactly(Duration::from_millis(POLL_INTERVAL.into())))?;
        }
    }

    /// The server's exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.server.status()
    }

    /// Asks the server to end, and waits for that; kills it if it does not end in time.
    pub(crate) fn close(&mut self) -> Ending {
        self.server.signal(Signal::SIGTERM);
        let until = Deadline::after(REST);
        while self.ended().is_none() && !until.passed() {
            let _ = poll(&mut [], POLL_INTERVAL);
        }
        let status = self.server.kill();
        let outlived = end_orphans(&self.program);
        // The server and its subservers shared the file offset of stderr, but all have ended.
        Ending { status, outlived, names: self.names(), complaints: self.server.complaints() }
    }

    /// The names in the server's directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for ServerUnderTest {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.close();
        }
    }
}

/// A command as a person would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        [program].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
