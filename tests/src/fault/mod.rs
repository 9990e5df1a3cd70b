//! Faults: a program's system calls, made to fail one by one (with strace), and what everybody must do then.
//!
//! [`calls`] is the table of what can fail, and how. [`record`] plays the story once without a fault, and says which
//! calls a program makes in it; [`play`] plays it with one, and judges: nobody hangs, nothing is left, who ends says why and
//! with the right status, the next client is served.

pub mod calls;
mod story;
mod trace;

use std::fmt;

use crate::needs::Tool;
use crate::paradigm::Paradigm;

pub use story::{play, record};
pub use trace::Call;
pub(crate) use trace::cannot_attach;

/// Whose calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The basic server's, the main server's, or the central process's.
    Server,
    /// The first subserver's.
    Subserver,
    /// The first client's.
    Client,
}

impl Side {
    /// Those that a paradigm has.
    pub fn of(paradigm: Paradigm) -> impl Iterator<Item = Self> {
        let all = [Self::Server, Self::Subserver, Self::Client];
        all.into_iter().filter(move |side| *side != Self::Subserver || paradigm.has_subservers())
    }

    /// What it takes to let its calls fail.
    pub fn tool(self) -> Tool {
        if self == Self::Subserver { Tool::StraceAttached } else { Tool::Strace }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Subserver => "subserver",
            Self::Client => "client",
        })
    }
}

/// For how long a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Only this one.
    Once,
    /// This one and every later one of the same name.
    ForGood,
}

/// One fault: the n-th call of a name fails, as strace counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The call.
    pub call: String,
    /// Which one, from 1.
    pub nth: usize,
    /// Its error, by name.
    pub error: String,
    /// For how long.
    pub lasts: Lasts,
}

impl Fault {
    /// All that can happen to this call.
    pub fn of(call: &Call) -> Vec<Self> {
        let failures = calls::failures(&call.name, &call.line);
        let each = |(error, lasts): calls::Failure| {
            lasts.iter().map(move |lasts| (error, *lasts)).collect::<Vec<_>>()
        };
        let fault = |(error, lasts): (&str, Lasts)| Self {
            call: call.name.clone(),
            nth: call.nth,
            error: error.to_owned(),
            lasts,
        };
        failures.into_iter().flat_map(each).map(fault).collect()
    }

    /// Whether something is short that others may give back (as `Error::is_shortage` of handshake-core has it).
    pub fn is_shortage(&self) -> bool {
        // What can be full is a file system. Where the n-th write is one into a pipe after all, it is an odd error.
        let is_odd = (self.call.as_str(), self.error.as_str()) == ("write", "ENOSPC");
        !is_odd && ["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC"].contains(&self.error.as_str())
    }

    /// Whether names cannot be removed, or not be looked at, any more: then what is left is for the next server.
    fn keeps_names(&self) -> bool {
        let needed = [
            "unlink",
            "unlinkat",
            "newfstatat",
            "fstat",
            "lstat",
            "statx",
            "renameat2",
            "getdents64",
            "openat",
        ];
        self.lasts == Lasts::ForGood && needed.contains(&self.call.as_str())
    }
}

/// As strace's option has it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = if self.lasts == Lasts::ForGood { "+" } else { "" };
        write!(f, "inject={}:error={}:when={}{on}", self.call, self.error, self.nth)
    }
}
