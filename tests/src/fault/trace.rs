//! strace: it starts a program, or it is attached to a stopped process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Fault;
use crate::wait::until;

/// A system call that a program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its number among the calls of this name in its process, as strace counts: from 1.
    pub nth: usize,
    /// Its line in the trace.
    pub line: String,
}

/// An strace for one process.
#[derive(Debug)]
pub(super) struct Tracer {
    trace: PathBuf,
    fault: Option<Fault>,
}

impl Tracer {
    /// Makes a tracer that writes to `trace`, and injects `fault`.
    pub(super) fn new(trace: PathBuf, fault: Option<&Fault>) -> Self {
        Self { trace, fault: fault.cloned() }
    }

    /// The words before a program's command line. The program keeps its PID (`-D`).
    pub(super) fn in_front(&self) -> Vec<OsString> {
        let command = ["strace".into(), "-D".into()].into_iter().chain(self.options()).chain(["--".into()]);
        command.collect()
    }

    /// Attaches to a process that stops at its gate. The process's next call is the first that counts.
    pub(super) fn attach(&self, pid: u32) -> Child {
        attach(self.options(), pid, &self.trace.with_extension("said"))
            .unwrap_or_else(|complaint| panic!("{complaint}"))
    }

    fn options(&self) -> Vec<OsString> {
        let mut options = vec!["-o".into(), self.trace.clone().into_os_string()];
        match &self.fault {
            Some(fault) => {
                options.extend(["-e".into(), format!("trace={}", fault.call).into()]);
                options.extend(["-e".into(), fault.to_string().into()]);
            }
            None => options.push("-y".into()),
        }
        options
    }

    /// Returns the trace. It is complete when the process has ended.
    pub(super) fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.trace).unwrap_or_default()).into_owned()
    }
}

/// Attaches strace to a process, and waits until it is attached. The messages of strace go into this file.
///
/// # Errors
/// strace cannot attach. The error says why.
fn attach(options: Vec<OsString>, pid: u32, said: &Path) -> Result<Child, String> {
    let mut command = Command::new("strace");
    command.args(options).args(["-p", &pid.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(said).expect("a new file"));
    let mut child = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    until("strace to be attached", || {
        let gone = child.try_wait().expect("strace is a child of this process").is_some();
        let said = fs::read_to_string(said).unwrap_or_default();
        match (said.contains("attached"), gone) {
            (true, _) => Some(Ok(())),
            (false, true) => Some(Err(format!(
                "strace cannot attach to this user's process: {}: as root: sysctl kernel.yama.ptrace_scope=0",
                said.trim_end()
            ))),
            (false, false) => None,
        }
    })?;
    Ok(child)
}

/// Why strace cannot attach to a process that it did not start; `None` if it can.
pub(crate) fn cannot_attach() -> Option<String> {
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut other = Command::new("cat");
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat(1)");
    let options = ["-o", "/dev/null"].map(OsString::from).to_vec();
    let strace = attach(options, other.id(), &place.path().join("said"));
    // cat(1) ends at EOF, and strace ends with cat(1).
    drop(other.stdin.take());
    other.wait().expect("cat is a child of this process");
    strace.map(|mut strace| strace.wait().expect("strace is a child of this process")).err()
}

/// How often the fault struck.
pub(super) fn strikes(trace: &str) -> usize {
    trace.lines().filter(|line| line.ends_with("(INJECTED)")).count()
}

/// Returns the calls of the program's own work. If the program was traced from its start, these are the calls
/// after the last signal handler of Rust's runtime.
pub(super) fn calls(trace: &str, from_start: bool) -> Vec<Call> {
    const LAST_OF_THE_RUNTIME: &str = "rt_sigaction(SIGBUS, {";
    let mut counts = HashMap::<String, usize>::new();
    let mut calls: Vec<_> = trace.lines().filter_map(|line| call(line, &mut counts)).collect();
    if from_start {
        let last = calls.iter().rposition(|call| call.line.starts_with(LAST_OF_THE_RUNTIME));
        let last = last.unwrap_or_else(|| panic!("the program's own work does not begin: {trace}"));
        calls.drain(..=last);
    }
    calls
}

fn call(line: &str, counts: &mut HashMap<String, usize>) -> Option<Call> {
    let (name, _) = line.split_once('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let nth = counts.entry(name.to_owned()).or_default();
    *nth += 1;
    Some(Call { name: name.to_owned(), nth: *nth, line: line.to_owned() })
}
