//! The server that the clients race for: the original, or one of ours.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::Result;
use handshake_core::process::Process;
use handshake_core::sys::ends_with_us;
use nix::sys::signal::Signal;
use probe::programs::{this_program, words};
use probe::running::Running;
use probe::temporary;
use tempfile::TempDir;

use super::plan::{Dialect, Match, Server};
use crate::check::Check;
use crate::server_under_test::{REST, ServerUnderTest, not_ready};

/// The well-known pipe's name.
const WKP: &str = "mario";

/// What ours are told. The naive client's handshake has two steps; what it says at once is its request.
const OPTIONS: [&str; 5] = ["-q", "--service", "echo", "--handshake", "2"];

/// Of the directories' names.
const PREFIX: &str = "lab-race-";

/// A server that is ready. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub(super) enum Host {
    Original(Original),
    Ours(ServerUnderTest),
}

/// The course's server.
#[derive(Debug)]
pub(super) struct Original {
    /// Killed when this is dropped.
    _server: Running,
    directory: TempDir,
    words: String,
}

impl Host {
    /// # Errors
    /// A program is missing, or the server does not begin. [`Error::Signal`].
    pub(super) fn open(server: Server, process: &Process) -> Result<Self> {
        let Some(paradigm) = server.paradigm() else { return Original::start(process).map(Self::Original) };
        let directory = temporary::directory(PREFIX)?;
        ServerUnderTest::open(paradigm, &OPTIONS, directory, process).map(Self::Ours)
    }

    /// Its command line.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Original(original) => &original.words,
            Self::Ours(house) => &house.words,
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Original(original) => original.directory.path(),
            Self::Ours(house) => house.path(),
        }
    }

    /// Before the next round. An original that waits for ever is of no use any more; ours must be at rest.
    ///
    /// # Errors
    /// As [`Host::open`].
    pub(super) fn begin_anew(&mut self, process: &Process) -> Result<()> {
        match self {
            Self::Original(original) => *original = Original::start(process)?,
            Self::Ours(house) => {
                house.at_rest(process, None)?;
            }
        }
        Ok(())
    }

    /// A client, about to be started; it says `message` when its stdin ends.
    ///
    /// # Errors
    /// The kernel does not say where this program is.
    pub(super) fn client(&self, dialect: Dialect, message: &str) -> Result<Command> {
        let mut command = match (dialect, self) {
            (Dialect::Framed, Self::Ours(house)) => framed(house, message),
            _ => {
                let mut command = this_program()?;
                command.args(["reference", "naive-client"]).arg(self.path());
                command
            }
        };
        command.stderr(Stdio::null());
        ends_with_us(&mut command, Signal::SIGKILL);
        Ok(command)
    }

    pub(super) fn clients_words(&self, who: Match) -> String {
        self.client(who.dialect, "MESSAGE").map_or(String::new(), |command| words(&command))
    }

    /// How many private pipes there are: clients that stand before step 4.
    pub(super) fn private_pipes(&self) -> usize {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let is_private = |entry: &fs::DirEntry| {
            entry.file_name() != WKP && entry.file_type().is_ok_and(|kind| kind.is_fifo())
        };
        entries.filter(is_private).count()
    }

    /// Ends the server. Ours reports how that went. The original is ended by its PID, and leaves files to the
    /// race's directory.
    pub(super) fn close(self) -> Option<Vec<Check>> {
        match self {
            Self::Original(_) => None,
            Self::Ours(mut house) => Some(house.close().checks().into()),
        }
    }
}

/// Its first event is step 3: it stops there, at a gate that opens when its stdin ends.
fn framed(house: &ServerUnderTest, message: &str) -> Command {
    let mut command = Command::new(&house.client);
    command.args(["-q", "--timeout", "0", "--gate", "0", "--wkp"]).arg(house.place.wkp()).arg(message);
    command
}

impl Original {
    fn start(process: &Process) -> Result<Self> {
        let directory = temporary::directory(PREFIX)?;
        let mut command = this_program()?;
        command.args(["reference", "naive-server"]).arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let words = words(&command);
        let mut server = Running::start(&mut command, Signal::SIGKILL)?;
        if server.listen(process, Deadline::after(REST), |printed| !printed.is_empty())? {
            return Ok(Self { _server: server, directory, words });
        }
        Err(not_ready("the course's server"))
    }
}

/// Between two looks whether all are there.
pub(super) const LOOK: Duration = Duration::from_millis(5);
