//! Starts the program: a child waits at a gate until it is traced, installs the filter, and becomes it.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::{Error, Refusal, filter};
use crate::sys::{self, HeldSignals, Resume};

/// A program that is traced from its first system call on.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) program: OsString,
    /// The errors of its start: see [`sys::Gated::failure`].
    pub(super) failure: OwnedFd,
}

/// What the kernel reports of each traced thread, beside its calls and signals. The kernel kills them all
/// when the tracer ends.
const REPORTED: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

/// Starts the program.
///
/// # Errors
/// It cannot be started or traced. No child is left.
pub(super) fn start(command: &[OsString], signals: &HeldSignals) -> Result<Started, Error> {
    let words: Result<Vec<_>, _> = command.iter().map(|word| CString::new(word.as_bytes())).collect();
    let words = words.ok().filter(|words| !words.is_empty()).ok_or(Error::Command)?;
    if !Path::new("/proc/self/status").exists() {
        return Err(Error::Refused(Refusal::NoProc));
    }
    let system = |call| move |error| Error::System { call, error };
    let child = sys::fork_gated(&words, &filter::program(), signals).map_err(system("fork"))?;
    let child = child.ok_or(Error::Threads)?;
    if let Err(error) = sys::seize(child.pid, REPORTED) {
        let refusal = Refusal::of(&error, child.pid);
        end(child.pid);
        return Err(Error::Refused(refusal));
    }
    if let Err(error) = rustix::io::write(&child.gate, &[1]) {
        end(child.pid);
        return Err(system("write")(error.into()));
    }
    Ok(Started { pid: child.pid, program: command[0].clone(), failure: child.failure })
}

/// Kills and reaps a child, which may be traced.
fn end(pid: i32) {
    sys::send(pid, libc::SIGKILL);
    loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) if status.stopped() => {
                let _ = sys::resume(pid, Resume::Run, 0);
            }
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

impl Started {
    /// Why the program never ran, once its child has ended.
    pub(super) fn error(&self) -> Error {
        let mut report = [0; 8];
        let came = rustix::io::read(&self.failure, &mut report);
        let number = |at: usize| report[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        let error = io::Error::from_raw_os_error(number(4));
        match (came, number(0)) {
            (Ok(8), sys::FAILED_EXEC) => Error::Start { program: self.program.clone(), error },
            (Ok(8), sys::FAILED_FILTER) => Error::Refused(Refusal::NoFilters(error.to_string())),
            _ => Error::Start {
                program: self.program.clone(),
                error: io::Error::other("it was killed before it began"),
            },
        }
    }
}
