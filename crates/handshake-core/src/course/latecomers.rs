//! Course clients that lost the race for a well-known pipe.
//!
//! Their protocol has no second try: whoever opened the pipe that another one got has written its name into a stranger's
//! session, and waits for its private pipe to be opened. So it is opened, and closed: that is end of file, at once.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::names::strangers;
use crate::deadline::{Deadline, Pauses};
use crate::fifo::open_to_write;
use crate::place::Place;
use crate::wire::{Hello, Kind, Scanner, Span};

/// Why nobody serves it.
pub(crate) const TOO_LATE: &str = "its name came through a pipe that another client had already";

/// How long a client may take from its name to the opening of its private pipe.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a process is asked to end, it looks after them for so much longer.
pub(crate) const LAST_MOMENTS: Duration = Duration::from_millis(200);

/// So many may wait to be told: somebody who makes pipes and never opens them must not keep the server from its work. Then who
/// came first is given up.
const WAITING_MAX: usize = 1024;

/// Those who are still to be told; a process looks after them whenever it waits.
#[derive(Debug, Default)]
pub(crate) struct Latecomers {
    /// Where this process serves; nowhere, if it is a client.
    place: OnceCell<Place>,
    /// Why there is nothing for them here, in words.
    because: Cell<&'static str>,
    waiting: RefCell<VecDeque<Latecomer>>,
}

#[derive(Debug)]
struct Latecomer {
    private: PathBuf,
    until: Deadline,
    pauses: Pauses,
    again: Deadline,
}

impl Latecomers {
    /// From here on this process serves at `place`.
    pub(crate) fn serve_at(&self, place: &Place) {
        // A process serves at one place, and says so once.
        let _ = self.place.set(place.clone());
        self.because.set(TOO_LATE);
    }

    /// The same, with another reason.
    pub(crate) fn because(&self, reason: &'static str) {
        self.because.set(reason);
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.because.get()
    }

    /// Who has written something into a pipe that is not its own, and where: course clients, and, where the pipe is a course
    /// client's, framed ones that were stopped just before their HELLO. But for `own`, whose pipe it is. `lookups`: how
    /// often the directory may be asked.
    pub(crate) fn who_wrote(
        &self,
        bytes: &[u8],
        own: Option<&Path>,
        lookups: &mut usize,
    ) -> Vec<(PathBuf, Span)> {
        let Some(place) = self.place.get() else { return Vec::new() };
        let mut found = Vec::new();
        let (mut scan, mut at) = (Scanner::default(), 0);
        while let Some((record, span)) = scan.next_record(bytes, true) {
            found.extend(shifted(strangers(&bytes[at..span.start], place, lookups), at));
            at = span.end;
            if record.header.kind == Kind::Hello {
                let named = Hello::decode(record.payload);
                found.extend(named.and_then(|hello| Some((place.named_by_client(&hello.name)?, span))));
            }
        }
        found.extend(shifted(strangers(&bytes[at..], place, lookups), at));
        found.retain(|(private, _)| Some(private.as_path()) != own);
        found
    }

    /// Tells one, now or as soon as it can be told.
    pub(crate) fn add(&self, private: PathBuf) {
        self.forgive(&private);
        if told(&private) {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        let mut pauses = Pauses::new();
        let again = pauses.begin();
        waiting.push_back(Latecomer { private, until: Deadline::after(PATIENCE), pauses, again });
    }

    /// Who has this name now is in time.
    pub(crate) fn forgive(&self, private: &Path) {
        self.waiting.borrow_mut().retain(|late| late.private != private);
    }

    /// Tries those whose time has come; returns when to try again: never, if all have been told.
    pub(crate) fn tell(&self) -> Deadline {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain_mut(|late| {
            if !late.again.passed() {
                return true;
            }
            late.again = late.pauses.begin();
            !told(&late.private) && !late.until.passed()
        });
        waiting.iter().map(|late| late.again).fold(Deadline::NEVER, Deadline::or)
    }

    /// In a child: they are the parent's.
    pub(crate) fn forget(&self) {
        self.waiting.borrow_mut().clear();
    }
}

fn shifted(found: Vec<(PathBuf, Span)>, by: usize) -> impl Iterator<Item = (PathBuf, Span)> {
    found.into_iter().map(move |(private, at)| (private, at.start + by..at.end + by))
}

/// Whether it has been told, or cannot be.
fn told(private: &Path) -> bool {
    open_to_write(private).map_or_else(|errno| !may_open_later(errno), |_| true)
}

/// ENXIO: it has not opened its pipe yet, since it wrote its name first. The others: not now.
pub(crate) fn may_open_later(errno: Errno) -> bool {
    matches!(errno, Errno::ENXIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
}
