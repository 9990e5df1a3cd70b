//! The server under test of a soak, a crowd or a race: a real server in its own directory, observed from
//! outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::place::Place;
use handshake_core::process::Process;
use nix::sys::signal::Signal;
use probe::paradigm::Paradigm;
use probe::proc;
use probe::programs::{end_orphans, programs, words};
use probe::running::Running;
use tempfile::TempDir;

/// How long the server may take to start, to become idle, and to end.
pub(crate) const REST: Duration = Duration::from_secs(60);
/// The well-known pipe's name.
pub(crate) const WKP: &str = "mario";

/// The pause between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The server and its directory. Dropping this ends the server and removes the directory.
#[derive(Debug)]
pub(crate) struct ServerUnderTest {
    server: Running,
    /// `None` for the course's server, which has no subservers.
    program: Option<PathBuf>,
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
        paradigm: Paradigm,
        options: &[&str],
        directory: TempDir,
        process: &Process,
    ) -> Result<Self> {
        let (program, client) = programs(paradigm)?;
        proc::adopt_orphans();
        let mut command = Command::new(&program);
        command.args(options).args(paradigm.option()).arg("--wkp").arg(directory.path().join(WKP));
        command.args(["--ready-fd", "1"]);
        // A newline says that it is ready. After EOF, it holds only its own file descriptors.
        Self::start(command, Some(program), client, directory, process, |_| false)
    }

    /// Starts the course's own server by this command, which prints when it is ready.
    ///
    /// # Errors
    /// As [`ServerUnderTest::open`].
    pub(crate) fn original(command: Command, directory: TempDir, process: &Process) -> Result<Self> {
        Self::start(command, None, PathBuf::new(), directory, process, |printed| !printed.is_empty())
    }

    fn start(
        mut command: Command,
        program: Option<PathBuf>,
        client: PathBuf,
        directory: TempDir,
        process: &Process,
        is_ready: impl Fn(&[u8]) -> bool,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let words = words(&command);
        let place = Place::new(&directory.path().join(WKP))?;
        // The course's server may have inherited that SIGTERM is blocked.
        let with_us = if program.is_some() { Signal::SIGTERM } else { Signal::SIGKILL };
        let server = Running::start(&mut command, with_us)?;
        let mut started = Self { server, program, client, place, directory, words };
        if started.server.listen(process, Deadline::after(REST), is_ready)? {
            return Ok(started);
        }
        Err(Error::lost(format!("the server was not ready within {REST:?}")))
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
            process.wait(&mut [], Deadline::in_exactly(POLL_INTERVAL))?;
        }
    }

    /// The server's exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.server.status()
    }

    /// Asks the server to end, and waits for that; kills it if it does not end in time.
    pub(crate) fn close(&mut self) -> Ending {
        self.server.signal(Signal::SIGTERM);
        self.server.await_end(Deadline::after(REST));
        let status = self.server.kill();
        let outlived = self.program.as_deref().map(end_orphans).unwrap_or_default();
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
        // The course's server is killed when its process is dropped.
        if self.program.is_some() && self.ended().is_none() {
            self.close();
        }
    }
}
