//! Errors, with one form for all messages: operation, object, cause. What to change in the set-up is a
//! [`Remedy`], not a text: only the program knows how its user sets it up.

mod details;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use details::shortage_hint;
pub use details::{LEFT_BEFORE, Length, Limit, Remedy, SHUTTING_DOWN, signal_name};
#[doc(hidden)] // They have a type of nix.
pub use handshake_fifo::errno::{Named, errno_of};
use nix::errno::Errno;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server or a client could not go on.
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[non_exhaustive]
    System {
        /// What was tried, after "cannot": `open the well-known pipe`.
        operation: &'static str,
        /// What it was tried on, usually a path.
        object: String,
        /// The cause: a number of errno(3). [`Error::io_error`] makes it an error of the standard library.
        errno: i32,
        /// What to try next. May be empty.
        hint: String,
        /// What to change in the set-up, if that may help.
        remedy: Option<Remedy>,
    },
    /// The path given for the well-known pipe ends in no name.
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// A file that is not a pipe of ours has the well-known pipe's name. It was left as it was.
    #[non_exhaustive]
    NotOurs {
        /// The name.
        path: PathBuf,
        /// What kind of file it is: "a regular file".
        what: &'static str,
    },
    /// Another server is alive at this name.
    #[non_exhaustive]
    InUse {
        /// The well-known pipe.
        path: PathBuf,
        /// The evidence for that.
        because: &'static str,
    },
    /// The client's deadline passed, and no server took a HELLO.
    #[non_exhaustive]
    NoServer {
        /// The well-known pipe.
        path: PathBuf,
        /// The last reason why the client did not connect.
        because: &'static str,
    },
    /// A server took the HELLO, or the private pipe's name, and no answer came in time.
    #[non_exhaustive]
    NoAnswer {
        /// The well-known pipe.
        path: PathBuf,
        /// What the client observed instead.
        seen: String,
        /// What to change in the set-up.
        remedy: Remedy,
    },
    /// The server refused to begin a session.
    Refused {
        /// The server's text.
        reason: String,
    },
    /// The server refused one request. The session goes on.
    #[non_exhaustive]
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
    #[non_exhaustive]
    Lost {
        /// What was observed: the reason in the server's BYE, or EOF.
        what: String,
        /// Requests without an answer.
        unanswered: usize,
    },
    /// Requests are unanswered, and nothing came from the server for too long.
    #[non_exhaustive]
    NoReply {
        /// For how long.
        silent: Duration,
        /// Requests without an answer.
        unanswered: usize,
        /// What the client observed of the server instead.
        seen: String,
    },
    /// An answer is longer than allowed. The rest of it was not read.
    #[non_exhaustive]
    AnswerTooLong {
        /// The number of the request. `None` in the course dialect, which has no numbers.
        request: Option<u32>,
        /// The longest answer that is allowed, in bytes.
        longest: u64,
        /// What limits it.
        limit: Limit,
    },
    /// A message is longer than the server or this client takes; it was not sent.
    #[non_exhaustive]
    TooLong {
        /// Its length.
        length: Length,
        /// The longest message that is taken, in bytes.
        longest: u64,
        /// What limits it.
        limit: Limit,
    },
    /// The course dialect cannot express a message; it was not sent.
    #[non_exhaustive]
    Unfit {
        /// Its length.
        length: Length,
        /// The cause.
        because: String,
    },
    /// The signal with this number (signal(7)) asked the server to end at once: it was the second one. The
    /// server has cleaned up.
    Signal(i32),
}

#[doc(hidden)] // The crates of this workspace make errors.
impl Error {
    /// Makes the error of a session that ended early, with every request answered.
    pub fn lost(what: impl Into<String>) -> Self {
        Self::lost_with(what, 0)
    }

    /// Makes the error of a session that ended early, with this number of requests unanswered.
    pub fn lost_with(what: impl Into<String>, unanswered: usize) -> Self {
        Self::Lost { what: what.into(), unanswered }
    }

    /// Makes the error of a server that sent nothing for `silent`, while requests were unanswered.
    pub fn no_reply(silent: Duration, unanswered: usize, seen: impl Into<String>) -> Self {
        Self::NoReply { silent, unanswered, seen: seen.into() }
    }

    /// Makes the error of a client, waiting at this private pipe, that cannot be answered.
    pub(crate) fn cannot_answer(private: &Path, errno: Errno) -> Self {
        let name = private.file_name().unwrap_or_default();
        Self::lost(format!("its private pipe {name:?}: {}", Named(errno)))
    }

    /// Makes the error of a failed system call: "cannot `operation` "`path`"".
    pub fn at(operation: &'static str, path: &Path, cause: impl Into<io::Error>, hint: &str) -> Self {
        Self::on(operation, format!("{path:?}"), cause).with_hint(hint)
    }

    /// Makes the error of a failed system call that concerns no path: "cannot `operation` `object`".
    pub fn on(operation: &'static str, object: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        let errno = errno_of(&cause.into());
        let hint = shortage_hint(operation, errno).unwrap_or_default().into();
        Self::System { operation, object: object.into(), errno: errno as i32, hint, remedy: None }
    }

    /// Makes the error of a failed system call that depends on the server's directory.
    pub(crate) fn in_directory(operation: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::at(operation, path, cause, "").with_remedy(Remedy::Directory)
    }

    /// Adds to a failed system call what to try next, unless a shortage already says that.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::System { hint, .. } = &mut self
            && hint.is_empty()
        {
            *hint = text.into();
        }
        self
    }

    /// Adds to a failed system call what to change in the set-up, unless a shortage is the cause.
    #[must_use]
    pub(crate) fn with_remedy(mut self, change: Remedy) -> Self {
        if let Self::System { operation, errno, remedy, .. } = &mut self
            && shortage_hint(operation, Errno::from_raw(*errno)).is_none()
        {
            *remedy = Some(change);
        }
        self
    }
}

impl Error {
    /// Returns the cause of a failed system call as an error of the standard library, with its `kind`.
    pub fn io_error(&self) -> Option<io::Error> {
        match self {
            Self::System { errno, .. } => Some(io::Error::from_raw_os_error(*errno)),
            _ => None,
        }
    }

    /// Returns whether a resource was short that other processes may release. The caller then waits and
    /// retries.
    pub fn is_shortage(&self) -> bool {
        use Errno::{EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
        let Self::System { errno, .. } = self else { return false };
        matches!(Errno::from_raw(*errno), EAGAIN | EDQUOT | EMFILE | ENFILE | ENOMEM | ENOSPC)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { operation, object, errno, hint, .. } => {
                write!(f, "cannot {operation} {object}: {}", Named(Errno::from_raw(*errno)))?;
                if hint.is_empty() { Ok(()) } else { write!(f, ": {hint}") }
            }
            Self::NoName { path } => write!(f, "cannot use the path {path:?}: EINVAL (it ends in no name)"),
            Self::NotOurs { path, what } => {
                write!(f, "cannot use {path:?}: EEXIST ({what} is there, left untouched)")
            }
            Self::InUse { path, because } => {
                write!(f, "cannot serve at {path:?}: the name is in use ({because})")
            }
            Self::NoServer { path, because } => write!(f, "cannot connect to {path:?}: {because}"),
            Self::NoAnswer { path, seen, .. } => {
                write!(f, "cannot connect to {path:?}: no answer in time ({seen})")
            }
            Self::Refused { reason } => write!(f, "cannot connect: the server refused: {reason}"),
            Self::RequestRefused { number, reason } => {
                write!(f, "the server refused request {number}: {reason}")
            }
            Self::Protocol { what } => write!(f, "the peer broke the protocol: {what}"),
            Self::Lost { what, unanswered: 0 } => write!(f, "the connection is over: {what}"),
            Self::Lost { what, unanswered } => write!(
                f,
                "the connection is lost, with {unanswered} unanswered: {what}: they may or may not have been \
                 done"
            ),
            Self::NoReply { silent, unanswered, seen } => write!(
                f,
                "cannot wait any longer for a reply: ETIMEDOUT (nothing came for {silent:?}, with \
                 {unanswered} unanswered; {seen})"
            ),
            Self::AnswerTooLong { request, longest, limit } => {
                write!(f, "the peer broke the protocol: its answer ")?;
                if let Some(request) = request {
                    write!(f, "to request {request} ")?;
                }
                let whose =
                    if *limit == Limit::Client { "the limit of this client" } else { "its own limit" };
                write!(f, "is longer than {longest} bytes, {whose}")
            }
            Self::TooLong { length, longest, limit } => {
                write!(f, "cannot send a message of {length}: EMSGSIZE (")?;
                match limit {
                    Limit::Server => write!(f, "this server takes at most {longest})"),
                    Limit::Window(frames) => {
                        write!(f, "it outgrows this server's window of {frames} frames, {longest} bytes)")
                    }
                    Limit::Client => write!(f, "this client takes at most {longest})"),
                }
            }
            Self::Unfit { length, because } => write!(f, "cannot send a message of {length}: {because}"),
            Self::Signal(number) => write!(f, "ended by {}", signal_name(*number)),
        }
    }
}

/// The display text contains the cause, so there is no `source`.
impl std::error::Error for Error {}

/// Prints the display text, so that a `main` that returns the error prints a readable message.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
