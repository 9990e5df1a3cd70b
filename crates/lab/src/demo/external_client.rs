//! A program from outside this project, as one of the clients: `--client PATH`.
//!
//! It writes no event log, and it does not stop at the gate. The demo reports what the server's log says
//! about it, what can be seen from outside, and what it prints.

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

use super::blocked::{Blocked, blocked};
use super::runnable;
use super::sentence::quoted;
use super::terminal::Terminal;
use super::watch::{Seen, Watch, WkpOpened};

/// How many of its lines are printed.
const LINES_PRINTED: usize = 200;
/// How many of its lines are kept, to find the replies in them.
const LINES_KEPT: usize = 10_000;
/// How many requests of its own are printed.
const OWN_REQUESTS_PRINTED: usize = 5;

/// The program to start, and its arguments.
#[derive(Debug, Clone)]
pub(super) struct ExternalProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// The program, running or ended.
#[derive(Debug)]
pub(super) struct ExternalClient {
    /// Its number among the clients.
    pub(super) number: usize,
    pub(super) pid: u32,
    pub(super) watch: Watch,
    terminal: Terminal,
    /// Its lines, up to a limit.
    pub(super) printed_lines: Vec<String>,
    /// How many of its lines came before its first message.
    pub(super) printed_before: usize,
    /// How many messages it was given.
    pub(super) given: usize,
    /// How many events about its requests were printed.
    events_printed: usize,
    /// The last signal that the demo sent to end it.
    pub(super) ended_by: Option<Signal>,
    /// The call that blocked it when it first missed an expected step.
    pub(super) blocked: Option<Blocked>,
    /// Whether it was blocked before it opened the well-known pipe.
    pub(super) blocked_before_wkp: bool,
    /// Whether it had closed the well-known pipe before its first message.
    pub(super) closed_wkp: bool,
}

impl ExternalProgram {
    /// # Errors
    /// The program does not exist, or the kernel cannot run it.
    pub(super) fn new(path: &Path, arguments: &[OsString]) -> Result<Self> {
        // The program will be started in another directory.
        let program = fs::canonicalize(path).map_err(|error| failed(path, errno_of(&error)))?;
        if program.is_dir() {
            return Err(failed(path, Errno::EISDIR));
        }
        runnable::check(&program).map_err(|errno| failed(path, errno))?;
        Ok(Self { program, arguments: arguments.into() })
    }

    /// The command as a person would type it.
    pub(super) fn words(&self) -> String {
        let words = [self.program.as_os_str()].into_iter().chain(self.arguments.iter().map(AsRef::as_ref));
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Starts the program in `place`, with `screen` as its stdout and stderr. It starts as from a shell: no
    /// signal is blocked or ignored.
    ///
    /// # Errors
    /// The program cannot be started.
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

/// The error of a program that cannot be started, with a hint.
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

impl ExternalClient {
    /// The most requests of its own that a program may send. A program that sends more does not notice the
    /// end of its input.
    pub(super) const OWN_REQUESTS: usize = 50;

    pub(super) fn new(number: usize, pid: u32, watch: Watch, terminal: Terminal) -> Self {
        Self {
            number,
            pid,
            watch,
            terminal,
            printed_lines: Vec::new(),
            printed_before: 0,
            given: 0,
            events_printed: 0,
            ended_by: None,
            blocked: None,
            blocked_before_wkp: false,
            closed_wkp: false,
        }
    }

    /// Whether to print one more event about a request. The error is the final text, once the limit is
    /// reached.
    pub(super) fn may_print_request(&mut self) -> Result<(), Option<&'static str>> {
        self.events_printed += 1;
        match self.events_printed.cmp(&self.print_max()) {
            Ordering::Less => Ok(()),
            Ordering::Equal => Err(Some("asks on and on, and nobody gave it that; no more of this is told")),
            Ordering::Greater => Err(None),
        }
    }

    /// Each request has up to three events: received, routed, answered.
    fn print_max(&self) -> usize {
        3 * (self.given + OWN_REQUESTS_PRINTED)
    }

    /// What to print about the program since the last look.
    pub(super) fn look(&mut self, has_ended: bool) -> Vec<Seen> {
        let mut seen = self.watch.look(self.pid);
        seen.iter_mut().for_each(|seen| seen.text.insert_str(0, "seen: "));
        let lines = if has_ended { self.terminal.rest() } else { self.terminal.lines() };
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            let text = match self.printed_lines.len() {
                _ if self.events_printed >= self.print_max() => None,
                LINES_PRINTED.. => None,
                printed if printed + 1 == LINES_PRINTED => Some("says more than is shown here".into()),
                _ => Some(quoted("says:", &line)),
            };
            seen.extend(text.map(|text| Seen { step: None, text }));
            self.printed_lines.push(line);
            self.printed_lines.truncate(LINES_KEPT);
        }
        if self.given == 0 {
            self.printed_before = self.printed_lines.len();
        }
        seen
    }

    /// Notes the call that blocks the program, unless one was noted before.
    pub(super) fn note_blocked(&mut self, server: Option<u32>) {
        if self.blocked.is_none() {
            self.blocked = blocked(self.pid, server);
            self.blocked_before_wkp = self.watch.wkp_opened() == WkpOpened::Never;
        }
    }
}
