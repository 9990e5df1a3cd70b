//! How full a pipe is.
//!
//! To open a FIFO, or a pipe's end by its link in /proc, would make one more reader or writer: it would wake
//! a process that waits in open(2), or delay an EOF. pidfd_getfd(2) makes none. It copies the descriptor, as
//! dup(2) does, for the microseconds of two questions. A reader may see an EOF, and a writer may get EPIPE,
//! later by that time.

use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::model::Fill;

/// How full the pipe is that a process holds as `fd`. `None`: the kernel does not permit it (Yama, another
/// user), is older than 5.6, or the process has ended.
pub(super) fn of(pid: u32, fd: u32) -> Option<Fill> {
    let process = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    let end = pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()?;
    let capacity = fcntl_getpipe_size(&end).ok()? as u64;
    Some(Fill { bytes: ioctl_fionread(&end).ok()?, capacity })
}
