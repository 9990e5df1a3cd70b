//! The loop: who comes, who goes on, whose subserver is killed, and a line every second.

use std::rc::Rc;
use std::time::Duration;

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::{Error, Result};
use handshake_core::place::Place;
use handshake_core::process::Process;
use handshake_core::sys::Poller;
use load::many::timers::Timers;
use load::many::watch::{Cause, wait};
use nix::poll::poll;
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probe::proc::{self, Way};

use super::guest::Guest;
use super::plan::Plan;
use super::score::Score;
use crate::house::House;

/// So much is taken in one turn, so that nobody waits for a long row of others.
const TURN: usize = 64;

/// The loop turns at least so often: by that it knows when the machine has no time for it.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// What all clients share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) process: Rc<Process>,
    pub(super) place: Place,
    pub(super) poller: Poller,
    pub(super) score: Score,
    /// Room for a request, or for what its reply must be.
    pub(super) message: Vec<u8>,
    /// Room for a reply.
    pub(super) reply: Vec<u8>,
}

impl Shared {
    /// Of a crowd that nobody has come to.
    ///
    /// # Errors
    /// No descriptor for the poller.
    pub(super) fn new(process: &Rc<Process>, house: &House) -> Result<Self> {
        Ok(Self {
            process: Rc::clone(process),
            place: house.place.clone(),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            score: Score::default(),
            message: Vec::new(),
            reply: Vec::new(),
        })
    }
}

/// Everybody who comes and goes while one plan is carried out.
pub(super) struct Crowd<'a> {
    house: &'a House,
    shared: &'a mut Shared,
    guests: Vec<Guest>,
    timers: Timers,
    events: Vec<EpollEvent>,
    /// Who comes next; who has come before, and which of these are processes that may end.
    next: usize,
    kills: std::vec::IntoIter<(Duration, u64)>,
    kill: Option<(Duration, u64)>,
    running: Vec<usize>,
    began: Duration,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(plan: Plan, house: &'a House, shared: &'a mut Shared) -> Self {
        let guests: Vec<Guest> =
            plan.visits.into_iter().enumerate().map(|(number, visit)| Guest::new(number, visit)).collect();
        let mut kills = plan.kills.into_iter();
        Self {
            house,
            shared,
            timers: Timers::new(guests.len()),
            guests,
            events: vec![EpollEvent::empty(); TURN],
            next: 0,
            kill: kills.next(),
            kills,
            running: Vec::new(),
            began: now(),
        }
    }

    /// Carries the plan out for so long, dismisses those who are owed nothing, and waits for the rest. After each second,
    /// `tells` of it.
    ///
    /// # Errors
    /// [`Error::Signal`], and those of `tells`.
    pub(super) fn run(
        mut self,
        lasting: Duration,
        mut tells: impl FnMut(u64, &House, &Score) -> Result<()>,
    ) -> Result<()> {
        let (mut second, mut dismissed) = (0, false);
        self.shared.score.begins();
        loop {
            let spent = now() - self.began;
            if spent >= Duration::from_secs(second + 1) {
                second += 1;
                tells(second, self.house, &self.shared.score)?;
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
            self.turn(Deadline::at(self.began + self.next_moment(second, lasting)))?;
            self.shared.score.turned();
        }
    }

    /// When the loop has something to do by itself, from the beginning.
    fn next_moment(&self, second: u64, lasting: Duration) -> Duration {
        let soon = now() - self.began + LONGEST_WAIT;
        let comes = self.guests.get(self.next).map(|guest| guest.visit.at);
        let moments =
            [Some(Duration::from_secs(second + 1)), comes, self.kill.map(|(at, _)| at), Some(lasting)];
        // A moment that has passed has been seen to.
        let ahead = moments.into_iter().flatten().filter(|at| *at > soon - LONGEST_WAIT);
        ahead.min().unwrap_or(soon).min(soon)
    }

    fn admit(&mut self, spent: Duration) -> Result<()> {
        while let Some(guest) = self.guests.get_mut(self.next).filter(|guest| guest.visit.at <= spent) {
            guest.come(self.house, self.shared)?;
            self.timers.set(self.next, guest.until());
            if guest.visit.temper.is_process() {
                self.running.push(self.next);
            }
            self.next += 1;
        }
        Ok(())
    }

    fn turn(&mut self, until: Deadline) -> Result<()> {
        let until = until.or(self.timers.next());
        let shown = wait(&self.shared.process, &self.shared.poller, &mut self.events, until)?;
        for shown in 0..shown {
            let (guest, cause) = Cause::of(self.events[shown].data());
            self.go_on(guest, cause)?;
        }
        for _ in 0..TURN {
            let Some(guest) = self.timers.pop() else { break };
            self.go_on(guest, Cause::Time)?;
        }
        if self.shared.process.child_ended() {
            self.running.iter().for_each(|guest| self.guests[*guest].reap(self.shared));
            self.running.retain(|guest| !self.guests[*guest].is_over());
        }
        Ok(())
    }

    fn go_on(&mut self, number: usize, cause: Cause) -> Result<()> {
        let guest = &mut self.guests[number];
        guest.go_on(cause, self.shared)?;
        self.timers.set(number, guest.until());
        Ok(())
    }

    fn dismiss(&mut self) {
        for (number, guest) in self.guests.iter_mut().enumerate().filter(|(_, guest)| !guest.is_away()) {
            guest.dismiss(self.shared);
            self.timers.set(number, guest.until());
        }
    }

    /// Kills the subservers whose time has come. Each is stopped first, so that what it holds open does not change any
    /// more: whose private pipe is among that, is its client.
    fn kill_subservers(&mut self, spent: Duration) {
        while let Some((_, which)) = self.kill.filter(|(at, _)| *at <= spent) {
            self.kill = self.kills.next();
            let living = self.house.look().subservers;
            let Some(victim) = living.get(which as usize % living.len().max(1)).copied() else { continue };
            if !stop(victim, self.house.pid()) {
                continue;
            }
            let ends = proc::pipe_ends(victim).into_iter().filter(|end| end.way == Way::Write);
            let (pipes, names): (Vec<_>, Vec<_>) = ends.map(|end| (end.pipe, end.name)).unzip();
            let pids: Vec<u32> = names.into_iter().flatten().filter_map(|name| maker(&name)).collect();
            let when = now();
            // It stands still and cannot have ended, so the number is still its own.
            let _ = kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL);
            self.shared.score.killed += 1;
            self.guests.iter_mut().for_each(|guest| guest.is_orphaned(&pipes, &pids, when));
        }
    }
}

/// Stops a subserver of this server; says whether it stands still now.
fn stop(subserver: u32, server: u32) -> bool {
    // Its number was seen a moment ago, and numbers come round only after all others.
    if kill(Pid::from_raw(subserver.cast_signed()), Signal::SIGSTOP).is_err() {
        return false;
    }
    loop {
        match proc::standing(subserver).filter(|process| process.parent == server) {
            Some(process) if process.state == 'T' => return true,
            Some(process) if process.state != 'Z' => drop(poll(&mut [], 1u8)),
            _ => return false,
        }
    }
}

/// Whose process number a private pipe's name bears: `mario.client.PID.RANDOM`.
fn maker(name: &str) -> Option<u32> {
    name.split_once(".client.")?.1.split('.').next()?.parse().ok()
}
