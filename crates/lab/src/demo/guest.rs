//! A program that is none of ours, as one of the clients: `--client PATH`.
//!
//! It keeps no record, and it does not stop at the gate. What is told of it is what the server's record says, what one sees
//! from outside, and what it says itself.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use handshake_core::error::{Error, Result, errno_of};
use handshake_core::sys::{ends_with_us, with_default_signals};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use probe::blocked::{Call, call_of_family};

use super::runnable;
use super::tell::quoted;
use super::terminal::Terminal;
use super::watch::{Seen, Watch, WkpOpened};

/// So many of its lines are told.
const TOLD: usize = 200;
/// So many of its lines are kept, to find the replies in them.
const KEPT: usize = 10_000;
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
    /// Its lines, up to a limit.
    pub(super) said: Vec<String>,
    /// How many of its lines came before it was given a message.
    pub(super) said_before: usize,
    /// How many lines it was given.
    pub(super) typed: usize,
    /// How many events about its requests have been told.
    told: usize,
    /// The last signal that was needed to end it.
    pub(super) ended_by: Option<Signal>,
    /// What it was blocked in when it first did not do what was expected of it.
    pub(super) blocked: Option<Call>,
    /// Whether that was before it opened the well-known pipe.
    pub(super) blocked_before_wkp: bool,
    /// Whether it had closed the well-known pipe when it was given its first message.
    pub(super) closed_wkp: bool,
}

impl Invitation {
    /// # Errors
    /// There is no such program, or the kernel cannot run it.
    pub(super) fn new(path: &Path, arguments: &[OsString]) -> Result<Self> {
        // It will be started in another directory.
        let program = fs::canonicalize(path).map_err(|error| failed(path, errno_of(&error)))?;
        if program.is_dir() {
            return Err(failed(path, Errno::EISDIR));
        }
        runnable::check(&program).map_err(|errno| failed(path, errno))?;
        Ok(Self { program, arguments: arguments.into() })
    }

    /// As one would type it.
    pub(super) fn words(&self) -> String {
        let words = [self.program.as_os_str()].into_iter().chain(self.arguments.iter().map(AsRef::as_ref));
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Starts it in `place` with `screen` as its stdout and stderr. It begins as a program of a shell does:
    /// no signal is blocked or ignored.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, place: &Path, screen: OwnedFd) -> Result<Child> {
        let failed = |errno| failed(&self.program, errno);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_remove("HANDSHAKE_WKP").current_dir(place);
        command.stdin(Stdio::piped());
        command.stdout(screen.try_clone().map_err(|error| failed(errno_of(&error)))?).stderr(screen);
        ends_with_us(&mut command, Signal::SIGKILL);
        with_default_signals(&mut command);
        command.spawn().map_err(|error| failed(errno_of(&error)))
    }
}

/// Why a program cannot be started, and what to try.
fn failed(program: &Path, errno: Errno) -> Error {
    let hint = match errno {
        Errno::ENOEXEC => "is it built for another machine, or a script without a #! line? Ask file(1)",
        Errno::EACCES => "is it a program, with its x bit set (chmod +x)?",
        Errno::ENOENT if program.exists() => {
            "the file is there, but not what runs it: the program of its #! line, or its loader (ldd)"
        }
        Errno::ETXTBSY => "is the compiler still writing it?",
        _ => "is it the program's path?",
    };
    Error::at("start", program, errno, hint)
}

impl Guest {
    /// A program may ask something by itself. One that asks more than that, which nobody gave it, does not notice the end of
    /// its input.
    pub(super) const OWN_REQUESTS: usize = 50;

    pub(super) fn new(number: usize, pid: u32, watch: Watch, terminal: Terminal) -> Self {
        let said = Vec::new();
        Self {
            number,
            pid,
            watch,
            terminal,
            said,
            said_before: 0,
            typed: 0,
            told: 0,
            ended_by: None,
            blocked: None,
            blocked_before_wkp: false,
            closed_wkp: false,
        }
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
                _ => Some(quoted("says:", &line)),
            };
            seen.extend(text.map(|text| Seen { step: None, text }));
            self.said.push(line);
            self.said.truncate(KEPT);
        }
        if self.typed == 0 {
            self.said_before = self.said.len();
        }
        seen
    }

    /// Notes what it is blocked in, unless that was noted before.
    pub(super) fn note_blocked(&mut self) {
        if self.blocked.is_none() {
            self.blocked = call_of_family(self.pid);
            self.blocked_before_wkp = self.watch.wkp_opened() == WkpOpened::Never;
        }
    }
}
