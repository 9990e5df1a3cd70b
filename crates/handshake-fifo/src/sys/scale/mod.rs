//! How a main server with hundreds or thousands of subservers forks. Skip this at first: with few, an
//! ordinary [`fork`](super::fork()) does the same.
//!
//! Two things cost more with each subserver: to learn which one has ended (`child_exits`), and to copy the table of
//! descriptors (`share_fds`).

mod child_exits;
mod share_fds;

use std::cell::Cell;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::fork::{self, HAS_BARE_CLONE, clone, live, threads};
use child_exits::Ends;
pub use child_exits::keep_ends;
use share_fds::Handover;
pub use share_fds::out_of_the_way;

/// Forks at a cost that does not grow with the number of subservers. Where the system does not allow that
/// (user-mode emulation, a sandbox), each fork is an ordinary one, for good after the first refusal.
#[derive(Debug)]
pub struct Scale {
    /// Dropped with this: the signal then does what it did before.
    _ends: Ends,
    /// For a parent that holds descriptors for each subserver.
    share_fds: Option<Handover>,
    refused: Cell<bool>,
    /// Whether there has been such a fork.
    has_forked: Cell<bool>,
}

impl Scale {
    /// Watches for the exits of children from now on.
    pub fn new() -> Self {
        Self {
            _ends: Ends::watch(),
            share_fds: None,
            refused: Cell::new(false),
            has_forked: Cell::new(false),
        }
    }

    /// For a parent that holds descriptors for each subserver: a child takes its own without a copy of all.
    pub fn hand_descriptors_over(&mut self) {
        // Without the memory for it, each fork costs more, and that is all.
        self.share_fds = Handover::new().ok();
    }

    /// As [`fork`](super::fork()), but the parent must wait for the child with `__WALL` (wait4(2)), and
    /// [`Scale::ended`] tells of its end.
    ///
    /// # Errors
    /// As [`fork`](super::fork()).
    pub fn fork(&self, keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> Result<Pid, Errno> {
        if self.refused.get() || !HAS_BARE_CLONE {
            return fork::fork(keep, body);
        }
        if threads() > 1 {
            return Err(Errno::EDEADLK);
        }
        let share_fds = self.share_fds.as_ref().filter(|share_fds| share_fds.is_possible());
        self.has_forked.set(true);
        match clone(share_fds.map_or(0, Handover::begin) | child_exits::signal_of_end()) {
            Ok(None) => {
                if let Some(share_fds) = share_fds {
                    share_fds.take(keep);
                }
                live(keep, body)
            }
            Ok(Some(child)) => match share_fds.map_or(Ok(()), |share_fds| share_fds.await_end(child)) {
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

    /// Whether a child has ended since [`Scale::ended`] was asked last.
    pub fn has_ended(&self) -> bool {
        self.has_forked.get() && child_exits::told()
    }

    /// The children that have ended since this was asked last; `None`, if not all are known, or if more than
    /// `most` are said to have ended. A number may also be that of a process that has merely sent the signal.
    pub fn ended(&self, most: usize) -> Option<Vec<Pid>> {
        if self.has_forked.get() { child_exits::ended(most) } else { Some(Vec::new()) }
    }
}
