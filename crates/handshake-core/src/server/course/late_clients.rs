//! Late clients: course clients that cannot be served.
//!
//! Their protocol has no refusal: a client that has written its name waits until its private pipe is opened.
//! The server opens the pipe and closes it, and the client reads EOF.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::budget::NOTICES_A_SECOND;
use crate::deadline::{Deadline, Pauses};
use crate::fifo::open_to_write;

/// The longest time that a client may take from its name to the opening of its private pipe.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most late clients at a time. Beyond that the oldest is dropped: a process that makes pipes and never
/// opens them must not occupy the server.
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
        if try_to_close(&private) {
            return;
        }
        let mut clients = self.0.borrow_mut();
        if clients.len() == LATE_MAX {
            let oldest = clients.iter().min_by_key(|(_, late)| late.until);
            let oldest = oldest.map(|(private, _)| private.clone());
            oldest.and_then(|oldest| clients.remove(&oldest));
        }
        let mut pauses = Pauses::first();
        let again = pauses.begin();
        clients.insert(private, LateClient { until: Deadline::after(PATIENCE), pauses, again });
    }

    /// Cancels the notice: a new client has this name.
    pub(crate) fn cancel(&self, private: &Path) {
        self.0.borrow_mut().remove(private);
    }

    /// Tries the pipes that are due. Returns when to try again: never, if none is left.
    pub(crate) fn close_those_open(&self) -> Deadline {
        let mut clients = self.0.borrow_mut();
        if clients.is_empty() {
            return Deadline::NEVER;
        }
        // The budget bounds all attempts together: the more clients there are, the longer the pauses.
        let least =
            Duration::from_secs(1) * u32::try_from(clients.len()).unwrap_or(u32::MAX) / NOTICES_A_SECOND;
        clients.retain(|private, late| {
            if !late.again.passed() {
                return true;
            }
            late.again = late.pauses.begin().max(Deadline::in_exactly(least));
            !try_to_close(private) && !late.until.passed()
        });
        clients.values().map(|late| late.again).fold(Deadline::NEVER, Deadline::or)
    }

    /// Forgets all clients, in a subserver just forked: they are the parent's.
    pub(crate) fn forget_all(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Tries once. Returns whether the client has its EOF, or will never open its pipe.
fn try_to_close(private: &Path) -> bool {
    open_to_write(private).map_or_else(|errno| !may_open_later(errno), |_| true)
}

/// Returns whether a later attempt may succeed. ENXIO: the client has not opened its pipe yet, since it
/// writes its name first. The others are temporary shortages.
pub(crate) fn may_open_later(errno: Errno) -> bool {
    matches!(errno, Errno::ENXIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
}
