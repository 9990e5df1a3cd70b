//! What a look could not see.

use std::fmt;

/// What a look could not see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// So many processes hide their descriptors. They are other users', or not dumpable.
    HiddenProcesses(usize),
    /// These chosen processes have not ended, and none of their threads could be read.
    UnreadProcesses(Vec<u32>),
    /// So many chosen processes hide their system calls. `yama`: kernel.yama.ptrace_scope, if there is one.
    HiddenCalls {
        /// The PIDs.
        pids: Vec<u32>,
        /// The value of kernel.yama.ptrace_scope.
        yama: Option<u8>,
    },
}

/// What could not be seen, and what would be needed for it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HiddenProcesses(count) => {
                write!(f, "{count} processes of other users hide their pipe ends; root sees them")
            }
            Self::UnreadProcesses(pids) => {
                write!(f, "the threads of {} could not be read: look again", list(pids))
            }
            Self::HiddenCalls { pids, yama } => {
                write!(f, "the system calls of {} are hidden: ", list(pids))?;
                match yama {
                    Some(1) => f.write_str(
                        "kernel.yama.ptrace_scope is 1: look from an ancestor of theirs, or as root",
                    ),
                    Some(scope @ 2..) => write!(f, "kernel.yama.ptrace_scope is {scope}: look as root"),
                    _ => {
                        f.write_str("they are another user's, or a container forbids ptrace(2): look as root")
                    }
                }
            }
        }
    }
}

fn list(pids: &[u32]) -> String {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    pids.join(", ")
}
