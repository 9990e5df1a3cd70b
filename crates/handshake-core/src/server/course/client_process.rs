//! What can be seen of a course client's process, whose PID most clients use as their private pipe's name.
//!
//! A name may be no PID, or one of another PID namespace. Then nothing, or another process, is seen; each caller bounds what
//! that can cost.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::fifo::name_of;

/// Whether the name is the PID of a process that exists, and is this user's: a process of another user could not open the
/// pipes. Some clients close the well-known pipe when they have sent their name, and wait for the acknowledgement all the
/// same.
pub(crate) fn may_live(private: &Path) -> bool {
    pid_of(private).is_some_and(|pid| kill(pid, None).is_ok())
}

/// Whether the name is a PID that no process has.
pub(crate) fn is_dead(private: &Path) -> bool {
    pid_of(private).is_some_and(|pid| kill(pid, None) == Err(Errno::ESRCH))
}

/// Whether the process runs or waits for a processor, is stopped, or waits for a page: it does not wait for a pipe or for
/// its user (proc_pid_stat(5)).
pub(crate) fn is_running(private: &Path) -> bool {
    let Some(pid) = pid_of(private) else { return false };
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program, in brackets, may hold brackets itself.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    state.is_some_and(|state| matches!(state, b'R' | b'D' | b'T' | b't'))
}

fn pid_of(private: &Path) -> Option<Pid> {
    let number = name_of(private).parse().ok().filter(|number| *number > 0);
    number.map(Pid::from_raw)
}
