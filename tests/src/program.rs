//! A program that was started: what a test can do with it and ask it.

use std::cell::{Cell, RefCell};
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

use crate::proc::{Descriptor, signal_to};
use crate::record::{Record, is_of_server};
use crate::wait::{try_within, until, until_told};

/// What a program's stdin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// /dev/null.
    Nothing,
    /// A file.
    File,
    /// Its `--gate`.
    Gate,
    /// What the test types.
    Typed,
    /// A terminal.
    Terminal,
}

/// A program that was started by a scene. The scene ends it if the test does not.
#[derive(Debug)]
pub struct Program {
    name: String,
    words: String,
    is_server: bool,
    pid: u32,
    child: RefCell<Child>,
    /// How it ended, once it was reaped.
    status: Cell<Option<ExitStatus>>,
    stdin: Stdin,
    /// The writing end of its stdin.
    writer: RefCell<Option<PipeWriter>>,
    /// How many events it was let past at its gate.
    let_past: Cell<usize>,
    record: Rc<Record>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    #[expect(clippy::too_many_arguments, reason = "a launch knows all of it, and nobody else calls this")]
    pub(crate) fn new(
        name: String,
        words: String,
        is_server: bool,
        child: Child,
        stdin: Stdin,
        writer: Option<PipeWriter>,
        record: Rc<Record>,
        stdout: PathBuf,
        stderr: PathBuf,
    ) -> Self {
        let pid = child.id();
        let (status, let_past) = (Cell::new(None), Cell::new(0));
        let (child, writer) = (RefCell::new(child), RefCell::new(writer));
        Self { name, words, is_server, pid, child, status, stdin, writer, let_past, record, stdout, stderr }
    }

    /// Its name in the scene: `client 3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was started.
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

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.status().is_none()
    }

    fn status(&self) -> Option<ExitStatus> {
        if self.status.get().is_none() {
            self.status.set(self.child.borrow_mut().try_wait().expect("it is our child"));
        }
        self.status.get()
    }

    /// Waits for its end, and says how it was.
    pub fn ends(&self) -> Assert {
        let status = until(format_args!("{} to end", self.name), || self.status());
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        let output = Output { status, stdout: read(&self.stdout), stderr: read(&self.stderr) };
        Assert::new(output).append_context("program", self.words.clone())
    }

    /// Waits for its end by this signal.
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

    /// Waits for the end, at most so long.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        try_within(patience, || self.status()).is_some()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said this on stderr.
    pub fn says(&self, text: &str) {
        let said = || String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned();
        let what = || format!("{} to say {text:?}, not {:?}", self.name, said());
        until_told(what, || said().contains(text).then_some(()));
    }

    /// Waits until it has printed exactly this.
    pub fn prints(&self, text: &str) {
        until(format_args!("{} to print {text:?}", self.name), || (self.printed() == text).then_some(()));
    }

    /// Types a line.
    pub fn type_line(&self, line: &str) {
        assert_eq!(self.stdin, Stdin::Typed, "{} was not started with typing()", self.name);
        let mut writer = self.writer.borrow_mut();
        let writer = writer.as_mut().expect("its stdin is still open");
        writer.write_all(format!("{line}\n").as_bytes()).expect("the program reads its stdin");
    }

    /// Ends its stdin.
    pub fn close_stdin(&self) {
        drop(self.writer.take());
    }

    /// Lets it go on, one event at a time, until it stands at its gate after `what`. For a server, the events of its
    /// subservers count as well, since they share its gate.
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

    /// Lets it go on by one event, if it stands at its gate; for a server, one of its subservers may take the turn.
    pub fn step(&self) {
        if self.events().len() > self.let_past.get() {
            self.let_past_one();
        }
    }

    fn let_past_one(&self) {
        assert_eq!(self.stdin, Stdin::Gate, "{} was not started with gated()", self.name);
        let mut gate = self.writer.borrow_mut();
        gate.as_mut().expect("its gate is still closed").write_all(b".").expect("the program reads its gate");
        self.let_past.set(self.let_past.get() + 1);
    }

    /// Opens its gate for good.
    pub fn go_on(&self) {
        assert_eq!(self.stdin, Stdin::Gate, "{} was not started with gated()", self.name);
        drop(self.writer.take());
    }

    /// Its events so far; for a server, those of its subservers as well.
    pub fn events(&self) -> Vec<Event> {
        self.record.all(|event| event.pid == self.pid || (self.is_server && is_of_server(event)))
    }

    /// Sends it a signal. After SIGSTOP it stands still when this returns.
    pub fn signal(&self, signal: Signal) {
        assert!(self.is_running(), "{} has ended before it got {signal}", self.name);
        signal_to(self.pid, signal);
    }

    /// The same for who does not care whether it has ended.
    pub fn try_signal(&self, signal: Signal) {
        if self.is_running() {
            // Not reaped, so the number is its own.
            let _ = kill(self.nix_pid(), signal);
        }
    }

    /// Sends a signal to its whole group; it was started with `in_own_group`.
    pub fn signal_group(&self, signal: Signal) {
        assert!(self.is_running(), "{} has ended before its group got {signal}", self.name);
        killpg(self.nix_pid(), signal).expect("it leads its group");
    }

    /// Kills it, as `kill -9` does, and waits until it is dead.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.ends_by(Signal::SIGKILL);
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }

    /// Its descriptors, see [`Record::descriptors`].
    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.record.descriptors(self.pid)
    }

    /// Waits until it has as many descriptors of each kind as it had then.
    pub fn has_descriptors_as(&self, before: &[Descriptor]) {
        self.has_descriptors_as_or_ends(before);
        assert!(self.is_running(), "{} has ended, and has no descriptors", self.name);
    }

    /// The same for one that may end instead.
    pub(crate) fn has_descriptors_as_or_ends(&self, before: &[Descriptor]) {
        let kinds = |descriptors: &[Descriptor]| {
            let mut kinds: Vec<_> = descriptors.iter().map(ToString::to_string).collect();
            kinds.sort();
            kinds
        };
        let wanted = kinds(before);
        let what =
            || format!("{} to have these descriptors: {wanted:?}, not {:?}", self.name, self.descriptors());
        until_told(what, || (!self.is_running() || kinds(&self.descriptors()) == wanted).then_some(()));
    }
}
