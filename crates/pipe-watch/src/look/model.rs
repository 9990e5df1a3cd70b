//! What a look finds: processes, their threads and pipe ends, and pipes. `graph` draws the conclusions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::index::Index;
pub use super::index::{Access, PipeId};
use super::limit::Limit;

/// What one look found. [`crate::look::look`] makes it, [`crate::look::Report`] explains it.
///
/// While the look reads /proc, processes go on. Therefore the look ends with a check: a thread that ran since
/// the look read it has [`Wait::Nothing`]. All other threads slept all the time, so what they wait for and
/// hold is true for one and the same moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// All processes of which the look knows anything, by PID.
    pub processes: BTreeMap<u32, Process>,
    /// All pipes that these processes hold or wait for.
    pub pipes: BTreeMap<PipeId, Pipe>,
    /// The PIDs of the processes that were asked for.
    pub chosen: BTreeSet<u32>,
    /// What the look could not see, and what would be needed for it.
    pub limits: Vec<Limit>,
    /// When the look ended.
    pub at: Instant,
    pub(super) index: Index,
}

/// A process (proc_pid_stat(5), proc_pid_status(5)).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Process {
    /// Its PID, as this process's /proc shows it.
    pub pid: u32,
    /// Its PID in its own PID namespace, if that is another number (pid_namespaces(7)).
    pub inner_pid: Option<u32>,
    /// Its parent's PID.
    pub parent: u32,
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// When it started, in clock ticks after the boot. PID and start together are unique.
    pub start: u64,
    /// Its state.
    pub state: State,
    /// How it ended, if it is a zombie and this process may know.
    pub ending: Option<Ending>,
    /// The process that traces it (ptrace(2)).
    pub tracer: Option<u32>,
    /// How much of it the look could see.
    pub visibility: Visibility,
    /// Its pipe ends, by file descriptor.
    pub ends: Vec<End>,
    /// Its threads that have not ended. Empty if the look had no reason to read them.
    pub threads: Vec<Thread>,
}

/// A process's or a thread's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It runs, or is ready to run.
    Running,
    /// It sleeps until an event.
    Sleeping,
    /// It sleeps, and no signal but SIGKILL wakes it: it waits for a disk, or for its child after vfork(2).
    Uninterruptible,
    /// A signal stopped it: SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU.
    Stopped,
    /// Its tracer stopped it.
    Traced,
    /// It has ended, and its parent has not reaped it.
    Zombie,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// With this exit status.
    Exited(u8),
    /// By the signal with this number.
    Killed(u8),
}

/// How much of a process a look can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Visibility {
    /// Only that it exists, and its state: it is another user's, or not dumpable (prctl(2)).
    Existence,
    /// Its descriptors, but not its system calls: Yama or a container forbids it (ptrace(2)).
    Descriptors,
    /// All.
    All,
}

/// A pipe (pipe(7)).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pipe {
    /// Its identity.
    pub id: PipeId,
    /// The path of a FIFO (fifo(7)), or its last path if it has none any more. `None`: an unnamed pipe.
    pub path: Option<PathBuf>,
    /// Whether it has a name in the file system now.
    pub is_named: bool,
    /// How full it is, if a chosen process waits at it and the kernel permits the question.
    pub fill: Option<Fill>,
}

/// How full a pipe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The bytes in it (`FIONREAD`).
    pub bytes: u64,
    /// The bytes that it can take (`F_GETPIPE_SZ`). It may be full with fewer: a page holds bytes of one
    /// write, or of several small ones.
    pub capacity: u64,
}

/// A file descriptor that is an end of a pipe, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The file descriptor.
    pub fd: u32,
    /// The pipe.
    pub pipe: PipeId,
    /// How it was opened.
    pub access: Access,
    /// Whether it has `O_NONBLOCK`.
    pub is_nonblocking: bool,
}

/// A thread.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Thread {
    /// Its thread ID; the first thread's is the PID.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// How often it has gone to sleep. As long as the number stays, a thread that sleeps did not run, and one
    /// that runs did not wait.
    pub sleeps: u64,
    /// How long it has used the processor, in clock ticks.
    pub ticks: u64,
    /// What it waits for.
    pub wait: Wait,
    /// Whether `wait` is a guess from the thread's wait channel, since its system call is hidden.
    pub is_guess: bool,
}

/// What a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Nothing: it runs, or it ran during the look.
    Nothing,
    /// In open(2) of a FIFO, until another process opens the other end (fifo(7)).
    Open {
        /// The path as the program wrote it. `None`: hidden.
        path: Option<PathBuf>,
        /// How it is to be opened.
        access: Option<Access>,
        /// What stands at that path now.
        target: Target,
    },
    /// In read(2), write(2), poll(2) or a similar call, at one or more pipes.
    Pipes(PipeWait),
    /// For a file that is no pipe: a terminal, a socket, a lock.
    File {
        /// The call.
        call: &'static str,
        /// The descriptor; open(2) has none yet.
        fd: Option<u32>,
        /// The file, as the kernel names it: `/dev/pts/3`, `socket:[4711]`.
        file: String,
    },
    /// For a child: wait(2), vfork(2).
    Child {
        /// The call.
        call: &'static str,
        /// The child, unless any child will do.
        pid: Option<u32>,
    },
    /// For another thread: futex(2), under every mutex, condition variable and join.
    Thread {
        /// After this time the thread goes on.
        limit: Option<Duration>,
    },
    /// For a signal: pause(2), sigsuspend(2), sigwait(3).
    Signal {
        /// The call.
        call: &'static str,
        /// After this time the thread goes on.
        limit: Option<Duration>,
    },
    /// For time to pass.
    Sleep {
        /// How long; for an absolute time, how much is left.
        length: Option<Duration>,
    },
    /// In another system call.
    Call {
        /// Its number on this machine (syscalls(2)).
        number: i64,
    },
    /// It is stopped by a signal, until SIGCONT.
    Stopped,
    /// Its tracer stopped it.
    Traced,
    /// It sleeps, and no right to know more.
    Hidden,
}

/// What stands at the path of an open(2) that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// This FIFO. It may be a newer one than the one that the thread waits at.
    Fifo(PipeId),
    /// Nothing: the name was removed.
    Missing,
    /// Not known.
    Unknown,
}

/// A wait at pipes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeWait {
    /// The call: `read`, `write`, `poll`, ...
    pub call: &'static str,
    /// The pipes. One of them ends the wait.
    pub needs: Vec<Need>,
    /// How many further files it waits for that are no pipes.
    pub others: usize,
    /// How many bytes it wants to read or write.
    pub bytes: Option<u64>,
    /// After this time the thread goes on.
    pub limit: Option<Duration>,
}

impl PipeWait {
    /// Whether the call waits until one of several files is ready.
    pub(super) fn is_poll(&self) -> bool {
        ["poll", "ppoll", "select", "pselect", "epoll_wait"].contains(&self.call)
    }
}

/// An end of a pipe that a thread waits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The file descriptor.
    pub fd: u32,
    /// The pipe.
    pub pipe: PipeId,
    /// `Read`: it waits for bytes or EOF. `Write`: it waits for room, or for the last reader to leave.
    pub access: Access,
}
