//! Observes a course client's process. Most clients use their PID as their private pipe's name.
//!
//! A name may be no PID, or a PID of another PID namespace. The functions here then see no process, or a
//! different one. Each caller bounds the cost of that mistake.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::fifo::name_of;

/// Returns whether the name is the PID of an existing process of this user. A process of another user could
/// not open the pipes. Some clients close the well-known pipe after they have sent their name, and still wait
/// for the acknowledgement.
pub(crate) fn may_live(private: &Path) -> bool {
    pid_of(private).is_some_and(|pid| kill(pid, None).is_ok())
}

/// Returns whether the name is a PID that no process has.
pub(crate) fn is_dead(private: &Path) -> bool {
    pid_of(private).is_some_and(|pid| kill(pid, None) == Err(Errno::ESRCH))
}

/// Returns whether the process runs, waits for a processor, or waits for a page. It then does
/// not wait for a pipe or for its user (proc_pid_stat(5)).
pub(crate) fn is_running(private: &Path) -> bool {
    let Some(pid) = pid_of(private) else { return false };
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program, in brackets, may contain brackets itself.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    state.is_some_and(|state| matches!(state, b'R' | b'D'))
}

fn pid_of(private: &Path) -> Option<Pid> {
    let number = name_of(private).parse().ok().filter(|number| *number > 0);
    number.map(Pid::from_raw)
}
