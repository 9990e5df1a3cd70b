//! The processes of a trial: pinned to their processors, waited for with a deadline, and ended by PID.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use handshake_cli::explain;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use nix::sys::signal::Signal;
use probe::paradigm::Paradigm;
use probe::programs::{self, program};
use probe::running::Running;
use probe::temporary;
use tempfile::TempDir;

use super::cpus::Cpus;
use super::directory;

/// No step of a trial takes this long. If one does, its process is killed, and the trial has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// Why a trial has no result.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The whole comparison is to end.
    Stop(Error),
    /// This trial has failed.
    Failed(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Signal(_) => Self::Stop(error),
            _ => Self::Failed(explain(&error)),
        }
    }
}

/// What all trials share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) process: Rc<Process>,
    pub(crate) cpus: Cpus,
    /// How our programs wait.
    pub(crate) wait: String,
    /// The directory of the programs.
    programs: PathBuf,
    /// Each trial has a directory of its own in it.
    place: TempDir,
}

impl Bench {
    /// Finds the programs, beside this one.
    ///
    /// # Errors
    /// One is missing. No directory can be made.
    pub(crate) fn set_up(process: &Rc<Process>, wait: &str) -> Result<Self> {
        let programs = programs::directory()?;
        for paradigm in [Paradigm::Basic, Paradigm::Forking, Paradigm::Dispatch] {
            program(paradigm.server())?;
        }
        let place = directory::make()?;
        // Each trial needs one. If none can be made, the comparison ends here.
        temporary::file()?;
        Ok(Self {
            process: Rc::clone(process),
            cpus: Cpus::of_this_process()?,
            wait: wait.into(),
            programs,
            place,
        })
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// An empty directory, for one trial.
    pub(crate) fn directory(&self) -> Result<TempDir, Trouble> {
        let made = tempfile::tempdir_in(self.place());
        Ok(made.map_err(|error| Error::at("make a directory in", self.place(), error, ""))?)
    }

    /// A command of these words, on this processor.
    pub(crate) fn command(&self, words: &[String], cpu: Option<usize>) -> Command {
        let mut command = Command::new(self.programs.join("lab"));
        command.args(["reference", "pin"]);
        if let Some(cpu) = cpu {
            command.args(["--cpus", &cpu.to_string()]);
        }
        if let Some((program, arguments)) = words.split_first() {
            command.arg("--").arg(self.programs.join(program)).args(arguments);
        }
        command
    }

    /// Starts a program. `stdin`: whether it has one, until [`Running::close_stdin`].
    pub(crate) fn start(&self, words: &[String], cpu: Option<usize>, stdin: bool) -> Result<Member, Trouble> {
        let mut command = self.command(words, cpu);
        command.stdin(if stdin { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped());
        let running = Running::start(&mut command, Signal::SIGKILL)?;
        Ok(Member { running, process: Rc::clone(&self.process), name: words[0].clone() })
    }
}

/// A command as one would type it.
pub(crate) fn in_words(words: &[String], dir: &Path, cpu: Option<usize>) -> String {
    let line = words.join(" ").replace(&dir.display().to_string(), "DIR");
    cpu.map_or_else(|| line.clone(), |cpu| format!("taskset -c {cpu} {line}"))
}

/// A process of a trial. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) running: Running,
    process: Rc<Process>,
    name: String,
}

impl Member {
    /// Waits for the first line of its stdout.
    pub(crate) fn first_line(&mut self) -> Result<(), Trouble> {
        let has_line = |said: &[u8]| said.contains(&b'\n');
        self.listen(has_line)?;
        if has_line(self.running.printed()) { Ok(()) } else { Err(self.trouble("ended before it was ready")) }
    }

    /// Waits until it has said all and ended; returns what it said.
    pub(crate) fn finish(&mut self) -> Result<&[u8], Trouble> {
        self.listen(|_| false)?;
        self.wait(Deadline::after(PATIENCE))?;
        Ok(self.running.printed())
    }

    fn listen(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<(), Trouble> {
        match self.running.listen(&self.process, Deadline::after(PATIENCE), enough)? {
            true => Ok(()),
            false => Err(self.trouble("took too long")),
        }
    }

    fn wait(&mut self, until: Deadline) -> Result<(), Trouble> {
        match self.running.wait(&self.process, until)? {
            Some(_) => Ok(()),
            None => Err(self.trouble("took too long to end")),
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.status().is_some()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> Result<(), Trouble> {
        self.running.signal(Signal::SIGTERM);
        self.wait(Deadline::after(GRACE))
    }

    /// With what it has complained about.
    pub(crate) fn trouble(&mut self, what: &str) -> Trouble {
        let words = self.running.complaints().join("\n");
        let words = words.trim();
        let colon = if words.is_empty() { "" } else { ": " };
        Trouble::Failed(format!("{} {what}{colon}{words}", self.name))
    }
}
