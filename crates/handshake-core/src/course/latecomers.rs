//! Course clients that cannot be served.
//!
//! Their protocol has no word for "no": a client that has written its name waits for its private pipe to be opened. So it is
//! opened, and closed: that is end of file, at once.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::budget::NOTICES_A_SECOND;
use crate::deadline::{Deadline, Pauses};
use crate::error::Result;
use crate::event::What;
use crate::fifo::{name_of, open_to_write};
use crate::place::Place;
use crate::process::Process;

const NO_QUEUE: &str = "its name came through a pipe that it cannot wait for";

/// How long a client may take from its name to the opening of its private pipe.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a process is asked to end, it looks after them for so much longer.
const LAST_MOMENTS: Duration = Duration::from_millis(200);

/// So many may wait to be told: somebody who makes pipes and never opens them must not keep the server from its work. Then who
/// came first is given up.
const WAITING_MAX: usize = 1024;

/// Those who are still to be told; a process looks after them whenever it waits.
#[derive(Debug, Default)]
pub(crate) struct Latecomers {
    /// Where this process serves; nowhere, if it is a client.
    pub(super) place: OnceCell<Place>,
    /// Why there is nothing for them here, in words.
    pub(super) because: Cell<&'static str>,
    /// By their private pipes.
    waiting: RefCell<HashMap<PathBuf, Latecomer>>,
}

#[derive(Debug)]
struct Latecomer {
    until: Deadline,
    pauses: Pauses,
    again: Deadline,
}

impl Latecomers {
    /// Tells one, now or as soon as it can be told.
    fn add(&self, private: PathBuf) {
        self.forgive(&private);
        if told(&private) {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() == WAITING_MAX {
            let first = waiting.iter().min_by_key(|(_, late)| late.until);
            let first = first.map(|(private, _)| private.clone());
            first.and_then(|first| waiting.remove(&first));
        }
        let mut pauses = Pauses::new();
        let again = pauses.begin();
        waiting.insert(private, Latecomer { until: Deadline::after(PATIENCE), pauses, again });
    }

    /// Who has this name now is another one.
    fn forgive(&self, private: &Path) {
        self.waiting.borrow_mut().remove(private);
    }

    /// Tries those whose time has come; returns when to try again: never, if all have been told.
    fn tell(&self) -> Deadline {
        let mut waiting = self.waiting.borrow_mut();
        // So many of them that their tries would cost more than they may are tried less often.
        let least =
            Duration::from_secs(1) * u32::try_from(waiting.len()).unwrap_or(u32::MAX) / NOTICES_A_SECOND;
        waiting.retain(|private, late| {
            if !late.again.passed() {
                return true;
            }
            late.again = late.pauses.begin().max(Deadline::in_exactly(least));
            !told(private) && !late.until.passed()
        });
        waiting.values().map(|late| late.again).fold(Deadline::NEVER, Deadline::or)
    }

    /// In a child: they are the parent's.
    pub(crate) fn forget(&self) {
        self.waiting.borrow_mut().clear();
    }
}

impl Process {
    /// From here on this process serves at `place`, and looks after the course clients there whenever it waits. One may
    /// wait for `queue_timeout` in a queue; 0 is for ever.
    pub(crate) fn serve_at(&self, place: &Place, queue_timeout: Duration) {
        // A process serves at one place, and says so once.
        let _ = self.latecomers.place.set(place.clone());
        self.latecomers.because.set(NO_QUEUE);
        self.queues.timeout.set(queue_timeout);
    }

    /// No course client can be served here, and this is why.
    pub fn serve_no_course(&self, because: &'static str) {
        self.latecomers.because.set(because);
    }

    /// Sends away the course clients that it is time for; returns when to do that again.
    pub(crate) fn look_after_course_clients(&self) -> Deadline {
        self.look_after_queues().or(self.latecomers.tell())
    }

    /// Opens and closes a private pipe, as soon as its client has opened it.
    pub(crate) fn send_away(&self, private: PathBuf, reason: &str) {
        self.saw(What::ClientDropped, |event| event.pipe(name_of(&private)).text(reason));
        self.latecomers.add(private);
    }

    /// The same for who may have been told already, or have no need.
    pub(crate) fn tell_when_open(&self, private: PathBuf) {
        self.latecomers.add(private);
    }

    /// Before this process ends: those who are to be told have a little time to open their pipes.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub(crate) fn see_off_latecomers(&self) -> Result<()> {
        let mut last = Deadline::NEVER;
        loop {
            if last == Deadline::NEVER && self.asked_to_end().is_some() {
                last = Deadline::after(LAST_MOMENTS);
            }
            let again = self.look_after_course_clients();
            if again == Deadline::NEVER || last.passed() {
                return Ok(());
            }
            self.wait(&mut [], again.or(last))?;
        }
    }

    /// Who has this private pipe now is another one than whoever had its name before.
    pub(crate) fn forgive(&self, private: &Path) {
        self.latecomers.forgive(private);
        self.queues.forget(private);
    }
}

/// Whether it has been told, or cannot be.
fn told(private: &Path) -> bool {
    open_to_write(private).map_or_else(|errno| !may_open_later(errno), |_| true)
}

/// ENXIO: it has not opened its pipe yet, since it wrote its name first. The others: not now.
pub(crate) fn may_open_later(errno: Errno) -> bool {
    matches!(errno, Errno::ENXIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
}
