//! The event loop: one process, one poller, one heap of timers, any number of connections.

use std::rc::Rc;
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use handshake_core::sys::Poller;
use nix::sys::epoll::EpollEvent;

use super::Plan;
use super::shared::Shared;
use super::tally::Tally;
use super::worker::Worker;
use crate::many::timers::Timers;
use crate::many::watch::{Cause, wait};

/// The most events and timers of one iteration: new connections must not delay answers that have arrived.
const BATCH_MAX: usize = 64;

/// All connections.
pub(crate) struct Crowd {
    shared: Shared,
    workers: Vec<Worker>,
    timers: Timers,
    events: Vec<EpollEvent>,
    /// How many workers are not settled.
    busy: usize,
}

impl Crowd {
    /// A crowd whose connections all begin at once.
    ///
    /// # Errors
    /// No file descriptor is left for the poller.
    pub(crate) fn new(process: &Rc<Process>, plan: Plan) -> Result<Self> {
        let count = plan.connections;
        let mut timers = Timers::new(count);
        let at_once = Deadline::in_exactly(Duration::ZERO);
        (0..count).for_each(|worker| timers.set(worker, at_once));
        Ok(Self {
            workers: (0..count).map(|number| Worker::new(number, &plan)).collect(),
            timers,
            events: vec![EpollEvent::empty(); BATCH_MAX],
            busy: count,
            shared: Shared {
                process: Rc::clone(process),
                plan,
                poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
                tally: Tally::default(),
                message: Vec::new(),
                reply: Vec::new(),
            },
        })
    }

    /// Runs until every connection is done or has failed; returns the counts.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub(crate) fn run(&mut self) -> Result<&Tally> {
        while self.busy > 0 {
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

    /// Closes the connections that `--hold` kept open.
    pub(crate) fn leave(mut self) {
        self.workers.iter_mut().for_each(|worker| worker.leave(&mut self.shared));
    }

    /// Waits until an event occurs or a timer is due; returns how many of the events were filled in.
    fn wait(&mut self) -> Result<usize> {
        let Shared { process, poller, .. } = &self.shared;
        wait(process, poller, &mut self.events, self.timers.next())
    }

    fn advance(&mut self, worker: usize, cause: Cause) -> Result<()> {
        let state = &mut self.workers[worker];
        if state.is_settled(&self.shared.plan) {
            return Ok(());
        }
        state.advance(cause, &mut self.shared)?;
        self.timers.set(worker, state.until());
        self.busy -= usize::from(state.is_settled(&self.shared.plan));
        Ok(())
    }
}
