//! The server that the clients race for: the original, or one of ours.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use handshake_core::error::Result;
use handshake_core::process::Process;
use handshake_core::sys::ends_with_us;
use nix::sys::signal::Signal;
use probe::programs::this_program;
use probe::temporary;

use super::plan::{Dialect, Server};
use crate::check::Check;
use crate::server_under_test::{ServerUnderTest, WKP};

/// What ours are told. The naive client's handshake has two steps; what it says at once is its request.
const OPTIONS: [&str; 5] = ["-q", "--service", "echo", "--handshake", "2"];

/// Of the directories' names.
const PREFIX: &str = "lab-race-";

/// A server that is ready. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub(super) struct Host {
    server: Server,
    pub(super) running: ServerUnderTest,
}

impl Host {
    /// # Errors
    /// A program is missing, or the server does not begin. [`Error::Signal`].
    pub(super) fn open(server: Server, process: &Process) -> Result<Self> {
        let directory = temporary::directory(PREFIX)?;
        let running = if let Some(paradigm) = server.paradigm() {
            ServerUnderTest::open(paradigm, &OPTIONS, directory, process)?
        } else {
            let mut command = this_program()?;
            command.args(["reference", "naive-server"]).arg(directory.path());
            ServerUnderTest::original(command, directory, process)?
        };
        Ok(Self { server, running })
    }

    /// Before the next round. An original that waits for ever is of no use any more; ours must be at rest.
    ///
    /// # Errors
    /// As [`Host::open`].
    pub(super) fn begin_anew(&mut self, process: &Process) -> Result<()> {
        if self.server.paradigm().is_some() {
            self.running.at_rest(process, None)?;
        } else {
            *self = Self::open(self.server, process)?;
        }
        Ok(())
    }

    /// A client, about to be started; it says `message` when its stdin ends.
    ///
    /// # Errors
    /// The kernel does not say where this program is.
    pub(super) fn client(&self, dialect: Dialect, message: &str) -> Result<Command> {
        let mut command = match dialect {
            // Its first event is step 3: it stops there, at a gate that opens when its stdin ends.
            Dialect::Framed => {
                let mut command = Command::new(&self.running.client);
                command.args(["-q", "--timeout", "0", "--gate", "0", "--wkp"]);
                command.arg(self.running.place.wkp()).arg(message);
                command
            }
            Dialect::Course => {
                let mut command = this_program()?;
                command.args(["reference", "naive-client"]).arg(self.running.path());
                command
            }
        };
        command.stderr(Stdio::null());
        ends_with_us(&mut command, Signal::SIGKILL);
        Ok(command)
    }

    /// How many private pipes there are: clients that stand before step 4.
    pub(super) fn private_pipes(&self) -> usize {
        let entries = fs::read_dir(self.running.path()).into_iter().flatten().flatten();
        let is_private = |entry: &fs::DirEntry| {
            entry.file_name() != WKP && entry.file_type().is_ok_and(|kind| kind.is_fifo())
        };
        entries.filter(is_private).count()
    }

    /// Ends the server. Ours reports how that went. The original just ends, and leaves files to the race's
    /// directory.
    pub(super) fn close(mut self) -> Option<Vec<Check>> {
        self.server.paradigm().map(|_| self.running.close().checks().into())
    }
}

/// Between two looks whether all are there.
pub(super) const LOOK: Duration = Duration::from_millis(5);
