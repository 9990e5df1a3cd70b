//! What a test needs beside Rust. If a machine lacks it, the test prints NOT RUN and proves nothing. In CI it
//! fails.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::binaries::{PROGRAMS, path_of};
use crate::fault;
use crate::peers::Workshop;
use crate::refuse;

/// A tool or a right that a test may need beside Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// This command. tests/tools has a line for it.
    Command(&'static str),
    /// A C compiler: `cc`, or what the variable `CC` names.
    CCompiler,
    /// strace(1), which may trace the programs that it starts.
    Strace,
    /// strace(1), which may also attach to another process of this user.
    StraceAttached,
    /// This number of descriptors for a process. The programs raise their soft limit up to the hard limit.
    Descriptors(u64),
    /// seccomp(2) filters, and a C compiler for the program that installs them: for [`crate::Refusal`].
    Seccomp,
}

/// Whether this machine has all these tools. If not, prints NOT RUN and the reason, and the test must return.
///
/// # Panics
/// A tool is missing, and the variable `CI` is set: a machine that checks the project must have all tools.
pub fn needs(tools: &[Tool]) -> bool {
    let lacks: Vec<String> = tools.iter().filter_map(|tool| tool.lacks()).collect();
    if lacks.is_empty() {
        return true;
    }
    let why = lacks.join("; ");
    assert!(!is_ci(), "{why} (where CI is set, this is a failure)");
    not_run(why);
    false
}

impl Tool {
    /// Why this machine lacks the tool; `None` if it has it.
    fn lacks(self) -> Option<String> {
        static COMPILER: OnceLock<Option<String>> = OnceLock::new();
        static STRACE: OnceLock<Option<String>> = OnceLock::new();
        static ATTACHED: OnceLock<Option<String>> = OnceLock::new();
        static SECCOMP: OnceLock<Option<String>> = OnceLock::new();
        match self {
            Self::Command(command) => lacks_command(command),
            Self::CCompiler => COMPILER.get_or_init(|| Workshop::of_the_peers().lacks_compiler()).clone(),
            Self::Strace => STRACE.get_or_init(|| lacks_command("strace").or_else(cannot_trace)).clone(),
            Self::StraceAttached => {
                ATTACHED.get_or_init(|| Self::Strace.lacks().or_else(fault::cannot_attach)).clone()
            }
            Self::Descriptors(number) => lacks_descriptors(number),
            Self::Seccomp => {
                SECCOMP.get_or_init(|| Self::CCompiler.lacks().or_else(refuse::is_impossible)).clone()
            }
        }
    }
}

fn lacks_command(command: &str) -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let may_run = |directory: &Path| access(&directory.join(command), AccessFlags::X_OK).is_ok();
    let is_there = env::split_paths(&path).any(|directory| may_run(&directory));
    (!is_there).then(|| format!("there is no {command} here: apt-get install {}", packages(command)))
}

/// The Debian packages that contain this command.
fn packages(command: &str) -> &'static str {
    let mut lines = include_str!("../tools").lines().filter_map(|line| line.split_once(' '));
    let line = lines.find(|(listed, _)| *listed == command);
    line.unwrap_or_else(|| panic!("tests/tools has no line for {command}")).1
}

fn lacks_descriptors(number: u64) -> Option<String> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("every process has this limit");
    let why = format!("a process may have {hard} descriptors here: as root: ulimit -Hn {number}");
    (hard < number).then_some(why)
}

fn cannot_trace() -> Option<String> {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "true"]).stdin(Stdio::null());
    succeeds(&mut strace).err()
}

/// Runs a command to its end.
///
/// # Errors
/// The command cannot be started, or it fails. The error says why.
pub(crate) fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}: {said}", output.status)) }
}

/// Whether the variable `CI` says that this machine checks the project.
fn is_ci() -> bool {
    env::var_os("CI").as_deref().is_some_and(|ci| ci != OsStr::new(""))
}

/// Whether the tests run as root and other users can run the programs. Only root can start a program as
/// another user. If not, prints NOT RUN and the reason.
pub fn is_root() -> bool {
    static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
    let why_not = WHY_NOT.get_or_init(cannot_be_another_user);
    why_not.iter().for_each(not_run);
    why_not.is_none()
}

/// A user without any process.
const OTHER: u32 = 61_099;

/// Why the tests cannot start a program as another user; `None` if they can. The programs may be in root's
/// home.
fn cannot_be_another_user() -> Option<String> {
    if !geteuid().is_root() {
        return Some("only root can become another user".to_owned());
    }
    PROGRAMS.into_iter().find_map(|program| {
        let program = path_of(program);
        let tried = Command::new(program).arg("--version").uid(OTHER).gid(OTHER).output();
        Some(format!("another user cannot run {}: {}", program.display(), tried.err()?))
    })
}

/// Prints that this test proved nothing on this machine. Libtest knows only "passed" and "failed", and hides
/// the output of a test, so this writes to stderr directly.
pub fn not_run(because: impl Display) {
    let test = std::thread::current();
    let line = format!("NOT RUN: {}: {because}\n", test.name().unwrap_or("a test"));
    // An error is ignored: stderr may be closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
