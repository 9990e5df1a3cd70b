//! Names that come through a pipe that a client has already, and course clients that cannot be served.
//!
//! A name that comes so waits for that pipe ([`PipeQueue`]). The protocol has no word for "no": who cannot be served waits
//! for its private pipe to be opened. So it is opened, and closed: that is end of file, at once.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use nix::errno::Errno;

use super::names::{Introduction, Lookups, strangers};
use super::queue::PipeQueue;
use crate::budget::{LOOKUPS_A_TURN, NOTICES_A_SECOND};
use crate::deadline::{Deadline, Pauses};
use crate::error::Result;
use crate::event::What;
use crate::fifo::{name_of, open_to_write};
use crate::place::Place;
use crate::process::Process;
use crate::wire::{Hello, Kind, Scanner, Span};

const NO_QUEUE: &str = "its name came through a pipe that it cannot wait for";
const WAITED: &str = "it has waited for longer than --queue-timeout";

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
    /// The queues that somebody has waited in, and how long a client may wait in one; 0 is for ever.
    queues: RefCell<Vec<Weak<PipeQueue>>>,
    queue_timeout: Cell<Duration>,
    /// Names that may still be looked up before the next wait.
    lookups: Cell<usize>,
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

    /// Who has this name now is another one.
    fn forgive(&self, private: &Path) {
        self.waiting.borrow_mut().retain(|late| late.private != private);
        self.queues().for_each(|queue| queue.forget(private));
    }

    fn queues(&self) -> impl Iterator<Item = Rc<PipeQueue>> {
        self.queues.borrow().iter().filter_map(Weak::upgrade).collect::<Vec<_>>().into_iter()
    }

    /// Tries those whose time has come; returns when to try again: never, if all have been told.
    fn tell(&self) -> Deadline {
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

    /// Whatever was read until now has been looked at.
    pub(crate) fn begin_turn(&self) {
        self.lookups.set(LOOKUPS_A_TURN);
    }

    /// In a child: they are the parent's.
    pub(crate) fn forget(&self) {
        self.waiting.borrow_mut().clear();
        self.queues.borrow_mut().clear();
    }
}

impl Process {
    /// From here on this process serves at `place`, and looks after the course clients there whenever it waits. One may
    /// wait for `queue_timeout` in a queue; 0 is for ever.
    pub(crate) fn serve_at(&self, place: &Place, queue_timeout: Duration) {
        // A process serves at one place, and says so once.
        let _ = self.latecomers.place.set(place.clone());
        self.latecomers.because.set(NO_QUEUE);
        self.latecomers.queue_timeout.set(queue_timeout);
    }

    /// No course client can be served here, and this is why.
    pub fn serve_no_course(&self, because: &'static str) {
        self.latecomers.because.set(because);
    }

    /// Looks after those who wait in this queue, as long as it lives: a child does only once it has been told.
    pub(crate) fn looks_after(&self, queue: &Rc<PipeQueue>) {
        let mut queues = self.latecomers.queues.borrow_mut();
        queues.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&Rc::downgrade(queue)));
        queues.push(Rc::downgrade(queue));
    }

    /// Sends away the course clients that it is time for; returns when to do that again.
    pub(crate) fn look_after_course_clients(&self) -> Deadline {
        let mut again = Deadline::NEVER;
        let patience = self.latecomers.queue_timeout.get();
        if !patience.is_zero() {
            for queue in self.latecomers.queues() {
                again = again.or(queue.expire(patience, |name| self.send_away(name.private, WAITED)));
            }
        }
        again.or(self.latecomers.tell())
    }

    /// Looks who has written `bytes` into a pipe that is another one's, and returns where their names are. Course clients
    /// join the `queue` for that pipe, and framed ones are told to try again. `own`: the private pipe of who may write there.
    pub(crate) fn hear_strangers<'a>(
        &self,
        bytes: impl IntoIterator<Item = &'a [u8]>,
        own: Option<&Path>,
        queue: Option<&Rc<PipeQueue>>,
    ) -> Vec<Span> {
        let Some(place) = self.latecomers.place.get() else { return Vec::new() };
        let mut places = Vec::new();
        for bytes in bytes {
            let mut lookups = Lookups::of_session(place, bytes.len(), &self.latecomers.lookups);
            for (stranger, at) in who_wrote(bytes, own, &mut lookups) {
                match (stranger, queue) {
                    (Stranger::InCourse(name), Some(queue)) => queue.join(name, self),
                    (Stranger::InCourse(Introduction { private, .. }) | Stranger::Framed(private), _) => {
                        self.send_away(private, self.latecomers.because.get());
                    }
                }
                places.push(at);
            }
        }
        places
    }

    /// What one read of a course client's pipe gave, without the names of strangers; `None` if nothing else was there.
    pub(crate) fn without_strangers(
        &self,
        mut read: Vec<u8>,
        own: &Path,
        queue: &Rc<PipeQueue>,
    ) -> Option<Vec<u8>> {
        let mut strangers = self.hear_strangers([read.as_slice()], Some(own), Some(queue));
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
    }
}

/// Who has written into a pipe that another client has.
enum Stranger {
    InCourse(Introduction),
    /// One that was stopped just before its HELLO; its private pipe.
    Framed(PathBuf),
}

/// Who has written something into a pipe that is not its own, and where; but for `own`, whose pipe it is.
fn who_wrote(bytes: &[u8], own: Option<&Path>, lookups: &mut Lookups<'_>) -> Vec<(Stranger, Span)> {
    let mut found = Vec::new();
    let in_course = |from: Span, lookups: &mut Lookups<'_>| {
        let names = strangers(&bytes[from.clone()], lookups).into_iter();
        let others = names.filter(|(name, _)| Some(name.private.as_path()) != own);
        others.map(move |(name, at)| (Stranger::InCourse(name), at.start + from.start..at.end + from.start))
    };
    let (mut scan, mut at) = (Scanner::default(), 0);
    while let Some((record, span)) = scan.next_record(bytes, true) {
        found.extend(in_course(at..span.start, lookups));
        at = span.end;
        if record.header.kind == Kind::Hello {
            let named = Hello::decode(&record.payload()).and_then(|hello| lookups.framed(&hello.name));
            found.extend(named.map(|private| (Stranger::Framed(private), span)));
        }
    }
    found.extend(in_course(at..bytes.len(), lookups));
    found
}

/// Whether it has been told, or cannot be.
fn told(private: &Path) -> bool {
    open_to_write(private).map_or_else(|errno| !may_open_later(errno), |_| true)
}

/// ENXIO: it has not opened its pipe yet, since it wrote its name first. The others: not now.
pub(crate) fn may_open_later(errno: Errno) -> bool {
    matches!(errno, Errno::ENXIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR)
}
