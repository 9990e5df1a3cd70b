//! Why tracing is not allowed, and the way out.

use std::fmt;
use std::io;

use crate::look::{printable, stat};

/// What forbids tracing: a process, a setting or the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Yama, with this value of kernel.yama.ptrace_scope: 2 or 3.
    Yama(u8),
    /// Another process traces this one, and with it all its children.
    Traced {
        /// Its PID.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// A seccomp filter of the container forbids ptrace(2).
    Filter,
    /// The kernel is older than 5.3: it has no `PTRACE_GET_SYSCALL_INFO`.
    OldKernel,
    /// The kernel or the container has no seccomp filters.
    NoFilters(String),
    /// /proc is not mounted.
    NoProc,
    /// Another reason, with the error of ptrace(2).
    Other(String),
}

impl Refusal {
    /// Why this child cannot be seized.
    pub(super) fn of(error: &io::Error, child: i32) -> Self {
        let status = |pid: &str| stat::status(&format!("/proc/{pid}"));
        let tracer = status(&child.to_string()).or_else(|| status("self")).and_then(|status| status.tracer);
        if let Some(pid) = tracer {
            let name = stat::text(&format!("/proc/{pid}/comm")).unwrap_or_default();
            return Self::Traced { pid, name: printable(name.trim_end()) };
        }
        if let Some(scope @ 2..) = stat::yama() {
            return Self::Yama(scope);
        }
        let status = stat::text("/proc/self/status").unwrap_or_default();
        match error.raw_os_error() {
            _ if status.is_empty() => Self::NoProc,
            _ if status
                .lines()
                .any(|line| line.strip_prefix("Seccomp:").is_some_and(|m| m.trim() == "2")) =>
            {
                Self::Filter
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot trace: ")?;
        match self {
            Self::Yama(2) => write!(
                f,
                "kernel.yama.ptrace_scope is 2: only root may trace: sudo sysctl kernel.yama.ptrace_scope=1"
            ),
            Self::Yama(scope) => write!(
                f,
                "kernel.yama.ptrace_scope is {scope}: nobody may trace, until the machine starts again with \
                 another value"
            ),
            Self::Traced { pid, name } => write!(
                f,
                "process {pid} ({name}) traces this one already, and a process has one tracer: run it without \
                 {name}"
            ),
            Self::Filter => write!(
                f,
                "ptrace is refused here (Seccomp: 2 in /proc/self/status), probably by a container: docker run \
                 --cap-add SYS_PTRACE"
            ),
            Self::OldKernel => {
                write!(
                    f,
                    "the kernel is too old, or refuses PTRACE_GET_SYSCALL_INFO: Linux 5.3 or later is needed"
                )
            }
            Self::NoFilters(error) => write!(
                f,
                "the kernel refuses a seccomp filter ({error}): it needs CONFIG_SECCOMP_FILTER, and a container \
                 must allow prctl(2)"
            ),
            Self::NoProc => write!(f, "/proc is not mounted: mount -t proc proc /proc"),
            Self::Other(error) => write!(f, "ptrace: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_way_out() {
        let traced = Refusal::Traced { pid: 7, name: "strace".into() };
        assert!(traced.to_string().contains("process 7 (strace) traces this one already"));
        assert!(Refusal::Yama(2).to_string().ends_with("sudo sysctl kernel.yama.ptrace_scope=1"));
        assert!(Refusal::Yama(3).to_string().contains("is 3"));
    }
}
