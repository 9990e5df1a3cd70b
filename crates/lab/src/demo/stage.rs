//! The stage: follows the record, tells the story, and waits for what must happen next.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use handshake_core::deadline::{Deadline, monotonic_ns};
use handshake_core::error::{Error, Result};
use handshake_core::event::{Event, Role, What};
use handshake_core::process::Process;
use nix::sys::signal::Signal;

use super::cast::{Actor, Cast};
use super::pause::{Pause, Wish};
use super::record::Record;
use super::troupe::Troupe;
use super::voice::Voice;
use super::{map, tell};
use crate::proc;

/// The watchdog: nothing between two scenes takes longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the record.
const TICK: Duration = Duration::from_millis(10);
/// Without a new event for so long, everybody waits for something.
const SETTLED: Duration = Duration::from_millis(60);

/// All that a play needs. The pause is dropped before the troupe, so that nobody stands at the gate when it is ended.
#[derive(Debug)]
pub(super) struct Stage {
    process: Process,
    pub(super) pause: Option<Pause>,
    pub(super) troupe: Troupe,
    pub(super) voice: Voice,
    pub(super) cast: Cast,
    pub(super) record: Record,
    /// Who has ended, how, and when that was seen; told when its time comes.
    endings: VecDeque<(u64, Actor, ExitStatus)>,
    /// Whether a well-known pipe has been told of.
    has_wkp: bool,
    settled: Deadline,
    watchdog: Deadline,
}

/// Why a play stopped before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody asked for it.
    Quit,
    /// This did not happen in time.
    Stuck(String),
    /// The demo itself cannot go on.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stage {
    pub(super) fn set(process: Process, pause: Option<Pause>, troupe: Troupe, voice: Voice) -> Result<Self> {
        let record = Record::follow(troupe.events()?);
        Ok(Self {
            process,
            pause,
            troupe,
            voice,
            cast: Cast::default(),
            record,
            endings: VecDeque::new(),
            has_wkp: false,
            settled: Deadline::in_exactly(SETTLED),
            watchdog: Deadline::after(PATIENCE),
        })
    }

    /// The next scene; with `--pause`, after Enter.
    pub(super) fn scene(&mut self, title: &str) -> Result<(), Halt> {
        self.ask(|_| title.into())?;
        Ok(self.voice.heading(title)?)
    }

    pub(super) fn start_server(&mut self) -> Result<(), Halt> {
        let pid = self.troupe.start(Actor::Server)?;
        self.cast.server_is(pid);
        Ok(())
    }

    pub(super) fn start_client(&mut self) -> Result<(), Halt> {
        let number = self.cast.clients().count() + 1;
        let pid = self.troupe.start(Actor::Client(number))?;
        self.cast.add_client(pid);
        Ok(())
    }

    /// Tells what happens until `happened`, and everybody waits for something else. With `--pause`, step by step.
    pub(super) fn until(
        &mut self,
        expected: impl Into<String>,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<(), Halt> {
        self.watchdog = Deadline::after(PATIENCE);
        loop {
            self.follow()?;
            if self.is_settled() {
                if self.somebody_stands() {
                    self.let_one_go()?;
                    continue;
                }
                if happened(self) {
                    return Ok(());
                }
            }
            if self.watchdog.passed() {
                self.ask(|_| "nothing moves; wait on".into())?;
                if self.watchdog.passed() {
                    return Err(Halt::Stuck(expected.into()));
                }
            }
            self.process.wait(&mut [], Deadline::in_exactly(TICK))?;
        }
    }

    /// Reads the record, and tells what is due.
    fn follow(&mut self) -> Result<()> {
        let before = self.record.seen().len();
        if self.record.read()? > before {
            self.settled = Deadline::in_exactly(SETTLED);
        }
        for event in &self.record.seen()[before..] {
            self.cast.learn(event);
            if let Some(pause) = &mut self.pause {
                pause.arrived(event.pid);
            }
        }
        let reaped = self.troupe.reap();
        self.endings.extend(reaped.into_iter().map(|(actor, status)| (monotonic_ns(), actor, status)));
        for event in self.record.due() {
            self.tell_endings(event.ns)?;
            self.tell(&event)?;
        }
        if self.record.is_told() { self.tell_endings(u64::MAX) } else { Ok(()) }
    }

    fn tell_endings(&mut self, before: u64) -> Result<()> {
        while self.endings.front().is_some_and(|(seen, ..)| *seen < before)
            && let Some((_, actor, status)) = self.endings.pop_front()
        {
            self.voice.deed(None, actor, &self.cast, &format!("ends: {status}"))?;
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event) -> Result<()> {
        let Some(text) = tell::sentence(event, &self.cast, !self.has_wkp) else { return Ok(()) };
        self.has_wkp |= event.what == What::WkpCreated;
        let actor = self.cast.actor(event.pid).unwrap_or(match event.role {
            Role::Server => Actor::Server,
            Role::Subserver(number) => Actor::Subserver(number as usize),
            Role::Client => Actor::Client(0),
        });
        self.voice.deed(event.step, actor, &self.cast, &text)
    }

    fn is_settled(&self) -> bool {
        self.record.is_told() && self.endings.is_empty() && self.settled.passed()
    }

    fn somebody_stands(&mut self) -> bool {
        self.pause.as_mut().is_some_and(|pause| {
            pause.forget(|pid| !proc::lives(pid));
            !pause.standing().is_empty()
        })
    }

    /// Somebody stands at the gate: asks for Enter, and lets the first one go; without Enter, if nothing was told of it.
    fn let_one_go(&mut self) -> Result<(), Halt> {
        if self.next_was_told() {
            self.ask(|now| {
                let standing = now.pause.iter().flat_map(Pause::standing);
                let names = standing.filter_map(|pid| now.cast.actor(*pid)).map(|actor| actor.to_string());
                format!("next step; at the gate: {}", names.collect::<Vec<_>>().join(", "))
            })?;
        }
        if let Some(pause) = &mut self.pause {
            pause.let_one_go()?;
        }
        self.settled = Deadline::in_exactly(SETTLED);
        Ok(())
    }

    /// Whether the one that goes next stands there after an event that was told.
    fn next_was_told(&self) -> bool {
        let next = self.pause.as_ref().and_then(|pause| pause.standing().first());
        let last = next.and_then(|pid| self.record.seen().iter().rfind(|event| event.pid == *pid));
        last.is_none_or(|event| tell::sentence(event, &self.cast, false).is_some())
    }

    /// With `--pause`: asks, and waits for Enter; whatever happens meanwhile is told.
    fn ask(&mut self, question: impl Fn(&Self) -> String) -> Result<(), Halt> {
        while self.pause.is_some() {
            self.follow()?;
            if !self.is_settled() {
                self.process.wait(&mut [], Deadline::in_exactly(TICK))?;
                continue;
            }
            self.somebody_stands();
            self.voice.prompt(&format!("[Enter] {}   (m: map, q: quit)", question(self)));
            let Some(pause) = &mut self.pause else { break };
            let wish = pause.wish();
            match wish {
                None if pause.is_over() => self.run_freely()?,
                None => pause.listen(&self.process, Deadline::in_exactly(SETTLED))?,
                Some(_) => self.voice.answered(),
            }
            match wish {
                Some(Wish::Next) => {
                    self.watchdog = Deadline::after(PATIENCE);
                    return Ok(());
                }
                Some(Wish::Map) => map::show(self)?,
                Some(Wish::Quit) => return Err(Halt::Quit),
                None => {}
            }
        }
        Ok(())
    }

    fn run_freely(&mut self) -> Result<()> {
        self.pause = None;
        self.watchdog = Deadline::after(PATIENCE);
        self.voice.note("The input is over: from here on everything runs freely.")
    }

    /// Ends everybody; returns those who did not end by themselves. What they still recorded is told.
    pub(super) fn end(&mut self) -> Result<Vec<u32>> {
        self.pause = None;
        let left = self.troupe.end();
        let until = Deadline::in_exactly(PATIENCE);
        while !(self.is_settled() || until.passed()) {
            self.follow()?;
            self.process.wait(&mut [], Deadline::in_exactly(TICK))?;
        }
        Ok(left)
    }

    /// How often this has happened.
    pub(super) fn count(&self, what: What) -> usize {
        self.record.seen().iter().filter(|event| event.what == what).count()
    }

    /// How often this has happened to a client.
    pub(super) fn count_of(&self, what: What, client: usize) -> usize {
        let is_it = |event: &&Event| event.what == what && self.cast.client_of(event) == Some(client);
        self.record.seen().iter().filter(is_it).count()
    }

    /// Whether the server has announced that it waits, for each well-known pipe that it has made.
    pub(super) fn server_waits(&self) -> bool {
        self.count(What::Waiting) >= self.count(What::WkpCreated) && self.count(What::Waiting) > 0
    }

    /// Whether a process that was started has ended.
    pub(super) fn has_ended(&self, actor: Actor) -> bool {
        self.troupe.ended(actor).is_some()
    }

    /// Asks the server to end.
    pub(super) fn end_server(&mut self) {
        self.troupe.signal(Actor::Server, Signal::SIGTERM);
    }
}
