//! The event loop: lets clients arrive, advances them, kills subservers, and reports once a second.

use std::iter::Peekable;
use std::time::Duration;
use std::vec::IntoIter;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::Result;
use load::many::timers::Timers;
use load::many::watch::{Cause, wait};
use nix::poll::poll;
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probe::proc::{self, Direction};

use super::plan::Plan;
use super::score::Score;
use super::shared::Shared;
use super::virtual_client::VirtualClient;
use crate::server_under_test::ServerUnderTest;

/// The most events and timers of one iteration, so that no client waits for a long row of others.
const BATCH_MAX: usize = 64;

/// The longest iteration of the loop; the loop uses it to notice that the machine is too busy.
const ITERATION_MAX: Duration = Duration::from_millis(100);

/// All clients of one plan.
pub(super) struct Crowd<'a> {
    server: &'a ServerUnderTest,
    shared: &'a mut Shared,
    clients: Vec<VirtualClient>,
    timers: Timers,
    events: Vec<EpollEvent>,
    /// The index of the client that arrives next.
    next: usize,
    /// When subservers are killed, and which.
    kills: Peekable<IntoIter<(Duration, u64)>>,
    /// The clients that are processes and have not ended.
    running: Vec<usize>,
    began: Duration,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(plan: Plan, server: &'a ServerUnderTest, shared: &'a mut Shared) -> Self {
        let visits = plan.visits.into_iter().enumerate();
        let clients: Vec<_> = visits.map(|(number, visit)| VirtualClient::new(number, visit)).collect();
        Self {
            server,
            shared,
            timers: Timers::new(clients.len()),
            clients,
            events: vec![EpollEvent::empty(); BATCH_MAX],
            next: 0,
            kills: plan.kills.into_iter().peekable(),
            running: Vec::new(),
            began: now(),
        }
    }

    /// Carries the plan out for `lasting`, dismisses the clients that are owed nothing, and waits for the
    /// rest. After each second, calls `report`.
    ///
    /// # Errors
    /// [`Error::Signal`], and those of `report`.
    pub(super) fn run(
        mut self,
        lasting: Duration,
        mut report: impl FnMut(u64, &ServerUnderTest, &Score) -> Result<()>,
    ) -> Result<()> {
        let (mut second, mut dismissed) = (0, false);
        self.shared.score.iterations_begin();
        loop {
            let spent = now() - self.began;
            if spent >= Duration::from_secs(second + 1) {
                second += 1;
                report(second, self.server, &self.shared.score)?;
            }
            if !dismissed {
                self.admit(spent)?;
                self.kill_subservers(spent);
                dismissed = spent >= lasting;
                if dismissed {
                    self.dismiss();
                }
            }
            if dismissed && self.shared.score.alive == 0 {
                return Ok(());
            }
            let until = self.began + self.next_deadline(second, lasting);
            self.iterate(Deadline::at(until))?;
            self.shared.score.iteration_ended();
        }
    }

    /// The next moment at which the loop has something to do, measured from its beginning.
    fn next_deadline(&mut self, second: u64, lasting: Duration) -> Duration {
        let soon = now() - self.began + ITERATION_MAX;
        let arrival = self.clients.get(self.next).map(|client| client.visit.at);
        let kill = self.kills.peek().map(|(at, _)| *at);
        let moments = [Some(Duration::from_secs(second + 1)), arrival, kill, Some(lasting)];
        // A moment that has passed was already handled.
        let ahead = moments.into_iter().flatten().filter(|at| *at > soon - ITERATION_MAX);
        ahead.min().unwrap_or(soon).min(soon)
    }

    fn admit(&mut self, spent: Duration) -> Result<()> {
        while let Some(client) = self.clients.get_mut(self.next).filter(|client| client.visit.at <= spent) {
            client.arrive(self.server, self.shared)?;
            self.timers.set(self.next, client.until());
            if client.visit.behaviour.is_process() {
                self.running.push(self.next);
            }
            self.next += 1;
        }
        Ok(())
    }

    fn iterate(&mut self, until: Deadline) -> Result<()> {
        let until = until.or(self.timers.next());
        let shown = wait(&self.shared.process, &self.shared.poller, &mut self.events, until)?;
        for shown in 0..shown {
            let (client, cause) = Cause::of(self.events[shown].data());
            self.advance(client, cause)?;
        }
        for _ in 0..BATCH_MAX {
            let Some(client) = self.timers.pop() else { break };
            self.advance(client, Cause::Timer)?;
        }
        if self.shared.process.child_ended() {
            self.running.iter().for_each(|client| self.clients[*client].reap(self.shared));
            self.running.retain(|client| !self.clients[*client].is_over());
        }
        Ok(())
    }

    fn advance(&mut self, number: usize, cause: Cause) -> Result<()> {
        let client = &mut self.clients[number];
        client.advance(cause, self.shared)?;
        self.timers.set(number, client.until());
        Ok(())
    }

    fn dismiss(&mut self) {
        for (number, client) in self.clients.iter_mut().enumerate().filter(|(_, client)| !client.is_away()) {
            client.dismiss(self.shared);
            self.timers.set(number, client.until());
        }
    }

    /// Kills the subservers whose time has come. Stops each one first, so that its open files no longer
    /// change: they include the private pipe of its client.
    fn kill_subservers(&mut self, spent: Duration) {
        while let Some((_, which)) = self.kills.next_if(|(at, _)| *at <= spent) {
            let living = self.server.snapshot().subservers;
            let Some(subserver) = living.get(which as usize % living.len().max(1)).copied() else { continue };
            if !stop(subserver, self.server.pid()) {
                continue;
            }
            let ends = proc::pipe_ends(subserver).into_iter().filter(|end| end.direction == Direction::Write);
            let (pipes, names): (Vec<_>, Vec<_>) = ends.map(|end| (end.pipe, end.name)).unzip();
            let pids: Vec<u32> = names.into_iter().flatten().filter_map(|name| pid_in_name(&name)).collect();
            let when = now();
            // The subserver is stopped and cannot have ended, so its PID is still valid.
            let _ = kill(Pid::from_raw(subserver.cast_signed()), Signal::SIGKILL);
            self.shared.score.killed += 1;
            self.clients.iter_mut().for_each(|client| client.note_kill(&pipes, &pids, when));
        }
    }
}

/// Stops a subserver of this server; returns whether it is stopped now.
fn stop(subserver: u32, server: u32) -> bool {
    // The PID was read a moment ago, and the kernel reuses PIDs only after all others.
    if kill(Pid::from_raw(subserver.cast_signed()), Signal::SIGSTOP).is_err() {
        return false;
    }
    loop {
        match proc::entry(subserver).filter(|process| process.parent == server) {
            Some(process) if process.state == 'T' => return true,
            Some(process) if process.state != 'Z' => drop(poll(&mut [], 1u8)),
            _ => return false,
        }
    }
}

/// The PID in a private pipe's name: `mario.client.PID.RANDOM`.
fn pid_in_name(name: &str) -> Option<u32> {
    name.split_once(".client.")?.1.split('.').next()?.parse().ok()
}
