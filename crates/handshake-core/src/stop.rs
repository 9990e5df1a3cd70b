//! The file descriptor by which a host program ends its server.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags};

use crate::error::Result;
use crate::wait::Woken;

/// Ends a server when it is readable or at EOF. Without a file descriptor, does nothing.
#[derive(Debug, Default)]
pub(crate) struct Stop(RefCell<Option<OwnedFd>>);

impl Stop {
    /// Watches this file descriptor from now on.
    pub(crate) fn watch(&self, fd: OwnedFd) {
        self.0.replace(Some(fd));
    }

    /// Called in a child just forked, which has closed the file descriptor with all others.
    pub(crate) fn forget(&self) {
        let _ = self.0.take().map(IntoRawFd::into_raw_fd);
    }

    /// Waits by `wait` for the order to stop and for `others`. Returns why the wait ended, and whether that
    /// was the order, which comes once. Returns `None` if there is nothing to watch, or if one of `others` is
    /// ready: the caller then waits for them itself, and finds out which.
    pub(crate) fn wait<'a>(
        &self,
        others: impl IntoIterator<Item = (BorrowedFd<'a>, PollFlags)>,
        wait: impl FnOnce(&mut [PollFd<'_>]) -> Result<Woken>,
    ) -> Result<Option<(Woken, bool)>> {
        let (woken, is_stopped) = {
            let fd = self.0.borrow();
            let Some(fd) = &*fd else { return Ok(None) };
            let mut fds = vec![PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(others.into_iter().map(|(fd, events)| PollFd::new(fd, events)));
            let woken = wait(&mut fds)?;
            (woken, fds[0].any().unwrap_or(false))
        };
        if is_stopped {
            self.0.take();
        }
        Ok((is_stopped || !matches!(woken, Woken::Ready(_))).then_some((woken, is_stopped)))
    }
}
