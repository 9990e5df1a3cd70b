//! A started program.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output};
use std::rc::Rc;
use std::time::Duration;

use assert_cmd::assert::Assert;
use handshake_core::event::{Event, What};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::event_log::{EventLog, is_of_server};
use crate::proc::{Descriptor, signal_to};
use crate::wait::{try_within, until, until_with_message};

/// What a program's stdin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// /dev/null.
    Nothing,
    /// A file.
    File,
    /// The gate of `--gate`.
    Gate,
    /// A pipe, into which the test types.
    Typed,
    /// A terminal.
    Terminal,
}

/// A program that a scene started. The scene ends the program if the test does not.
#[derive(Debug)]
pub struct Program {
    name: String,
    words: String,
    is_server: bool,
    pid: u32,
    child: RefCell<Child>,
    /// The exit status, once the process was reaped.
    status: Cell<Option<ExitStatus>>,
    stdin: Stdin,
    /// The writing end of the stdin pipe.
    writer: RefCell<Option<PipeWriter>>,
    /// The number of events that the test has let pass at the gate.
    let_past: Cell<usize>,
    event_log: Rc<EventLog>,
    stdout: PathBuf,
    stderr: PathBuf,
    /// The descriptors of a server when it was ready, without clients.
    at_ready: OnceCell<Vec<Descriptor>>,
}

impl Program {
    #[expect(clippy::too_many_arguments, reason = "only a launch calls this, and it has all the values")]
    pub(crate) fn new(
        name: String,
        words: String,
        is_server: bool,
        child: Child,
        stdin: Stdin,
        writer: Option<PipeWriter>,
        event_log: Rc<EventLog>,
        stdout: PathBuf,
        stderr: PathBuf,
    ) -> Self {
        let pid = child.id();
        let (status, let_past) = (Cell::new(None), Cell::new(0));
        let (child, writer) = (RefCell::new(child), RefCell::new(writer));
        Self {
            name,
            words,
            is_server,
            pid,
            child,
            status,
            stdin,
            writer,
            let_past,
            event_log,
            stdout,
            stderr,
            at_ready: OnceCell::new(),
        }
    }

    /// The program's name in its scene, such as `client-3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The command line.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    pub(crate) fn is_server(&self) -> bool {
        self.is_server
    }

    pub(crate) fn stdout_path(&self) -> &Path {
        &self.stdout
    }

    pub(crate) fn stderr_path(&self) -> &Path {
        &self.stderr
    }

    /// The PID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the program has not ended yet.
    pub fn is_running(&self) -> bool {
        self.status().is_none()
    }

    fn status(&self) -> Option<ExitStatus> {
        if self.status.get().is_none() {
            self.status
                .set(self.child.borrow_mut().try_wait().expect("the program is a child of this process"));
        }
        self.status.get()
    }

    /// Waits until the program ends, and returns its output and status.
    pub fn ends(&self) -> Assert {
        let status = until(format_args!("{} to end", self.name), || self.status());
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        let output = Output { status, stdout: read(&self.stdout), stderr: read(&self.stderr) };
        Assert::new(output).append_context("program", self.words.clone())
    }

    /// Waits until the program ends, and checks that this signal ended it.
    pub fn ends_by(&self, signal: Signal) -> Assert {
        let end = self.ends();
        let status = end.get_output().status;
        assert_eq!(
            status.signal(),
            Some(signal as i32),
            "{} ended with {status}, not by {signal}",
            self.name
        );
        end
    }

    /// Closes the stdin of a client, and waits until the client ends with status 0.
    pub fn leaves(&self) -> Assert {
        self.close_stdin();
        self.ends().success()
    }

    /// Asks a server to end by SIGTERM, and waits until it ends with status 0.
    pub fn shuts_down(&self) -> Assert {
        self.signal(Signal::SIGTERM);
        self.ends().code(0)
    }

    /// Waits until the program ends, but not longer than `patience`. Returns whether it ended.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        try_within(patience, || self.status()).is_some()
    }

    /// Returns what the program has printed on stdout so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// Waits until the program has printed this on stderr.
    pub fn says(&self, text: &str) {
        let said = || String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned();
        let what = || format!("{} to say {text:?}, not {:?}", self.name, said());
        until_with_message(what, || said().contains(text).then_some(()));
    }

    /// Waits until the program has printed exactly this on stdout.
    pub fn prints(&self, text: &str) {
        until(format_args!("{} to print {text:?}", self.name), || (self.printed() == text).then_some(()));
    }

    /// Types a line.
    pub fn type_line(&self, line: &str) {
        assert_eq!(self.stdin, Stdin::Typed, "{} was not started with typing()", self.name);
        let mut writer = self.writer.borrow_mut();
        let writer = writer.as_mut().expect("the program's stdin is still open");
        writer.write_all(format!("{line}\n").as_bytes()).expect("the program reads its stdin");
    }

    /// Closes the program's stdin.
    pub fn close_stdin(&self) {
        drop(self.writer.take());
    }

    /// Lets the program pass its gate, one event at a time, until it stops after the event `what`. The
    /// subservers of a server share its gate, so their events count as well.
    pub fn step_until(&self, what: What) -> Event {
        until(format_args!("{} at the event {what:?}", self.name), || {
            loop {
                let events = self.events();
                let held = events.get(self.let_past.get()..).unwrap_or_default();
                match held.iter().find(|event| event.what == what) {
                    Some(event) => return Some(event.clone()),
                    None if held.is_empty() => return None,
                    None => self.let_past_one(),
                }
            }
        })
    }

    /// Lets the program pass its gate once, if it stops there. One of a server's subservers may pass instead.
    pub fn step(&self) {
        if self.events().len() > self.let_past.get() {
            self.let_past_one();
        }
    }

    fn let_past_one(&self) {
        assert_eq!(self.stdin, Stdin::Gate, "{} was not started with gated()", self.name);
        let mut gate = self.writer.borrow_mut();
        gate.as_mut()
            .expect("the program's gate is still closed")
            .write_all(b".")
            .expect("the program reads its gate");
        self.let_past.set(self.let_past.get() + 1);
    }

    /// Opens the gate for good.
    pub fn go_on(&self) {
        assert_eq!(self.stdin, Stdin::Gate, "{} was not started with gated()", self.name);
        drop(self.writer.take());
    }

    /// Returns the program's events so far, for a server with those of its subservers.
    pub fn events(&self) -> Vec<Event> {
        self.event_log.all(|event| event.pid == self.pid || (self.is_server && is_of_server(event)))
    }

    /// Sends a signal to the program. After SIGSTOP, the program is stopped when this returns.
    pub fn signal(&self, signal: Signal) {
        assert!(self.is_running(), "{} has ended before it got {signal}", self.name);
        signal_to(self.pid, signal);
    }

    /// As [`Program::signal`], but does nothing if the program has ended.
    pub fn try_signal(&self, signal: Signal) {
        if self.is_running() {
            // The process was not reaped, so its PID is valid.
            let _ = kill(self.nix_pid(), signal);
        }
    }

    /// Sends a signal to the program's process group. The test must have started the program with
    /// `in_own_group`.
    pub fn signal_group(&self, signal: Signal) {
        assert!(self.is_running(), "{} has ended before its group got {signal}", self.name);
        killpg(self.nix_pid(), signal).expect("the program leads its group");
    }

    /// Kills the program with SIGKILL, and waits until it is dead.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.ends_by(Signal::SIGKILL);
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }

    /// Returns the program's descriptors, see [`EventLog::descriptors`].
    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.event_log.descriptors(self.pid)
    }

    /// Remembers the descriptors of a server that is ready.
    pub(crate) fn is_ready(&self) {
        self.at_ready.set(self.descriptors()).expect("a server is ready once");
    }

    /// Waits until a server has as many descriptors of each kind as when it was ready. The census does that
    /// with each server that still runs, and was ready before the first client came.
    pub fn has_descriptors_as_at_start(&self) {
        if let Some(before) = self.at_ready.get() {
            self.has_descriptors_as_or_ends(before);
            assert!(self.is_running(), "{} has ended, and has no descriptors", self.name);
        }
    }

    /// Waits until the program has as many descriptors of each kind as `before`, or ends.
    pub(crate) fn has_descriptors_as_or_ends(&self, before: &[Descriptor]) {
        let kinds = |descriptors: &[Descriptor]| {
            let mut kinds: Vec<_> = descriptors.iter().map(ToString::to_string).collect();
            kinds.sort();
            kinds
        };
        let wanted = kinds(before);
        let what =
            || format!("{} to have these descriptors: {wanted:?}, not {:?}", self.name, self.descriptors());
        until_with_message(what, || {
            (!self.is_running() || kinds(&self.descriptors()) == wanted).then_some(())
        });
    }
}
