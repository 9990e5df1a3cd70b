//! Course clients that share one pipe, and are served one after the other.
//!
//! Their protocol knows no other pipe than the well-known one that they have opened. A client that has written its name there
//! waits in open(2) of its private pipe, and writes nothing more until it is acknowledged (fifo(7)). So those whose names come
//! through a pipe that a client has already do not disturb it: each waits for its turn there, as it would at a basic
//! server.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::unistd::read;

use super::RECORD_MAX;
use super::names::Introduction;
use crate::deadline::{Deadline, now};
use crate::error::Result;
use crate::event::What;
use crate::fifo::{Identity, Standing, look, name_of};
use crate::handshake::caller::Caller;
use crate::place::random;
use crate::process::Process;
use crate::records::READS_MAX;

/// The most that wait at one pipe: more than can have opened it between two replacements on any machine.
const QUEUE_MAX: usize = 4096;

/// The most pipes that a process keeps open for names that may still come.
pub const USED_MAX: usize = 64;

const QUEUE_FULL: &str = "too many wait for the pipe that its name came through";

/// Those who wait for a pipe that was the well-known one, behind the client that has it.
#[derive(Debug, Default)]
pub struct PipeQueue {
    waiting: RefCell<VecDeque<Waiting>>,
    /// Whether a course client's name has ever come through the pipe.
    in_course: Cell<bool>,
}

/// A client whose name has come, and which is not acknowledged yet.
#[derive(Debug)]
struct Waiting {
    name: Introduction,
    /// Which file its private pipe was, where one stood.
    stood: Option<Identity>,
    since: Duration,
}

impl PipeQueue {
    /// The pipe has a course client.
    pub(crate) fn is_in_course(&self) {
        self.in_course.set(true);
    }

    /// A client's name came through the pipe that has an owner: it waits for its turn.
    pub(crate) fn join(self: &Rc<Self>, name: Introduction, process: &Process) {
        self.is_in_course();
        process.looks_after(self);
        // Whoever has this name now is meant, wherever one of that name waited before.
        process.forgive(&name.private);
        if self.waiting.borrow().len() == QUEUE_MAX {
            return process.send_away(name.private, QUEUE_FULL);
        }
        process.saw(What::Queued, |event| event.pipe(name_of(&name.private)));
        let stood = identity_of(&name);
        self.waiting.borrow_mut().push_back(Waiting { name, stood, since: now() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// The next one, who gets `pipe` as its upstream. Those who have gone meanwhile are passed over.
    fn next(self: &Rc<Self>, pipe: &Rc<OwnedFd>, process: &Process) -> Result<Option<Caller>> {
        let session = random()?;
        while let Some(Waiting { name, stood, since }) = self.pop() {
            if identity_of(&name) != stood {
                process.saw(What::ClientDropped, |event| {
                    event.pipe(name_of(&name.private)).text("it left before its turn came")
                });
                continue;
            }
            let mut caller = Caller::in_course(session, name, Rc::clone(pipe), Rc::clone(self), process);
            caller.waits_since = Some(since);
            return Ok(Some(caller));
        }
        Ok(None)
    }

    fn pop(&self) -> Option<Waiting> {
        self.waiting.borrow_mut().pop_front()
    }

    /// Takes out whoever has this private pipe's name.
    pub(crate) fn forget(&self, private: &Path) {
        self.waiting.borrow_mut().retain(|waiting| waiting.name.private != private);
    }

    /// Sends away who has waited for longer than `patience`; returns when the next one will have.
    pub(crate) fn expire(&self, patience: Duration, send_away: impl Fn(Introduction)) -> Deadline {
        loop {
            let first = self.waiting.borrow().front().map(|waiting| Deadline::at(waiting.since + patience));
            match first {
                None => return Deadline::NEVER,
                Some(until) if !until.passed() => return until,
                Some(_) => self.pop().into_iter().for_each(|waiting| send_away(waiting.name)),
            }
        }
    }

    /// Sends everybody away: nobody serves this pipe any longer.
    pub(crate) fn turn_away_all(&self, process: &Process, reason: &str) {
        while let Some(waiting) = self.pop() {
            process.send_away(waiting.name.private, reason);
        }
    }
}

fn identity_of(name: &Introduction) -> Option<Identity> {
    match look(&name.private) {
        Ok(Standing::Fifo(identity)) => Some(identity),
        _ => None,
    }
}

/// A pipe that was the well-known one and then a client's upstream, when its client has left.
#[derive(Debug)]
pub struct UsedPipe {
    pipe: Rc<OwnedFd>,
    queue: Rc<PipeQueue>,
    /// Until when somebody may write a name who has it open.
    until: Option<Deadline>,
}

/// What becomes of a pipe whose client has left.
#[derive(Debug)]
pub enum Next {
    /// This client has it now.
    Client(Box<Caller>),
    /// Somebody has it open, and may write a name until then.
    Later(Deadline),
    /// Nobody uses it: it is to be closed.
    Nobody,
}

impl UsedPipe {
    pub(crate) fn new(pipe: Rc<OwnedFd>, queue: Rc<PipeQueue>) -> Self {
        Self { pipe, queue, until: None }
    }

    /// The same through another descriptor of it.
    #[must_use]
    pub fn read_through(self, pipe: &Rc<OwnedFd>) -> Self {
        Self { pipe: Rc::clone(pipe), ..self }
    }

    /// Whether anybody waits for it, or may: a course client's name has come through it.
    pub fn may_be_handed_on(&self) -> bool {
        self.queue.in_course.get()
    }

    pub(crate) fn reading_end(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.pipe)
    }

    /// Who has the pipe next: whoever waits for it first. What its last client has left in it is thrown away, but for
    /// names. If nobody waits, whoever still has it open has `patience` to write a name (0: for ever).
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn next(&mut self, process: &Process, patience: Duration) -> Result<Next> {
        if !self.queue.in_course.get() {
            return Ok(Next::Nobody);
        }
        let is_open = self.read_names(process);
        if process.asked_to_end().is_some() {
            self.queue.turn_away_all(process, "the server is shutting down");
            return Ok(Next::Nobody);
        }
        if let Some(client) = self.queue.next(&self.pipe, process)? {
            self.until = None;
            return Ok(Next::Client(Box::new(client)));
        }
        let until = *self.until.get_or_insert_with(|| Deadline::after(patience));
        Ok(if is_open && !until.passed() { Next::Later(until) } else { Next::Nobody })
    }

    /// Returns whether somebody has the pipe open.
    fn read_names(&self, process: &Process) -> bool {
        let mut buffer = vec![0; RECORD_MAX];
        for _ in 0..READS_MAX {
            match read(&self.pipe, &mut buffer) {
                Ok(0) => return false,
                Ok(count) => drop(process.hear_strangers([&buffer[..count]], None, Some(&self.queue))),
                Err(_) => break,
            }
        }
        true
    }
}

impl AsFd for UsedPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
