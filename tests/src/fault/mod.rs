//! Faults: strace makes a program's system calls fail one by one, and each process must react correctly.
//!
//! [`calls`] is the table of the calls that can fail, and of their errors. [`trace_calls`] runs the scenario
//! once without a fault, and returns the calls that a program makes. [`run_with_fault`] runs the scenario
//! with one fault, and checks the result. No process may hang, and nothing may be left. A process that ends
//! must say why, with the right status. The next client must be served.

pub mod calls;
mod scenario;
mod trace;

use std::fmt;

use crate::needs::Tool;
use crate::paradigm::Paradigm;

pub use scenario::{run_with_fault, trace_calls};
pub use trace::Call;
pub(crate) use trace::cannot_attach;

/// The process whose calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The basic server, the main server, or the central process.
    Server,
    /// The first subserver.
    Subserver,
    /// The first client.
    Client,
}

impl Side {
    /// The sides that a paradigm has.
    pub fn of(paradigm: Paradigm) -> impl Iterator<Item = Self> {
        let all = [Self::Server, Self::Subserver, Self::Client];
        all.into_iter().filter(move |side| *side != Self::Subserver || paradigm.has_subservers())
    }

    /// The tool that makes its calls fail.
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

/// How long a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Only this call fails.
    Once,
    /// This call fails, and every later call of the same name.
    ForGood,
}

/// One fault: the n-th call of a name fails, as strace counts calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The call's name.
    pub call: String,
    /// The call's number, from 1.
    pub nth: usize,
    /// The error's name.
    pub error: String,
    /// How long the call fails.
    pub lasts: Lasts,
}

impl Fault {
    /// Returns all faults that this call can have.
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

    /// Whether the fault is a shortage that may pass, as `Error::is_shortage` of handshake-core defines it.
    pub fn is_shortage(&self) -> bool {
        // Only a file system can be full. If the n-th write goes into a pipe, ENOSPC is an unusual error, and
        // no shortage.
        let is_odd = (self.call.as_str(), self.error.as_str()) == ("write", "ENOSPC");
        !is_odd && ["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC"].contains(&self.error.as_str())
    }

    /// Whether names can no longer be removed or inspected. The next server then removes the names that are
    /// left.
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

/// The option of strace.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = if self.lasts == Lasts::ForGood { "+" } else { "" };
        write!(f, "inject={}:error={}:when={}{on}", self.call, self.error, self.nth)
    }
}
