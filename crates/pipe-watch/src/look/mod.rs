//! Looks at processes from outside: what each thread waits for, and which process can end the wait.
//!
//! [`look()`] takes a [`Snapshot`] of /proc, in a few milliseconds, with no other right than the user's.
//! [`Report`] explains one snapshot, or what two of them have in common. Reading order: `model` has the
//! types, `index` finds them by pipe, and `limit` says what a look could not see. `gather` reads processes,
//! and `scope` chooses among them; below are `threads`, `calls`, `guess`, `memory`, `stat`, `ends` and
//! `fill`. `relations` and `graph` find out which waits can end; `words` and `remedy` say it, with `phrases`.
//!
//! A look disturbs no process: it opens no pipe, sends no signal and stops nothing. `fill` has the one
//! exception, of microseconds.
//!
//! | fact | source | right |
//! |---|---|---|
//! | process, parent, state | /proc/PID/stat, proc_pid_stat(5) | none |
//! | pipe ends | /proc/PID/fd, fdinfo: proc_pid_fd(5) | same user, dumpable |
//! | kind of a wait | /proc/PID/task/TID/wchan, proc_pid_wchan(5) | same user, dumpable |
//! | system call, its arguments | /proc/PID/task/TID/syscall, mem: proc_pid_syscall(5) | as for ptrace(2) |
//! | how full a pipe is | pidfd_getfd(2), `FIONREAD`, `F_GETPIPE_SZ` | as for ptrace(2) |

pub(crate) mod calls;
pub(crate) mod ends;
mod fill;
mod gather;
mod graph;
mod guess;
mod index;
mod limit;
pub(crate) mod memory;
mod model;
mod phrases;
mod relations;
mod remedy;
mod scope;
pub(crate) mod stat;
mod threads;
mod words;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use graph::{Deadlock, Finding, Kind, Report};
pub use limit::Limit;
pub use model::{
    Access, End, Ending, Fill, Need, Pipe, PipeId, PipeWait, Process, Snapshot, State, Target, Thread,
    Visibility, Wait,
};
pub use phrases::printable;

/// The processes that a look is about. It looks at others as well, as far as these wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// These processes and their descendants. Those that have ended are left out, unless all have.
    Trees(Vec<u32>),
    /// The descendants of this process, without the process that looks.
    Children(u32),
    /// The processes whose working directory this is, or that hold or await a FIFO in it.
    Directory(PathBuf),
    /// The other processes that hold this pipe, or wait to open it. See [`PipeId::at`].
    Pipe(PipeId),
}

/// Why there is nothing to look at.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// /proc cannot be read; perhaps it is not mounted.
    NoProc(io::Error),
    /// There is no such process, it is a thread of the kernel, or /proc hides it (the mount option
    /// `hidepid`).
    NoProcess(u32),
    /// The directory cannot be looked at.
    NoDirectory(PathBuf, io::Error),
}

/// Looks once. It waits for no process, and takes a few milliseconds. Of open files and working directories
/// it asks what the kernel knows. Therefore a network file system whose server does not answer can block it
/// only where it must look up a path: that of [`Scope::Directory`], or one at which a thread waits in
/// open(2).
///
/// # Errors
/// [`Error`]. A process that ends during the look is no error.
pub fn look(scope: &Scope) -> Result<Snapshot, Error> {
    gather::snapshot(scope)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc(error) => write!(f, "cannot read /proc: {error}"),
            Self::NoProcess(pid) => {
                write!(
                    f,
                    "cannot look at process {pid}: there is none, it is the kernel's, or /proc hides it (hidepid)"
                )
            }
            Self::NoDirectory(path, error) => {
                write!(f, "cannot look at {}: {error}", printable(&path.to_string_lossy()))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoProc(error) | Self::NoDirectory(_, error) => Some(error),
            Self::NoProcess(_) => None,
        }
    }
}
