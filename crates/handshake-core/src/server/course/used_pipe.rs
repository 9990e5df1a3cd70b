//! A used pipe: it was the well-known one, and is kept for course clients that may come after its client.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::foreign::ForeignNames;
use super::queue::{PipeQueue, Waiting};
use crate::budget::NAME_WITHIN;
use crate::deadline::Deadline;
use crate::error::SHUTTING_DOWN;
use crate::io::{Filled, read_once};
use crate::server::site::Site;
use crate::stream::{READS_MAX, new_buffer};

/// The most pipes that a process keeps open for names that may still come.
pub const USED_MAX: usize = 64;

/// A pipe for which other course clients may wait.
#[derive(Debug)]
pub struct UsedPipe {
    pub(crate) pipe: Rc<OwnedFd>,
    pub(crate) queue: Rc<PipeQueue>,
    /// Until when a process that has it open may write a name.
    until: Option<Deadline>,
}

/// The next state of a pipe whose client has left.
#[derive(Debug)]
pub(crate) enum Next {
    /// This client has it now.
    Client(Box<Waiting>),
    /// A process has it open, and may write a name until then.
    Later(Deadline),
    /// No process uses it, or it cannot be read; the server closes it.
    Unused,
}

impl UsedPipe {
    /// Makes the used pipe of a client that has left, or will leave.
    pub(crate) fn new(pipe: Rc<OwnedFd>, queue: Rc<PipeQueue>) -> Self {
        Self { pipe, queue, until: None }
    }

    /// Makes a used pipe that has brought no client. A process that has it open may still write a name.
    pub(crate) fn without_client(pipe: &Rc<OwnedFd>) -> Self {
        let queue = Rc::<PipeQueue>::default();
        queue.mark_in_course();
        Self::new(Rc::clone(pipe), queue)
    }

    /// Replaces the file descriptor through which the pipe is read.
    #[must_use]
    pub fn read_through(self, pipe: &Rc<OwnedFd>) -> Self {
        Self { pipe: Rc::clone(pipe), ..self }
    }

    /// Returns whether a client waits for it, or may come to wait: a course client's name has come through
    /// it.
    pub fn may_be_handed_on(&self) -> bool {
        self.queue.in_course.get()
    }

    /// Returns the next client of the pipe: the first that waits for it. Discards the bytes that the last
    /// client has left in the pipe, except names. If no client waits, a process that has the pipe open has a
    /// [moment](NAME_WITHIN) to write a name.
    pub(crate) fn next(&mut self, site: &Rc<Site>) -> Next {
        if !self.may_be_handed_on() {
            return Next::Unused;
        }
        self.queue.begin_batch();
        let mut filled = self.read(site);
        if site.process.asked_to_end().is_some() {
            site.turn_away_all(&self.queue, SHUTTING_DOWN);
            return Next::Unused;
        }
        if !self.queue.is_empty() {
            // The pipe must be empty for the next client. The number of reads is bounded, since a process may
            // go on writing.
            for _ in 1..READS_MAX {
                if !matches!(filled, Filled::Bytes(_)) {
                    break;
                }
                filled = self.read(site);
            }
            if let Some(next) = site.next_in(&self.queue) {
                self.until = None;
                return Next::Client(Box::new(next));
            }
        }
        let until = *self.until.get_or_insert_with(|| Deadline::in_exactly(NAME_WITHIN));
        if filled == Filled::End || until.passed() { Next::Unused } else { Next::Later(until) }
    }

    /// Closes the pipe, and turns away all clients whose names came through it.
    pub fn close(self, site: &Rc<Site>, reason: &str) {
        self.queue.begin_batch();
        for _ in 0..READS_MAX {
            if !matches!(self.read(site), Filled::Bytes(_)) {
                break;
            }
        }
        site.turn_away_all(&self.queue, reason);
    }

    fn read(&self, site: &Rc<Site>) -> Filled {
        let mut buffer = site.buffer.borrow_mut();
        if buffer.is_empty() {
            *buffer = new_buffer();
        }
        // A pipe that cannot be read brings no name, and waiting for one would be a busy loop.
        let filled = read_once(&self.pipe, &mut buffer).unwrap_or(Filled::End);
        if let Filled::Bytes(count) = filled {
            ForeignNames::of_pipe(site, Some(&self.queue)).find([&buffer[..count]], None);
        }
        filled
    }
}

impl AsFd for UsedPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
