//! What a look could not see, and what would be needed for it.

use std::fmt;

/// The most PIDs that one sentence lists.
const LISTED_MAX: usize = 8;

/// What a look could not see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// So many processes hide their descriptors. They are other users', or not dumpable.
    HiddenProcesses(usize),
    /// /proc shows this user no processes of other users: it is mounted with `hidepid` (proc(5)).
    HiddenUsers,
    /// These chosen processes have not ended, and none of their threads could be read.
    UnreadProcesses(Vec<u32>),
    /// These chosen processes hide their system calls.
    HiddenCalls {
        /// The PIDs.
        pids: Vec<u32>,
        /// The value of kernel.yama.ptrace_scope; `None` where there is no Yama.
        yama: Option<u8>,
    },
}

impl Limit {
    /// Whether unseen processes may hold further ends of a pipe.
    pub(super) fn hides_ends(&self) -> bool {
        matches!(self, Self::HiddenProcesses(_) | Self::HiddenUsers)
    }
}

/// What could not be seen, and what would be needed for it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HiddenProcesses(count) => write!(
                f,
                "{count} processes of other users, or not dumpable, hide their pipe ends; root sees them"
            ),
            Self::HiddenUsers => f.write_str(
                "this /proc hides the processes of other users (mount option hidepid); root sees them",
            ),
            Self::UnreadProcesses(pids) => {
                write!(f, "the threads of {} could not be read: look again", list(pids))
            }
            Self::HiddenCalls { pids, yama } => {
                write!(f, "the system calls of {} are hidden: ", list(pids))?;
                match yama {
                    Some(1) => f.write_str(
                        "kernel.yama.ptrace_scope is 1: look from an ancestor of theirs, or as root",
                    ),
                    Some(2) => f.write_str("kernel.yama.ptrace_scope is 2: look as root"),
                    Some(scope @ 3..) => write!(
                        f,
                        "kernel.yama.ptrace_scope is {scope}: not even root sees them before a reboot with a \
                         lower value"
                    ),
                    _ => f.write_str(
                        "a security module or a sandbox forbids it: look as root, or from outside",
                    ),
                }
            }
        }
    }
}

fn list(pids: &[u32]) -> String {
    let mut listed: Vec<_> = pids.iter().take(LISTED_MAX).map(u32::to_string).collect();
    let more = pids.len().saturating_sub(LISTED_MAX);
    listed.extend((more > 0).then(|| format!("{more} more")));
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test machine has all these values.
    #[test]
    fn what_helps_depends_on_yama() {
        for (yama, helps) in [
            (None, "a security module or a sandbox forbids it"),
            (Some(0), "a security module or a sandbox forbids it"),
            (Some(1), "look from an ancestor of theirs, or as root"),
            (Some(2), "look as root"),
            (Some(3), "not even root sees them before a reboot"),
        ] {
            let told = Limit::HiddenCalls { pids: vec![4711, 4712], yama }.to_string();
            assert!(told.starts_with("the system calls of 4711, 4712 are hidden: "), "{told}");
            assert!(told.contains(helps), "{told}");
        }
    }

    #[test]
    fn a_crowd_is_not_listed_whole() {
        let told = Limit::UnreadProcesses((1..=10).collect()).to_string();
        assert_eq!(told, "the threads of 1, 2, 3, 4, 5, 6, 7, 8, 2 more could not be read: look again");
    }
}
