//! Course clients that share one pipe, and are served one after the other.
//!
//! Their protocol has no other pipe than the well-known one that they have opened. A client that has written
//! its name there waits in open(2) of its private pipe, and writes nothing more until it is acknowledged
//! (fifo(7)). If the pipe belongs to another client already, the two do not disturb each other. The second
//! client waits for its turn, as it would at a basic server.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::names::NamedClient;
use crate::budget::LOOKUPS_A_PIPE;
use crate::deadline::{Deadline, now};
use crate::fifo::{Identity, Standing, look};

/// The most clients in all queues of a process: more than can have opened the pipes between two replacements.
const WAITING_MAX: usize = 4096;

/// The clients that wait for a pipe that was the well-known one, behind the client that has it.
#[derive(Debug)]
pub struct PipeQueue {
    waiting: RefCell<VecDeque<Waiting>>,
    /// Whether a course client's name has ever come through the pipe.
    pub(super) in_course: Cell<bool>,
    /// Names that may still be looked up in one batch of reads.
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
pub(crate) struct Waiting {
    pub(crate) name: NamedClient,
    /// When its name came.
    pub(crate) since: Duration,
    /// The identity of its private pipe at that time, if the pipe existed.
    stood: Option<Identity>,
    ticket: u64,
}

impl Waiting {
    /// Returns whether its private pipe is still the original one. A client without a pipe at that time may
    /// have made it since.
    pub(crate) fn is_still_there(&self) -> bool {
        self.stood.is_none() || identity_of(&self.name.private) == self.stood
    }
}

/// The clients that wait in the queues of a process, and where.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// By private pipe.
    positions: RefCell<HashMap<PathBuf, Position>>,
    /// The queues that have clients, or are about to have some.
    queues: RefCell<Vec<Weak<PipeQueue>>>,
    last_ticket: Cell<u64>,
}

#[derive(Debug)]
struct Position {
    queue: Weak<PipeQueue>,
    stood: Option<Identity>,
    /// An entry of the queue with another ticket is invalid.
    ticket: u64,
}

impl Queues {
    /// Adds the client to the queue. Returns whether it is new: a client that waits already, here or
    /// elsewhere, keeps its turn.
    ///
    /// # Errors
    /// The client, if too many wait.
    pub(crate) fn join(&self, queue: &Rc<PipeQueue>, name: NamedClient) -> Result<bool, NamedClient> {
        queue.mark_in_course();
        let stood = identity_of(&name.private);
        let waits = |position: &Position| position.queue.strong_count() > 0 && position.stood == stood;
        if self.positions.borrow().get(&name.private).is_some_and(waits) {
            return Ok(false);
        }
        if queue.waiting.borrow().len().max(self.positions.borrow().len()) >= WAITING_MAX {
            return Err(name);
        }
        let ticket = self.last_ticket.get() + 1;
        self.last_ticket.set(ticket);
        let position = Position { queue: Rc::downgrade(queue), stood, ticket };
        self.positions.borrow_mut().insert(name.private.clone(), position);
        if queue.is_empty() {
            self.adopt(queue);
        }
        queue.waiting.borrow_mut().push_back(Waiting { name, since: now(), stood, ticket });
        Ok(true)
    }

    /// Makes this process responsible for the clients of the queue.
    pub(crate) fn adopt(&self, queue: &Rc<PipeQueue>) {
        for Waiting { name, stood, ticket, .. } in &*queue.waiting.borrow() {
            let position = Position { queue: Rc::downgrade(queue), stood: *stood, ticket: *ticket };
            self.positions.borrow_mut().insert(name.private.clone(), position);
        }
        let mut queues = self.queues.borrow_mut();
        queues.retain(|other| {
            other.upgrade().is_some_and(|other| !Rc::ptr_eq(&other, queue) && !other.is_empty())
        });
        queues.push(Rc::downgrade(queue));
    }

    /// Forgets the client at this private pipe: it no longer waits.
    pub(crate) fn forget(&self, private: &Path) {
        self.positions.borrow_mut().remove(private);
    }

    /// Forgets all queues, in a subserver just forked. It serves only those that it [adopts](Queues::adopt).
    pub(crate) fn forget_all(&self) {
        self.positions.borrow_mut().clear();
        self.queues.borrow_mut().clear();
    }

    /// Returns all queues of this process.
    pub(crate) fn all(&self) -> impl Iterator<Item = Rc<PipeQueue>> {
        self.queues.borrow().iter().filter_map(Weak::upgrade).collect::<Vec<_>>().into_iter()
    }

    /// Removes a client that was taken out of a queue. Returns whether its entry was valid.
    fn remove(&self, waiting: &Waiting) -> bool {
        let mut positions = self.positions.borrow_mut();
        let is_valid =
            positions.get(&waiting.name.private).is_some_and(|position| position.ticket == waiting.ticket);
        if is_valid {
            positions.remove(&waiting.name.private);
        }
        is_valid
    }
}

impl PipeQueue {
    /// Notes that the pipe has, or had, a course client.
    pub(crate) fn mark_in_course(&self) {
        self.in_course.set(true);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Begins a batch of reads, which has one budget of look-ups.
    pub(crate) fn begin_batch(&self) {
        self.lookups.set(LOOKUPS_A_PIPE);
    }

    /// Takes the first client out.
    pub(crate) fn pop(&self, queues: &Queues) -> Option<Waiting> {
        loop {
            let next = self.waiting.borrow_mut().pop_front()?;
            if queues.remove(&next) {
                return Some(next);
            }
        }
    }

    /// Takes the first client out if it has waited for longer than `timeout`, and returns its private pipe.
    pub(crate) fn pop_expired(&self, timeout: Duration, queues: &Queues) -> Option<PathBuf> {
        loop {
            self.expires(timeout).passed().then_some(())?;
            let first = self.waiting.borrow_mut().pop_front()?;
            if queues.remove(&first) {
                return Some(first.name.private);
            }
        }
    }

    /// Returns when the first client will have waited for longer than `timeout`.
    pub(crate) fn expires(&self, timeout: Duration) -> Deadline {
        let waiting = self.waiting.borrow();
        waiting.front().map_or(Deadline::NEVER, |first| Deadline::at(first.since.saturating_add(timeout)))
    }

    /// Takes all clients out, and returns their private pipes.
    pub(crate) fn leave(&self, queues: &Queues) -> Vec<PathBuf> {
        std::iter::from_fn(|| self.pop(queues)).map(|waiting| waiting.name.private).collect()
    }
}

/// Returns the identity of a private pipe, if the pipe exists.
fn identity_of(private: &Path) -> Option<Identity> {
    match look(private) {
        Ok(Standing::Fifo(identity)) => Some(identity),
        _ => None,
    }
}
