//! The event model: what processes did with pipes, one JSON object a line.
//!
//! Three sources make events: the tracer ([`Source::Trace`]), looks ([`Source::Look`]) and programs that
//! write their own ([`Source::Program`]). All use CLOCK_MONOTONIC, therefore events of several sources can be
//! sorted together. A file of them begins with a [`Header`].

use std::ffi::OsString;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::look::Access;
pub use crate::pipe_key::{NoPipeKey, PipeKey};

/// The first line of a file of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`Header::FORMAT`].
    pub format: String,
    /// [`Header::VERSION`]. A reader refuses a larger number.
    pub version: u32,
    /// The kernel's release, as of uname(2).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// The command line of the program that was traced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The title of its pictures, if that is not the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The PID of a process that only starts the others, and that pictures leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<u32>,
}

impl Header {
    /// What a file of events calls itself.
    pub const FORMAT: &str = "pipe-trace";
    /// The version that this crate writes.
    pub const VERSION: u32 = 1;

    /// Makes the header of a trace of this command line, on this kernel. Events that no traced program made
    /// have an empty command line.
    pub fn new(command: &[OsString]) -> Self {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            kernel,
            command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            title: None,
            hidden: None,
        }
    }
}

/// What happened: a system call about pipes or processes, or the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Call {
    /// A FIFO was made at `path`: mkfifo(3), mknod(2).
    Mkfifo,
    /// A FIFO was opened, or `path` was not found: open(2).
    Open,
    /// An unnamed pipe was made: `fd` is its read end, `fd_to` its write end. pipe(2).
    Pipe,
    /// Bytes left a pipe: read(2), readv(2).
    Read,
    /// Bytes came into a pipe: write(2), writev(2).
    Write,
    /// Bytes went from `fd` to `fd_to` without the program: splice(2), vmsplice(2), sendfile(2), and tee(2):
    /// then `text` is `tee`, and the bytes are also left in the first pipe.
    Splice,
    /// A pipe end was closed: close(2), close_range(2), or dup2(2) that put another file in its place. The
    /// end of a process and exec close without such an event.
    Close,
    /// `fd_to` became a copy of `fd`: dup(2), fcntl(2) with `F_DUPFD`.
    Dup,
    /// A process waited for pipes to become ready: poll(2), select(2), epoll_wait(2). `ends` are the pipes,
    /// and what they were to be ready for. `fd` and `pipe` are one that became ready, or the only one.
    Poll,
    /// The process `peer` began. `ends` are the pipe ends that it has.
    Fork,
    /// The program `path` began; `text` has its command line. `ends` are the pipe ends that stay open.
    Exec,
    /// The process ended: `ret` is its exit status, or `signal` killed it.
    Exit,
    /// `signal` was delivered; `peer` sent it, if known.
    Signal,
    /// The process sent `signal` to `peer`: kill(2).
    Kill,
    /// The process waited for a child; `peer` is the one that it reaped: wait4(2), waitid(2). A child that
    /// has stopped, or goes on, is not reaped.
    Wait,
    /// A FIFO lost its name `path`: unlink(2).
    Unlink,
    /// A FIFO's name changed from `path` to `path_to`: rename(2). `pipe_to` is the FIFO that had this name
    /// before, and lost it or took the other one.
    Rename,
    /// Something that no system call shows: `text` says what. From a program's own events.
    Note,
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// The tracer saw the system call.
    Trace,
    /// The program wrote it.
    Program,
    /// A look at /proc found it. Its time is that of the look, and short events may be missing.
    Look,
}

/// A pipe end that a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEnd {
    /// The file descriptor.
    pub fd: i32,
    /// The pipe.
    pub pipe: PipeKey,
    /// How it is open.
    pub access: Access,
}

/// What happened once. Empty fields are left out of its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1: events are numbered in the order in which they began. A number may be missing:
    /// that event turned out to concern no pipe.
    pub seq: u64,
    /// CLOCK_MONOTONIC when the call began, in nanoseconds.
    pub ns: u64,
    /// How long the call took, in nanoseconds. `None`: it had not returned when the trace ended, or the event
    /// takes no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
    /// The PID.
    pub pid: u32,
    /// The thread, if it is not the first of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// What the process is called: the name of its program, or its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What happened.
    pub call: Call,
    /// The file descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// The second file descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd_to: Option<i32>,
    /// The pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<PipeKey>,
    /// The second pipe, of a splice(2) to a pipe, or of a rename(2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe_to: Option<PipeKey>,
    /// How the file is open, or is to be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Whether the call must not wait (`O_NONBLOCK`, `WNOHANG`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nonblocking: bool,
    /// The path, as the program gave it. For an event with a `fd`: the FIFO's last known name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The second path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_to: Option<String>,
    /// How many bytes the program asked to read or write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// What the call returned: of a read or a write, the number of bytes. `None`: it failed, or had not
    /// returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<i64>,
    /// The error's name, as `ENXIO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// The beginning of the bytes that were read or written, escaped as in a Rust byte string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The other process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
    /// The signal's name, as `SIGPIPE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Pipe ends: see [`Call::Fork`], [`Call::Exec`] and [`Call::Poll`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<HeldEnd>,
    /// The number of the step of a protocol that the program follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// What the program says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

impl Event {
    /// Makes an event without details.
    pub fn new(seq: u64, ns: u64, pid: u32, call: Call, source: Source) -> Self {
        Self {
            seq,
            ns,
            took: None,
            pid,
            tid: None,
            who: None,
            call,
            fd: None,
            fd_to: None,
            pipe: None,
            pipe_to: None,
            access: None,
            nonblocking: false,
            path: None,
            path_to: None,
            asked: None,
            ret: None,
            errno: None,
            data: None,
            peer: None,
            signal: None,
            ends: Vec::new(),
            step: None,
            text: None,
            source,
        }
    }

    /// When the call returned, in nanoseconds; when it began, if it has not.
    pub fn end_ns(&self) -> u64 {
        self.ns.saturating_add(self.took.unwrap_or(0))
    }
}

/// CLOCK_MONOTONIC now, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_that_are_known() {
        let mut event = Event::new(7, 1_000, 42, Call::Read, Source::Trace);
        event.pipe = Some(PipeKey { device: 36, inode: 11, generation: 1 });
        event.access = Some(Access::Read);
        event.ret = Some(5);
        let line = serde_json::to_string(&event).unwrap();
        let fields = r#""pid":42,"call":"read","pipe":"36:11:1","access":"read","ret":5,"source":"trace""#;
        assert_eq!(line, format!(r#"{{"seq":7,"ns":1000,{fields}}}"#));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        assert!(serde_json::from_str::<Event>(&line.replace("36:11:1", "36:11")).is_err());
    }
}
