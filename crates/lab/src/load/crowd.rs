//! The loop: one process, one poller, one heap of timers, any number of connections.

use std::io::stdin;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::{Process, Woken};
use handshake_core::sys::Poller;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::EpollEvent;
use nix::unistd::read;

use super::tally::Tally;
use super::timers::Timers;
use super::worker::{Cause, Worker};
use super::{Plan, print};

/// So much is taken in one turn: no more, so that answers that have come are not kept waiting by beginners.
const TURN: usize = 64;

/// Waits shorter than this are made by ppoll(2): epoll_wait(2) counts in milliseconds, and a client that seeks a server
/// tries again after 50 microseconds.
const SHORT: Duration = Duration::from_millis(25);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) process: Rc<Process>,
    pub(super) plan: Plan,
    pub(super) poller: Poller,
    pub(super) tally: Tally,
    /// Room for a request, or for what its reply must be.
    pub(super) message: Vec<u8>,
    /// Room for a reply.
    pub(super) reply: Vec<u8>,
}

/// All connections.
pub(super) struct Crowd {
    shared: Shared,
    workers: Vec<Worker>,
    timers: Timers,
    events: Vec<EpollEvent>,
    /// Workers that are not over.
    busy: usize,
}

impl Crowd {
    /// A crowd in which everybody begins at once.
    ///
    /// # Errors
    /// No descriptor for the poller.
    pub(super) fn new(process: &Rc<Process>, plan: Plan) -> Result<Self> {
        let count = plan.connections;
        let mut timers = Timers::new(count);
        let at_once = Deadline::in_exactly(Duration::ZERO);
        (0..count).for_each(|worker| timers.set(worker, at_once));
        Ok(Self {
            workers: (0..count).map(|number| Worker::new(number, &plan)).collect(),
            timers,
            events: vec![EpollEvent::empty(); TURN],
            busy: count,
            shared: Shared {
                process: Rc::clone(process),
                plan,
                poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
                tally: Tally::new(),
                message: Vec::new(),
                reply: Vec::new(),
            },
        })
    }

    /// Runs until everybody is done or has failed; returns what was counted.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(super) fn run(mut self) -> Result<Tally> {
        while self.busy > self.holding() {
            for shown in 0..self.wait()? {
                let (worker, cause) = Cause::of(self.events[shown].data());
                self.go_on(worker, cause)?;
            }
            for _ in 0..TURN {
                let Some(worker) = self.timers.pop() else { break };
                self.go_on(worker, Cause::Time)?;
            }
        }
        if self.shared.plan.hold {
            self.hold()?;
        }
        Ok(self.shared.tally)
    }

    /// How many have all their answers and stay.
    fn holding(&self) -> usize {
        let hold = self.shared.plan.hold;
        if hold { self.workers.iter().filter(|worker| worker.holds(&self.shared.plan)).count() } else { 0 }
    }

    /// Says so, and lets go when stdin ends.
    fn hold(&mut self) -> Result<()> {
        print("holding")?;
        let stdin = stdin();
        loop {
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            let woken = self.shared.process.wait(&mut fds, Deadline::NEVER)?;
            if matches!(woken, Woken::Ready(_)) && !read(&stdin, &mut [0; 16]).is_ok_and(|count| count > 0) {
                break;
            }
        }
        self.workers.iter_mut().for_each(|worker| worker.let_go(&mut self.shared));
        Ok(())
    }

    /// Waits until something is shown or a timer is due; returns how many of the events were filled in.
    fn wait(&mut self) -> Result<usize> {
        let Shared { process, poller, .. } = &self.shared;
        let mut until = self.timers.next();
        if until.left().is_some_and(|left| !left.is_zero() && left < SHORT) {
            process.wait(&mut [PollFd::new(poller.as_fd(), PollFlags::POLLIN)], until)?;
            until = Deadline::in_exactly(Duration::ZERO);
        }
        match process.wait_for_many(poller, &mut self.events, until)? {
            Woken::Ready(count) => Ok(count),
            Woken::Signal | Woken::Deadline => Ok(0),
        }
    }

    fn go_on(&mut self, worker: usize, cause: Cause) -> Result<()> {
        let worker_of = &mut self.workers[worker];
        if worker_of.is_over() {
            return Ok(());
        }
        worker_of.go_on(cause, &mut self.shared)?;
        self.timers.set(worker, worker_of.until());
        self.busy -= usize::from(worker_of.is_over());
        Ok(())
    }
}
