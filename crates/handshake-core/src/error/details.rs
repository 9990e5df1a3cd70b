//! What errors carry: lengths, limits, what to change, and texts that several places use.

use std::fmt;

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// The length of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Length {
    /// This many bytes.
    Bytes(usize),
    /// More than this many bytes: reading stopped there.
    MoreThan(usize),
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::MoreThan(bytes) => write!(f, "more than {bytes} bytes"),
        }
    }
}

/// What limits the length of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The server's longest message.
    Server,
    /// The server's window of this many frames.
    Window(u16),
    /// This client's longest message.
    Client,
}

/// What to change in the set-up of a server or a client, so that it may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The server's directory must exist and be writable, on a file system with FIFOs and locks.
    Directory,
    /// The client's directory must exist and be writable, on a file system with FIFOs.
    ClientDirectory,
    /// Give the well-known pipe a shorter name.
    ShorterName,
    /// Give the well-known pipe another name.
    OtherName,
    /// Name the well-known pipe itself, not a symbolic link.
    NoLink,
    /// Give the private pipe another name.
    OtherPrivateName,
    /// Give the private pipe another name, or remove the file that has the name.
    FreePrivateName,
    /// Wait longer. The server may be stopped or busy with another client.
    MoreTime,
    /// Wait longer, or speak the course dialect if the server is a program of the course.
    MoreTimeOrCourse,
    /// Speak the course dialect.
    Course,
    /// Speak the course dialect without a third step.
    TwoSteps,
    /// Try again, because another client may have been quicker; or give the private pipe the name that the
    /// server expects; or speak the framed dialect.
    TryAgain,
}

/// The beginning of a server's message that a client closed its upstream too early. What the server still
/// waited for follows.
pub const LEFT_BEFORE: &str = "it left before";

/// A server's reason to end a session, or to turn a client away, once it was asked to end.
pub const SHUTTING_DOWN: &str = "the server is shutting down";

/// Returns what to try in a shortage, whatever the operation.
pub(super) fn shortage_hint(operation: &str, errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EMFILE => "raise the number of descriptors that a process may have (ulimit -n)",
        Errno::ENFILE => "close something: the whole system is out of descriptors (sysctl fs.file-max)",
        Errno::ENOSPC | Errno::EDQUOT => {
            "make room on that file system, for files (df -i) as well as for bytes"
        }
        // For other operations, EAGAIN means "not now".
        Errno::EAGAIN if operation == "fork" => {
            "raise the number of processes that a user may have (ulimit -u)"
        }
        Errno::ENOMEM => "end something that uses memory",
        _ => return None,
    })
}

/// Returns the name of a signal: `SIGTERM`.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}
