//! Course clients that cannot be served.
//!
//! Their protocol has no word for "no": a client that has written its name waits until its private pipe is opened. The
//! server opens the pipe and closes it, and the client reads EOF.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::budget::NOTICES_A_SECOND;
use crate::deadline::{Deadline, Pauses};
use crate::fifo::open_to_write;

/// How long a client may take from its name to the opening of its private pipe.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most clients that are waited for. Beyond that the oldest is given up: a process that makes pipes and never opens
/// them must not keep the server from its work.
const LATE_MAX: usize = 1024;

/// The clients that have not opened their private pipes yet, by those pipes.
#[derive(Debug, Default)]
pub(crate) struct LateClients(RefCell<HashMap<PathBuf, LateClient>>);

#[derive(Debug)]
struct LateClient {
    until: Deadline,
    pauses: Pauses,
    again: Deadline,
}

impl LateClients {
    /// Opens and closes the private pipe, now or as soon as its client has opened it.
    pub(crate) fn add(&self, private: PathBuf) {
        self.cancel(&private);
        if is_over(&private) {
            return;
        }
        let mut clients = self.0.borrow_mut();
        if clients.len() == LATE_MAX {
            let oldest = clients.iter().min_by_key(|(_, late)| late.until);
            let oldest = oldest.map(|(private, _)| private.clone());
            oldest.and_then(|oldest| clients.remove(&oldest));
        }
        let mut pauses = Pauses::new();
        let again = pauses.begin();
        clients.insert(private, LateClient { until: Deadline::after(PATIENCE), pauses, again });
    }

    /// A new client has this name.
    pub(crate) fn cancel(&self, private: &Path) {
        self.0.borrow_mut().remove(private);
    }

    /// Tries the pipes whose time has come; returns when to try again, which is never if none is left.
    pub(crate) fn close_those_open(&self) -> Deadline {
        let mut clients = self.0.borrow_mut();
        // All tries together keep within the budget: the more clients there are, the longer the pauses.
        let least =
            Duration::from_secs(1) * u32::try_from(clients.len()).unwrap_or(u32::MAX) / NOTICES_A_SECOND;
        clients.retain(|private, late| {
            if !late.again.passed() {
                return true;
            }
            late.again = late.pauses.begin().max(Deadline::in_exactly(least));
            !is_over(private) && !late.until.passed()
        });
        clients.values().map(|late| late.again).fold(Deadline::NEVER, Deadline::or)
    }

    /// In a subserver just forked: they are the parent's.
    pub(crate) fn forget_all(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Tries once; returns whether the client has its EOF, or never will.
fn is_over(private: &Path) -> bool {
    open_to_write(private).map_or_else(|errno| !may_open_later(errno), |_| true)
}

/// ENXIO: the client has not opened its pipe yet, since it writes its name first. The others are shortages, which pass.
pub(crate) fn may_open_later(errno: Errno) -> bool {
    matches!(errno, Errno::ENXIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
}
