//! Course clients that lost the race for a well-known pipe.
//!
//! Their protocol has no second try: whoever opened the pipe that another one got has written its name into a stranger's
//! session, and waits for its private pipe to be opened. So it is opened, and closed: that is end of file, at once.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::names::{Lookups, strangers};
use crate::budget::NOTICES_A_SECOND;
use crate::deadline::{Deadline, Pauses};
use crate::error::Result;
use crate::event::What;
use crate::fifo::{name_of, open_to_write};
use crate::place::Place;
use crate::process::Process;
use crate::wire::{Hello, Kind, Scanner, Span};

/// Why nobody serves it.
pub(crate) const TOO_LATE: &str = "its name came through a pipe that another client had already";

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
    /// Tells one, now or as soon as it can be told.
    fn add(&self, private: PathBuf) {
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
    fn forgive(&self, private: &Path) {
        self.waiting.borrow_mut().retain(|late| late.private != private);
    }

    /// Tries those whose time has come; returns when to try again: never, if all have been told.
    pub(crate) fn tell(&self) -> Deadline {
        let mut waiting = self.waiting.borrow_mut();
        // So many of them that their tries would cost more than they may are tried less often.
        let least =
            Duration::from_secs(1) * u32::try_from(waiting.len()).unwrap_or(u32::MAX) / NOTICES_A_SECOND;
        waiting.retain_mut(|late| {
            if !late.again.passed() {
                return true;
            }
            late.again = late.pauses.begin().max(Deadline::in_exactly(least));
            !told(&late.private) && !late.until.passed()
        });
        waiting.iter().map(|late| late.again).fold(Deadline::NEVER, Deadline::or)
    }

    /// In a child: they are the parent's.
    pub(crate) fn forget(&self) {
        self.waiting.borrow_mut().clear();
    }
}

impl Process {
    /// From here on this process serves at `place`. Course clients that come too late there are told so, whenever it waits.
    pub(crate) fn serve_at(&self, place: &Place) {
        // A process serves at one place, and says so once.
        let _ = self.latecomers.place.set(place.clone());
        self.latecomers.because.set(TOO_LATE);
    }

    /// No course client can be served here, and this is why.
    pub fn serve_no_course(&self, because: &'static str) {
        self.latecomers.because.set(because);
    }

    /// Looks who has written `bytes` into a pipe that is another one's, and tells them; returns where their names are.
    /// `own`: the private pipe of who may write there.
    pub(crate) fn hear_strangers<'a>(
        &self,
        bytes: impl IntoIterator<Item = &'a [u8]>,
        own: Option<&Path>,
    ) -> Vec<Span> {
        let Some(place) = self.latecomers.place.get() else { return Vec::new() };
        let mut lookups = Lookups::of_session(place);
        let mut places = Vec::new();
        for bytes in bytes {
            for (private, at) in who_wrote(bytes, own, &mut lookups) {
                self.send_away(private, self.latecomers.because.get());
                places.push(at);
            }
        }
        places
    }

    /// What one read of a course client's pipe gave, without the names of strangers; `None` if nothing else was there.
    pub(crate) fn without_strangers(&self, mut read: Vec<u8>, own: &Path) -> Option<Vec<u8>> {
        let mut strangers = self.hear_strangers([read.as_slice()], Some(own));
        if strangers.is_empty() {
            return Some(read);
        }
        // Names without anything between them have one place.
        strangers.dedup();
        for place in strangers.into_iter().rev() {
            read.drain(place);
        }
        read.iter().any(|byte| *byte != 0).then_some(read)
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
            let again = self.latecomers.tell();
            if again == Deadline::NEVER || last.passed() {
                return Ok(());
            }
            self.wait(&mut [], again.or(last))?;
        }
    }

    /// Who has this private pipe now is in time, whoever had one of that name before.
    pub(crate) fn forgive(&self, private: &Path) {
        self.latecomers.forgive(private);
    }
}

/// Who has written something into a pipe that is not its own, and where: course clients, and, where the pipe is a course
/// client's, framed ones that were stopped just before their HELLO. But for `own`, whose pipe it is.
fn who_wrote(bytes: &[u8], own: Option<&Path>, lookups: &mut Lookups<'_>) -> Vec<(PathBuf, Span)> {
    let mut found = Vec::new();
    let (mut scan, mut at) = (Scanner::default(), 0);
    while let Some((record, span)) = scan.next_record(bytes, true) {
        found.extend(shifted(strangers(&bytes[at..span.start], lookups), at));
        at = span.end;
        if record.header.kind == Kind::Hello {
            let named = Hello::decode(&record.payload()).and_then(|hello| lookups.framed(&hello.name));
            found.extend(named.map(|private| (private, span)));
        }
    }
    found.extend(shifted(strangers(&bytes[at..], lookups), at));
    found.retain(|(private, _)| Some(private.as_path()) != own);
    found
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
