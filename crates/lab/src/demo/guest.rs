//! A program that is none of ours, as one of the clients: `--client PATH`.
//!
//! It keeps no record, and it does not stop at the gate. What is told of it is what the server's record says, what one sees
//! from outside, and what it says itself.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use handshake_core::error::{Error, Result, errno_of};
use handshake_core::sys::{ends_with_us, with_default_signals};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};

use super::terminal::Terminal;
use super::watch::{Seen, Watch};

/// So many of its lines are told; whoever says more than that is not being read.
const TOLD: usize = 200;
/// So many requests are told that nobody has given it.
const OWN_TOLD: usize = 5;

/// Who is invited: the program, and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Invitation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// The program, running or ended.
#[derive(Debug)]
pub(super) struct Guest {
    /// Which of the clients it is.
    pub(super) number: usize,
    pub(super) pid: u32,
    pub(super) watch: Watch,
    terminal: Terminal,
    /// All its lines.
    pub(super) said: Vec<String>,
    /// How many lines it was given.
    pub(super) typed: usize,
    /// How many events about its requests have been told.
    told: usize,
    /// The last signal that was needed to end it.
    pub(super) ended_by: Option<Signal>,
}

impl Invitation {
    /// # Errors
    /// There is no such program, or nobody may run it.
    pub(super) fn new(path: &PathBuf, arguments: &[OsString]) -> Result<Self> {
        let failed = |errno| Error::at("start", path, errno, "is it the program's path?");
        // It will be started in another directory.
        let program = fs::canonicalize(path).map_err(|error| failed(errno_of(&error)))?;
        access(&program, AccessFlags::X_OK).map_err(failed)?;
        if program.is_dir() {
            return Err(failed(Errno::EISDIR));
        }
        Ok(Self { program, arguments: arguments.into() })
    }

    /// As one would type it.
    pub(super) fn words(&self) -> String {
        let words = [self.program.as_os_str()].into_iter().chain(self.arguments.iter().map(AsRef::as_ref));
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// The command, but for its stdout and its directory. It begins as any program of a shell: no signal blocked or ignored.
    ///
    /// # Errors
    /// The kernel does not say where this program is.
    pub(super) fn command(&self) -> Result<Command> {
        let own = std::env::current_exe().map_err(|error| Error::on("find", "lab", errno_of(&error)))?;
        let mut command = Command::new(own);
        command.args(["reference", "leash", "--"]).arg(&self.program).args(&self.arguments);
        command.stdin(Stdio::piped()).env_remove("HANDSHAKE_WKP");
        ends_with_us(&mut command, Signal::SIGKILL);
        with_default_signals(&mut command);
        Ok(command)
    }
}

impl Guest {
    /// A program may ask something by itself. One that asks more than that, which nobody gave it, does not notice the end of
    /// its input.
    pub(super) const OWN_REQUESTS: usize = 50;

    pub(super) fn new(number: usize, pid: u32, watch: Watch, terminal: Terminal) -> Self {
        Self { number, pid, watch, terminal, said: Vec::new(), typed: 0, told: 0, ended_by: None }
    }

    /// Whether one more event about a request of it is to be told; then what, if it is the last.
    pub(super) fn tells_of_request(&mut self) -> Result<(), Option<&'static str>> {
        self.told += 1;
        match self.told.cmp(&self.most_told()) {
            Ordering::Less => Ok(()),
            Ordering::Equal => Err(Some("asks on and on, and nobody gave it that; no more of this is told")),
            Ordering::Greater => Err(None),
        }
    }

    /// Received, routed, answered.
    fn most_told(&self) -> usize {
        3 * (self.typed + OWN_TOLD)
    }

    /// What is to be told of it since the last look.
    pub(super) fn look(&mut self, has_ended: bool) -> Vec<Seen> {
        let mut seen = self.watch.look(self.pid);
        seen.iter_mut().for_each(|seen| seen.text.insert_str(0, "seen: "));
        let lines = if has_ended { self.terminal.rest() } else { self.terminal.lines() };
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            let text = match self.said.len() {
                _ if self.told >= self.most_told() => None,
                TOLD.. => None,
                told if told + 1 == TOLD => Some("says more than is told here".into()),
                _ => Some(format!("says:               [{line}]")),
            };
            seen.extend(text.map(|text| Seen { step: None, text }));
            self.said.push(line);
            self.said.truncate(TOLD);
        }
        seen
    }
}
