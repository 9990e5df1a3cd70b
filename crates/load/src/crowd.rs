//! The event loop: one process, one poller, one heap of timers, any number of connections.

use std::io::{self, stdin};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use handshake_cli::Status;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use handshake_core::sys::Poller;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::SigSet;
use nix::unistd::read;

use super::Plan;
use super::shared::Shared;
use super::tally::Tally;
use super::transport::Transport;
use super::worker::Worker;
use crate::many::timers::Timers;
use crate::many::watch::{Cause, cannot_watch, wait};

/// The most events and timers of one iteration: new connections must not delay answers that have arrived.
const BATCH_MAX: usize = 64;

/// All connections.
pub struct Crowd<T: Transport> {
    to: T,
    shared: Shared,
    workers: Vec<Worker<T>>,
    timers: Timers,
    events: Vec<EpollEvent>,
    /// How many workers are not settled.
    busy: usize,
}

impl<T: Transport> Crowd<T> {
    /// A crowd whose connections all begin at once.
    ///
    /// # Errors
    /// No file descriptor is left for the poller.
    pub(crate) fn new(to: T, process: Option<Rc<Process>>, plan: Plan) -> Result<Self> {
        let count = plan.asked.connections;
        let mut timers = Timers::new(count);
        let at_once = Deadline::in_exactly(Duration::ZERO);
        (0..count).for_each(|worker| timers.set(worker, at_once));
        Ok(Self {
            workers: (0..count).map(|number| Worker::new(number, &plan)).collect(),
            timers,
            events: vec![EpollEvent::empty(); BATCH_MAX],
            busy: count,
            shared: Shared {
                process,
                is_watched: to.is_watched(),
                plan,
                poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
                tally: Tally::default(),
                message: Vec::new(),
                out: Vec::new(),
                room: Vec::new(),
            },
            to,
        })
    }

    /// Runs until every connection is done or has failed; returns the counts.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(crate) fn run(&mut self) -> Result<&Tally> {
        while self.busy > 0 {
            if !self.shared.is_watched {
                self.advance(0, Cause::Readable)?;
                continue;
            }
            for shown in 0..self.wait()? {
                let (worker, cause) = Cause::of(self.events[shown].data());
                self.advance(worker, cause)?;
            }
            for _ in 0..BATCH_MAX {
                let Some(worker) = self.timers.pop() else { break };
                self.advance(worker, Cause::Timer)?;
            }
        }
        Ok(&self.shared.tally)
    }

    /// Waits until an event occurs or a timer is due; returns how many of the events were filled in.
    fn wait(&mut self) -> Result<usize> {
        let (Shared { process, poller, .. }, events) = (&self.shared, &mut self.events);
        match process {
            Some(process) => wait(process, poller, events, self.timers.next()),
            None => poller
                .wait(events, self.timers.next().milliseconds(), Some(&SigSet::empty()))
                .map_err(cannot_watch),
        }
    }

    /// With `--hold`, keeps the connections open until the end of stdin. Returns the exit status.
    ///
    /// # Errors
    /// [`Error::Signal`]. Stdin cannot be read.
    pub fn finish(mut self) -> Result<Status> {
        let status = self.shared.tally.status();
        if self.shared.plan.asked.hold {
            match &self.shared.process {
                Some(process) => await_end_of_stdin(process)?,
                None => drop(io::copy(&mut stdin(), &mut io::sink())),
            }
            self.workers.iter_mut().for_each(|worker| worker.leave(&mut self.shared));
        }
        Ok(status)
    }

    fn advance(&mut self, worker: usize, cause: Cause) -> Result<()> {
        let state = &mut self.workers[worker];
        if state.is_settled(&self.shared.plan) {
            return Ok(());
        }
        state.advance(cause, &self.to, &mut self.shared)?;
        self.timers.set(worker, state.until());
        self.busy -= usize::from(state.is_settled(&self.shared.plan));
        Ok(())
    }
}

fn await_end_of_stdin(process: &Process) -> Result<()> {
    loop {
        process.wait(&mut [PollFd::new(stdin().as_fd(), PollFlags::POLLIN)], Deadline::NEVER)?;
        match read(stdin(), &mut [0; 4096]) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(Error::on("read", "stdin", errno)),
        }
    }
}
