//! Course clients that share one pipe, and are served one after the other.
//!
//! Their protocol knows no other pipe than the well-known one that they have opened. A client that has written its name there
//! waits in open(2) of its private pipe, and writes nothing more until it is acknowledged (fifo(7)). So those whose names come
//! through a pipe that a client has already do not disturb it: each waits for its turn there, as it would at a basic
//! server.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::names::Introduction;
use crate::budget::LOOKUPS_A_PIPE;
use crate::deadline::{Deadline, now};
use crate::event::What;
use crate::fifo::{Identity, Standing, look, name_of};
use crate::process::Process;

/// The most that wait at all pipes of a process: more than can have opened them between two replacements on any machine.
const WAITING_MAX: usize = 4096;

const TOO_MANY: &str = "too many wait for pipes that others have";
const TOO_LONG: &str = "it has waited for longer than --queue-timeout";

/// Those who wait for a pipe that was the well-known one, behind the client that has it.
#[derive(Debug)]
pub struct PipeQueue {
    waiting: RefCell<VecDeque<Waiting>>,
    /// Whether a course client's name has ever come through the pipe.
    in_course: Cell<bool>,
    /// Names that may still be looked up for what is read in one go.
    pub(super) lookups: Cell<usize>,
}

impl Default for PipeQueue {
    fn default() -> Self {
        let (waiting, in_course) = (RefCell::default(), Cell::default());
        Self { waiting, in_course, lookups: Cell::new(LOOKUPS_A_PIPE) }
    }
}

/// A client whose name has come, and which is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) name: Introduction,
    pub(super) since: Duration,
    /// Which file its private pipe was, where one stood.
    stood: Option<Identity>,
    ticket: u64,
}

/// All who wait at pipes of a process.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// By its private pipe, where a client waits.
    places: RefCell<HashMap<PathBuf, Place>>,
    /// The queues that somebody waits in, or has.
    queues: RefCell<Vec<Weak<PipeQueue>>>,
    last_ticket: Cell<u64>,
    /// How long a client may wait; 0 is for ever.
    pub(super) timeout: Cell<Duration>,
}

#[derive(Debug)]
struct Place {
    queue: Weak<PipeQueue>,
    stood: Option<Identity>,
    /// What stands in the queue under another number is no client's any more.
    ticket: u64,
}

impl Queues {
    /// A child has none but those that it [adopts](Queues::adopt).
    pub(crate) fn forget_all(&self) {
        self.places.borrow_mut().clear();
        self.queues.borrow_mut().clear();
    }

    /// Who waits there is this process's to serve.
    pub(crate) fn adopt(&self, queue: &Rc<PipeQueue>) {
        for Waiting { name, stood, ticket, .. } in &*queue.waiting.borrow() {
            let place = Place { queue: Rc::downgrade(queue), stood: *stood, ticket: *ticket };
            self.places.borrow_mut().insert(name.private.clone(), place);
        }
        let mut queues = self.queues.borrow_mut();
        queues.retain(|other| {
            other.upgrade().is_some_and(|other| !Rc::ptr_eq(&other, queue) && !other.is_empty())
        });
        queues.push(Rc::downgrade(queue));
    }

    /// Nobody of this name waits any more.
    pub(crate) fn forget(&self, private: &Path) {
        self.places.borrow_mut().remove(private);
    }

    /// Takes out a client that is still meant.
    fn take(&self, waiting: &Waiting) -> bool {
        let mut places = self.places.borrow_mut();
        let is_meant = places.get(&waiting.name.private).is_some_and(|place| place.ticket == waiting.ticket);
        if is_meant {
            places.remove(&waiting.name.private);
        }
        is_meant
    }

    fn all(&self) -> impl Iterator<Item = Rc<PipeQueue>> {
        self.queues.borrow().iter().filter_map(Weak::upgrade).collect::<Vec<_>>().into_iter()
    }
}

impl PipeQueue {
    /// The pipe has, or had, a course client.
    pub(crate) fn is_in_course(&self) {
        self.in_course.set(true);
    }

    pub(super) fn may_bring_names(&self) -> bool {
        self.in_course.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// What is read from here on is looked through as a whole.
    pub(crate) fn begin_read(&self) {
        self.lookups.set(LOOKUPS_A_PIPE);
    }

    /// A client's name came through the pipe that has an owner: it waits for its turn. If it waits already, here or
    /// elsewhere, it keeps its place.
    pub(crate) fn join(self: &Rc<Self>, name: Introduction, process: &Process) {
        self.is_in_course();
        let queues = &process.queues;
        let stood = name.identity();
        let waits = |place: &Place| place.queue.strong_count() > 0 && place.stood == stood;
        if queues.places.borrow().get(&name.private).is_some_and(waits) {
            return;
        }
        let waiting = self.waiting.borrow().len().max(queues.places.borrow().len());
        if waiting >= WAITING_MAX {
            return process.send_away(name.private, TOO_MANY);
        }
        process.forgive(&name.private);
        process.saw(What::Queued, |event| event.pipe(name_of(&name.private)));
        let ticket = queues.last_ticket.get() + 1;
        queues.last_ticket.set(ticket);
        let place = Place { queue: Rc::downgrade(self), stood, ticket };
        queues.places.borrow_mut().insert(name.private.clone(), place);
        if self.is_empty() {
            queues.adopt(self);
        }
        self.waiting.borrow_mut().push_back(Waiting { name, since: now(), stood, ticket });
    }

    /// The next one that is still there.
    pub(super) fn next(&self, process: &Process) -> Option<Waiting> {
        loop {
            let next = self.pop(process)?;
            // One that had no pipe yet when its name came may have one now.
            if next.stood.is_none() || next.name.identity() == next.stood {
                return Some(next);
            }
            process.saw(What::ClientDropped, |event| {
                event.pipe(name_of(&next.name.private)).text("it left before its turn came")
            });
        }
    }

    fn pop(&self, process: &Process) -> Option<Waiting> {
        loop {
            let next = self.waiting.borrow_mut().pop_front()?;
            if process.queues.take(&next) {
                return Some(next);
            }
        }
    }

    /// Leaves all who wait to another process; returns their private pipes.
    pub(crate) fn leave(&self, process: &Process) -> Vec<PathBuf> {
        std::iter::from_fn(|| self.pop(process)).map(|waiting| waiting.name.private).collect()
    }

    /// Sends everybody away: nobody serves this pipe any longer.
    pub(crate) fn turn_away_all(&self, process: &Process, reason: &str) {
        for private in self.leave(process) {
            process.send_away(private, reason);
        }
    }

    /// Sends away who has waited for longer than `patience`; returns when the next one will have.
    fn expire(&self, patience: Duration, process: &Process) -> Deadline {
        loop {
            let first = self.waiting.borrow().front().map(|waiting| Deadline::at(waiting.since + patience));
            match first {
                None => return Deadline::NEVER,
                Some(until) if !until.passed() => return until,
                Some(_) => {
                    let first = self.waiting.borrow_mut().pop_front();
                    if let Some(first) = first.filter(|first| process.queues.take(first)) {
                        process.send_away(first.name.private, TOO_LONG);
                    }
                }
            }
        }
    }
}

impl Introduction {
    /// Which file the private pipe is, where one stands.
    fn identity(&self) -> Option<Identity> {
        match look(&self.private) {
            Ok(Standing::Fifo(identity)) => Some(identity),
            _ => None,
        }
    }
}

impl Process {
    /// Sends away those who wait for too long, or in vain, since this process was asked to end; returns when to do that
    /// again.
    pub(super) fn look_after_queues(&self) -> Deadline {
        let patience = self.queues.timeout.get();
        if self.asked_to_end().is_some() {
            self.queues.all().for_each(|queue| queue.turn_away_all(self, "the server is shutting down"));
        } else if !patience.is_zero() {
            let expire = |queue: Rc<PipeQueue>| queue.expire(patience, self);
            return self.queues.all().map(expire).fold(Deadline::NEVER, Deadline::or);
        }
        Deadline::NEVER
    }
}
