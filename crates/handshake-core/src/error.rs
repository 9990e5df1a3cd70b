//! Errors, with one form for all messages: operation, object, cause, and the next thing to try.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use handshake_fifo::errno::{Named, errno_of};
use nix::errno::Errno;
use nix::sys::signal::Signal;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server or a client could not go on. [`Error::status`] gives the exit status.
pub enum Error {
    /// A system call failed.
    System {
        /// What was tried, after "cannot": `open the well-known pipe`.
        operation: &'static str,
        /// What it was tried on, usually a path.
        object: String,
        /// The cause.
        errno: Errno,
        /// What to try next. May be empty.
        hint: String,
    },
    /// The path given for the well-known pipe ends in no name.
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// A file that is not a pipe of ours has the well-known pipe's name. It was left as it was.
    NotOurs {
        /// The name.
        path: PathBuf,
        /// What kind of file it is: "a regular file".
        what: &'static str,
    },
    /// Another server is alive at this name.
    InUse {
        /// The well-known pipe.
        path: PathBuf,
        /// The evidence for that.
        because: &'static str,
    },
    /// The client's deadline passed, and no server took a HELLO.
    NoServer {
        /// The well-known pipe.
        path: PathBuf,
        /// The last reason why the client did not connect.
        because: &'static str,
    },
    /// A server took the HELLO, or the private pipe's name, and no answer came in time.
    NoAnswer {
        /// The well-known pipe.
        path: PathBuf,
        /// What the client observed instead.
        seen: String,
        /// What to try next.
        hint: &'static str,
    },
    /// The server refused to begin a session.
    Refused {
        /// The server's text.
        reason: String,
    },
    /// The server refused one request. The session goes on.
    RequestRefused {
        /// The number of the request.
        number: u32,
        /// The service's reason.
        reason: String,
    },
    /// The peer did what the protocol does not allow.
    Protocol {
        /// What it did.
        what: String,
    },
    /// The session ended early.
    Lost {
        /// What was observed: the reason in the server's BYE, or EOF.
        what: String,
        /// Requests without an answer.
        unanswered: usize,
    },
    /// Requests are unanswered, and nothing came from the server for too long.
    NoReply {
        /// For how long.
        silent: Duration,
        /// Requests without an answer.
        unanswered: usize,
        /// What the client observed of the server instead.
        seen: &'static str,
    },
    /// A message is longer than the server or this client takes; it was not sent.
    TooLong {
        /// Its length.
        length: Length,
        /// The longest message that is taken, in bytes.
        longest: u64,
        /// What limits it.
        limit: Limit,
    },
    /// The course dialect cannot express a message; it was not sent.
    Unfit {
        /// Its length.
        length: Length,
        /// The cause.
        because: String,
    },
    /// A signal asked the process to end at once. It has cleaned up.
    Signal(Signal),
}

/// The length of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
pub enum Limit {
    /// The server's longest message.
    Server,
    /// The server's window of this many frames.
    Window(u16),
    /// This client's longest message.
    Client,
}

/// The exit statuses, one table for all commands (docs/protocol.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done = 0,
    /// No answer in time, a broken protocol, a lost connection, a refused message.
    Broken = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The system or the server refused.
    Refused = 3,
}

/// The beginning of a server's message that a client closed its upstream too early. What the server still
/// waited for follows.
pub const LEFT_BEFORE: &str = "it left before";

impl Error {
    /// Makes the error of a session that ended, on the server's side.
    pub(crate) fn lost(what: impl Into<String>) -> Self {
        Self::Lost { what: what.into(), unanswered: 0 }
    }

    /// Makes the error of a client, waiting at this private pipe, that cannot be answered.
    pub(crate) fn cannot_answer(private: &Path, errno: Errno) -> Self {
        Self::lost(format!(
            "its private pipe {:?}: {}",
            private.file_name().unwrap_or_default(),
            Named(errno)
        ))
    }

    /// Makes the error of a failed system call: "cannot `operation` "`path`"".
    pub fn at(operation: &'static str, path: &Path, errno: Errno, hint: &str) -> Self {
        Self::System { operation, object: format!("{path:?}"), errno, hint: hint.into() }
    }

    /// Makes the error of a failed system call that concerns no path: "cannot `operation` `object`".
    pub fn on(operation: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Self::System { operation, object: object.into(), errno, hint: String::new() }
    }

    /// Returns the exit status for this error.
    pub fn status(&self) -> Status {
        match self {
            Self::System { .. }
            | Self::NotOurs { .. }
            | Self::InUse { .. }
            | Self::NoServer { .. }
            | Self::Refused { .. } => Status::Refused,
            Self::NoAnswer { .. }
            | Self::RequestRefused { .. }
            | Self::Protocol { .. }
            | Self::Lost { .. }
            | Self::NoReply { .. }
            | Self::TooLong { .. }
            | Self::Unfit { .. }
            | Self::Signal(_) => Status::Broken,
            Self::NoName { .. } => Status::Usage,
        }
    }
}

impl Error {
    /// Returns whether a resource was short that other processes may release. The caller then waits and
    /// retries.
    pub fn is_shortage(&self) -> bool {
        use Errno::{EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
        matches!(self, Self::System { errno: EAGAIN | EDQUOT | EMFILE | ENFILE | ENOMEM | ENOSPC, .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { operation, object, errno, hint } => {
                write!(f, "cannot {operation} {object}: {}", Named(*errno))?;
                let hint = shortage_hint(operation, *errno).unwrap_or(hint);
                if hint.is_empty() { Ok(()) } else { write!(f, ": {hint}") }
            }
            Self::NoName { path } => {
                write!(
                    f,
                    "cannot use the path {path:?}: EINVAL (it ends in no name): name a pipe in a directory \
                     with --wkp"
                )
            }
            Self::NotOurs { path, what } => write!(
                f,
                "cannot use {path:?}: EEXIST ({what} is there, left untouched): choose another name with \
                 --wkp, or remove it yourself"
            ),
            Self::InUse { path, because } => write!(
                f,
                "cannot serve at {path:?}: the name is in use ({because}): end that server, or choose \
                 another name with --wkp"
            ),
            Self::NoServer { path, because } => write!(
                f,
                "cannot connect to {path:?}: {because}: is a server running, and not busy with another \
                 client? Start one with: forking-server --wkp {}",
                path.display()
            ),
            Self::NoAnswer { path, seen, hint } => {
                write!(f, "cannot connect to {path:?}: no answer in time ({seen}): {hint}")
            }
            Self::Refused { reason } => write!(f, "cannot connect: the server refused: {reason}"),
            Self::RequestRefused { number, reason } => {
                write!(f, "the server refused request {number}: {reason}")
            }
            Self::Protocol { what } => write!(f, "the peer broke the protocol: {what}"),
            Self::Lost { what, unanswered: 0 } => write!(f, "the connection is over: {what}"),
            Self::Lost { what, unanswered } => {
                write!(
                    f,
                    "the connection is lost, with {unanswered} unanswered: {what}: they may or may not have \
                     been done"
                )
            }
            Self::NoReply { silent, unanswered, seen } => write!(
                f,
                "cannot wait any longer for a reply: ETIMEDOUT (nothing came for {silent:?}, with \
                 {unanswered} unanswered; {seen}): try a longer --reply-timeout, or 0 to wait for ever"
            ),
            Self::TooLong { length, longest, limit } => {
                write!(f, "cannot send a message of {length}: EMSGSIZE (")?;
                match limit {
                    Limit::Server => write!(
                        f,
                        "this server takes at most {longest}): start it with a larger --max-message"
                    ),
                    Limit::Window(frames) => write!(
                        f,
                        "it outgrows this server's window of {frames} frames, {longest} bytes): use a \
                         server without --shared-wkp"
                    ),
                    Limit::Client => write!(
                        f,
                        "this client takes at most {longest}): start it with a larger --max-message"
                    ),
                }
            }
            Self::Unfit { length, because } => write!(
                f,
                "cannot send a message of {length}: {because}: use --dialect framed, if the server speaks it"
            ),
            Self::Signal(signal) => write!(f, "ended by {signal}"),
        }
    }
}

impl std::error::Error for Error {}

/// Prints the display text, so that a `main` that returns the error prints a readable message.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns what to try in a shortage, whatever the operation.
fn shortage_hint(operation: &str, errno: Errno) -> Option<&'static str> {
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
