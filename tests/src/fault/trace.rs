//! strace: in front of a program, or attached to one that stands still.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::Fault;
use crate::wait::until;

/// A call that a program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Which one of this name it was in its process, as strace counts: from 1.
    pub nth: usize,
    /// Its line in the trace.
    pub line: String,
}

/// One strace for one process.
#[derive(Debug)]
pub(super) struct Tracer {
    trace: PathBuf,
    fault: Option<Fault>,
}

impl Tracer {
    /// One that writes to `trace`, and lets `fault` happen.
    pub(super) fn new(trace: PathBuf, fault: Option<&Fault>) -> Self {
        needs_strace();
        Self { trace, fault: fault.cloned() }
    }

    /// The command to be put in front of a program, which keeps its process number (`-D`).
    pub(super) fn in_front(&self) -> Vec<OsString> {
        let command = ["strace".into(), "-D".into()].into_iter().chain(self.options()).chain(["--".into()]);
        command.collect()
    }

    /// Attaches to a process that stands at its gate. Its next call is the first that counts.
    pub(super) fn attach(&self, pid: u32) -> Child {
        let said = self.trace.with_extension("said");
        let mut command = Command::new("strace");
        command.args(self.options()).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).expect("a file of the scene"));
        let mut child = command.spawn().expect("strace is there");
        until("strace to be attached", || {
            let gone = child.try_wait().expect("it is our child");
            let said = fs::read_to_string(&said).unwrap_or_default();
            let is_attached = said.contains("attached");
            assert!(
                is_attached || gone.is_none(),
                "strace cannot attach to a process of the same user: {said}as root: sysctl kernel.yama.ptrace_scope=0"
            );
            is_attached.then_some(())
        });
        child
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

    /// What it has written. Not before the process has ended.
    pub(super) fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.trace).unwrap_or_default()).into_owned()
    }
}

/// How often the fault struck.
pub(super) fn strikes(trace: &str) -> usize {
    trace.lines().filter(|line| line.ends_with("(INJECTED)")).count()
}

/// The calls of the program's own work: those after Rust's runtime has put its last handler in place, for a program that
/// was traced from its start.
pub(super) fn calls(trace: &str, from_start: bool) -> Vec<Call> {
    const LAST_OF_THE_RUNTIME: &str = "rt_sigaction(SIGBUS, {";
    let mut counts = HashMap::<String, usize>::new();
    let mut calls: Vec<_> = trace.lines().filter_map(|line| call(line, &mut counts)).collect();
    if from_start {
        let last = calls.iter().rposition(|call| call.line.starts_with(LAST_OF_THE_RUNTIME));
        let last = last.unwrap_or_else(|| panic!("where does the program's own work begin? {trace}"));
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

/// Without strace, these stories cannot be told; and nothing passes that was not tried.
fn needs_strace() {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    let is_there = IS_THERE.get_or_init(|| {
        let answer = Command::new("strace").arg("-V").stdin(Stdio::null()).output();
        answer.is_ok_and(|answer| answer.status.success())
    });
    assert!(
        *is_there,
        "this needs strace, which makes system calls fail: install it (apt-get install strace)"
    );
}
