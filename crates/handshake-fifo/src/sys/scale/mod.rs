//! How a main server with hundreds or thousands of subservers forks. Skip this at first: with few subservers,
//! an ordinary [`fork`](super::fork()) does the same.
//!
//! Two costs grow with the number of subservers: finding out which one has exited (`child_exits`), and
//! copying the table of file descriptors (`share_fds`).

mod child_exits;
mod share_fds;

use std::cell::Cell;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::fork::{self, HAS_BARE_CLONE, clone, run_child, threads};
use child_exits::ExitSignal;
pub use child_exits::keep_exit_handler;
use share_fds::SharedTable;
pub use share_fds::out_of_the_way;

/// Forks at a cost that does not grow with the number of subservers. If the system does not allow that
/// (user-mode emulation, a sandbox), every fork after the first refusal is an ordinary one.
#[derive(Debug)]
pub struct Scale {
    /// Dropped with this: the signal's former action is then restored.
    _exit_signal: ExitSignal,
    /// For a parent that holds file descriptors for each subserver.
    share_fds: Option<SharedTable>,
    refused: Cell<bool>,
    /// Whether there has been such a fork.
    has_forked: Cell<bool>,
}

impl Scale {
    /// Watches for the exits of children from now on.
    pub fn begin() -> Self {
        Self {
            _exit_signal: ExitSignal::watch(),
            share_fds: None,
            refused: Cell::new(false),
            has_forked: Cell::new(false),
        }
    }

    /// For a parent that holds file descriptors for each subserver: a child takes its own without a copy of
    /// all.
    pub fn share_descriptors(&mut self) {
        // Without memory for this, each fork only costs more.
        self.share_fds = SharedTable::new().ok();
    }

    /// Forks as [`fork`](super::fork()) does. The parent must wait for the child with `__WALL` (wait4(2)),
    /// and [`Scale::ended`] reports its exit.
    ///
    /// # Errors
    /// Those of [`fork`](super::fork()).
    pub fn fork(&self, keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> Result<Pid, Errno> {
        if self.refused.get() || !HAS_BARE_CLONE {
            return fork::fork(keep, body);
        }
        if threads() > 1 {
            return Err(Errno::EDEADLK);
        }
        let share_fds = self.share_fds.as_ref().filter(|share_fds| share_fds.is_possible());
        self.has_forked.set(true);
        match clone(share_fds.map_or(0, SharedTable::begin) | child_exits::exit_signal()) {
            Ok(None) => {
                if let Some(share_fds) = share_fds {
                    share_fds.take(keep);
                }
                run_child(keep, body)
            }
            Ok(Some(child)) => match share_fds.map_or(Ok(()), |share_fds| share_fds.await_taken(child)) {
                Err(_) if share_fds.is_some_and(|share_fds| !share_fds.is_possible()) => {
                    self.fork(keep, body)
                }
                taken => taken.map(|()| child),
            },
            Err(errno @ (Errno::EAGAIN | Errno::ENOMEM)) => Err(errno),
            Err(_) => {
                self.refused.set(true);
                fork::fork(keep, body)
            }
        }
    }

    /// Returns whether a child has exited since the last call of [`Scale::ended`].
    pub fn has_ended(&self) -> bool {
        self.has_forked.get() && child_exits::has_arrived()
    }

    /// Returns the children that have exited since the last call. `None` if some are unknown, or if there are
    /// more than `most`. A PID may also be that of a process that has merely sent the signal.
    pub fn ended(&self, most: usize) -> Option<Vec<Pid>> {
        if self.has_forked.get() { child_exits::ended(most) } else { Some(Vec::new()) }
    }
}
