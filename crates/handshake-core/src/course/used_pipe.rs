//! A pipe that was the well-known one, when its client has left it, or it has brought none.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::unistd::read;

use super::RECORD_MAX;
use super::queue::{PipeQueue, Waiting};
use crate::budget::NAME_WITHIN;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::handshake::caller::Caller;
use crate::place::random;
use crate::process::Process;
use crate::records::READS_MAX;

/// The most pipes that a process keeps open for names that may still come.
pub const USED_MAX: usize = 64;

/// A pipe that others may wait for.
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

/// What reads have found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Perhaps more.
    More,
    /// Nothing now.
    Nothing,
    /// Nobody has it open.
    Closed,
}

impl UsedPipe {
    /// The pipe of a client that has left, or will have.
    pub(crate) fn new(pipe: Rc<OwnedFd>, queue: Rc<PipeQueue>) -> Self {
        Self { pipe, queue, until: None }
    }

    /// A pipe that has brought no client. Whoever has it open may still write a name.
    pub(crate) fn without_client(pipe: &Rc<OwnedFd>) -> Self {
        let queue = Rc::<PipeQueue>::default();
        queue.is_in_course();
        Self::new(Rc::clone(pipe), queue)
    }

    /// The same through another descriptor of it.
    #[must_use]
    pub fn read_through(self, pipe: &Rc<OwnedFd>) -> Self {
        Self { pipe: Rc::clone(pipe), ..self }
    }

    /// Whether anybody waits for it, or may: a course client's name has come through it.
    pub fn may_be_handed_on(&self) -> bool {
        self.queue.may_bring_names()
    }

    pub(crate) fn reading_end(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.pipe)
    }

    /// Who has the pipe next: whoever waits for it first. What its last client has left in it is thrown away, but for
    /// names. If nobody waits, whoever still has it open has a [moment](NAME_WITHIN) to write one.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn next(&mut self, process: &Process) -> Result<Next> {
        if !self.may_be_handed_on() {
            return Ok(Next::Nobody);
        }
        self.queue.begin_read();
        let mut left = self.read(process);
        if process.asked_to_end().is_some() {
            self.queue.turn_away_all(process, "the server is shutting down");
            return Ok(Next::Nobody);
        }
        if !self.queue.is_empty() {
            // It must be empty for the next one. Somebody who goes on writing must not keep us here.
            for _ in 1..READS_MAX {
                if left != Left::More {
                    break;
                }
                left = self.read(process);
            }
            let session = random()?;
            if let Some(Waiting { name, since, .. }) = self.queue.next(process) {
                self.until = None;
                let (pipe, queue) = (Rc::clone(&self.pipe), Rc::clone(&self.queue));
                let mut client = Caller::in_course(session, name, pipe, queue, process);
                client.waits_since = Some(since);
                return Ok(Next::Client(Box::new(client)));
            }
        }
        let until = *self.until.get_or_insert_with(|| Deadline::in_exactly(NAME_WITHIN));
        let is_over = left == Left::Closed || until.passed();
        Ok(if is_over { Next::Nobody } else { Next::Later(until) })
    }

    /// Nobody will have it: sends away all whose names came through it.
    pub fn close(self, process: &Process, reason: &str) {
        self.queue.begin_read();
        for _ in 0..READS_MAX {
            if self.read(process) != Left::More {
                break;
            }
        }
        self.queue.turn_away_all(process, reason);
    }

    fn read(&self, process: &Process) -> Left {
        let mut buffer = vec![0; RECORD_MAX];
        match read(&self.pipe, &mut buffer) {
            Ok(0) => Left::Closed,
            Ok(count) => {
                process.hear_strangers([buffer[..count].into()], None, Some(&self.queue));
                Left::More
            }
            Err(_) => Left::Nothing,
        }
    }
}

impl AsFd for UsedPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
