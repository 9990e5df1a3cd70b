//! The director of a demo: starts its processes, and waits until what is expected has happened. With
//! `--pause`, it asks for Enter before each step. What it prints meanwhile is in `report`.

use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::event::What;
use handshake_core::process::Process;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use probe::proc;

use super::event_log::LogReader;
use super::external_client::{ExternalClient, ExternalProgram};
use super::map;
use super::pause::{Answer, Pause};
use super::printer::Printer;
use super::processes::Processes;
use super::roster::{Actor, Roster};
use super::terminal::Terminal;
use super::watch::Watch;

/// The watchdog: if a section takes longer than this, something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause between two looks at the event log.
const TICK: Duration = Duration::from_millis(10);
/// After this time without a new event, every process waits for something.
pub(super) const SETTLED: Duration = Duration::from_millis(60);

/// The state of a demo. The pause is dropped before the processes, so that none stands at the gate when it is
/// ended.
#[derive(Debug)]
pub(super) struct Director {
    process: Process,
    pub(super) pause: Option<Pause>,
    pub(super) processes: Processes,
    pub(super) printer: Printer,
    pub(super) roster: Roster,
    pub(super) event_log: LogReader,
    /// The external client.
    pub(super) external: Option<ExternalClient>,
    /// Observations that the event log does not contain, in the order of time; printed in their turn.
    pub(super) observations: Vec<Observation>,
    /// Whether a well-known pipe was printed.
    pub(super) has_wkp: bool,
    /// When every process waits for something, unless something new is seen before.
    pub(super) settled_at: Deadline,
    /// How long the watchdog waits, from the beginning of a section and from each Enter.
    patience: Duration,
    watchdog: Deadline,
}

/// Something that a process was seen to do.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) ns: u64,
    pub(super) step: Option<u8>,
    pub(super) actor: Actor,
    pub(super) text: String,
}

/// Why a demo stopped before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The person quit.
    Quit,
    /// This event did not happen in time.
    Stuck(String),
    /// The demo itself cannot go on.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Director {
    pub(super) fn new(
        process: Process,
        pause: Option<Pause>,
        processes: Processes,
        printer: Printer,
    ) -> Result<Self> {
        let event_log = LogReader::follow(processes.events()?);
        Ok(Self {
            process,
            pause,
            processes,
            printer,
            roster: Roster::default(),
            event_log,
            external: None,
            observations: Vec::new(),
            has_wkp: false,
            settled_at: Deadline::in_exactly(SETTLED),
            patience: PATIENCE,
            watchdog: Deadline::after(PATIENCE),
        })
    }

    /// Begins the next section; with `--pause`, after Enter.
    pub(super) fn section(&mut self, title: &str) -> Result<(), Halt> {
        self.ask(|_| vec![title.into()])?;
        Ok(self.printer.heading(title)?)
    }

    pub(super) fn start_server(&mut self) -> Result<(), Halt> {
        let pid = self.processes.start(Actor::Server)?;
        self.roster.set_server(pid);
        Ok(())
    }

    pub(super) fn start_client(&mut self) -> Result<(), Halt> {
        let number = self.roster.clients().count() + 1;
        let pid = self.processes.start(Actor::Client(number))?;
        self.roster.add_client(pid);
        Ok(())
    }

    /// Starts the external client, as the next client.
    pub(super) fn start_external(&mut self, program: &ExternalProgram) -> Result<(), Halt> {
        let ours: Vec<u32> = self.roster.all().map(|(_, pid)| pid).collect();
        let watch = Watch::begin(self.processes.place(), self.processes.wkp(), ours)?;
        let (terminal, screen) = Terminal::new()?;
        let actor = Actor::Client(self.roster.clients().count() + 1);
        let pid = self.processes.start_external(actor, program, screen)?;
        let number = self.roster.add_external(pid);
        self.external = Some(ExternalClient::new(number, pid, watch, terminal));
        Ok(())
    }

    /// Prints what happens until `happened` is true and every process waits. With `--pause`, step by step.
    pub(super) fn until(
        &mut self,
        expected: impl Into<String>,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<(), Halt> {
        while !self.attempt(PATIENCE, &happened)? {
            self.ask(|_| vec!["nothing happens; go on waiting".into()])?;
            if self.watchdog.passed() {
                return Err(Halt::Stuck(expected.into()));
            }
        }
        Ok(())
    }

    /// Waits as [`Director::until`] does, for something that an external client may fail to do. Returns
    /// whether it happened in time.
    pub(super) fn attempt(
        &mut self,
        patience: Duration,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<bool, Halt> {
        self.patience = patience;
        self.watchdog = Deadline::after(patience);
        loop {
            self.follow()?;
            if self.is_settled() {
                if self.has_waiting_process() {
                    self.release_one()?;
                    continue;
                }
                if happened(self) {
                    return Ok(true);
                }
            }
            if self.watchdog.passed() || self.external_floods() {
                return Ok(false);
            }
            self.tick()?;
        }
    }

    /// Waits until there may be something new.
    fn tick(&self) -> Result<()> {
        let watch =
            self.external.iter().map(|external| PollFd::new(external.watch.as_fd(), PollFlags::POLLIN));
        self.process.wait(&mut watch.collect::<Vec<_>>(), Deadline::in_exactly(TICK)).map(drop)
    }

    /// Whether the external client sends far more requests than it was given, and was not sent a signal yet.
    fn external_floods(&self) -> bool {
        self.external.as_ref().filter(|external| external.ended_by.is_none()).is_some_and(|external| {
            self.count_of(What::RequestReceived, external.number)
                > external.given + ExternalClient::OWN_REQUESTS
        })
    }

    fn is_settled(&self) -> bool {
        self.event_log.is_printed() && self.observations.is_empty() && self.settled_at.passed()
    }

    fn has_waiting_process(&mut self) -> bool {
        self.pause.as_mut().is_some_and(|pause| {
            pause.forget(|pid| !proc::lives(pid));
            !pause.waiting().is_empty()
        })
    }

    /// Releases the first process at the gate. Asks for Enter before that, if the process's last event was
    /// printed.
    fn release_one(&mut self) -> Result<(), Halt> {
        if self.next_was_printed() {
            self.ask(|now| {
                let waiting = now.pause.iter().flat_map(Pause::waiting);
                let names = waiting.filter_map(|pid| now.roster.actor(*pid)).map(|actor| actor.to_string());
                let names: Vec<_> = names.collect();
                let question = |processes: &str| format!("next step; at the gate: {processes}");
                vec![question(&names.join(", ")), question(&format!("{} processes", names.len()))]
            })?;
        }
        if let Some(pause) = &mut self.pause {
            pause.release_one()?;
        }
        self.settled_at = Deadline::in_exactly(SETTLED);
        Ok(())
    }

    /// Whether the next process to release stopped after an event that was printed.
    fn next_was_printed(&self) -> bool {
        let next = self.pause.as_ref().and_then(|pause| pause.waiting().first());
        let last = next.and_then(|pid| self.event_log.seen().iter().rfind(|event| event.pid == *pid));
        last.is_none_or(|event| self.sentence(event).is_some())
    }

    /// With `--pause`: asks for Enter and waits; meanwhile prints what happens. `question`: the same question
    /// in several lengths, the longest first.
    fn ask(&mut self, question: impl Fn(&Self) -> Vec<String>) -> Result<(), Halt> {
        while self.pause.is_some() {
            self.follow()?;
            if !self.is_settled() {
                self.tick()?;
                continue;
            }
            self.has_waiting_process();
            let questions = question(self).into_iter();
            let prompts: Vec<_> =
                questions.map(|text| format!("[Enter] {text}   (m: map, q: quit)")).collect();
            self.printer.prompt(&prompts);
            let Some(pause) = &mut self.pause else { break };
            let answer = pause.answer();
            match answer {
                None if pause.is_over() => self.stop_pausing()?,
                None => pause.listen(&self.process, Deadline::in_exactly(SETTLED))?,
                Some(_) => self.printer.answered(),
            }
            match answer {
                Some(Answer::Next) => {
                    self.watchdog = Deadline::after(self.patience);
                    return Ok(());
                }
                Some(Answer::Map) => map::show(&mut self.printer, &self.roster, self.processes.wkp())?,
                Some(Answer::Quit) => return Err(Halt::Quit),
                None => {}
            }
        }
        Ok(())
    }

    fn stop_pausing(&mut self) -> Result<()> {
        self.pause = None;
        self.watchdog = Deadline::after(self.patience);
        self.printer.note("The input has ended: from here on, no process stops at the gate.")
    }

    /// Ends all processes, and prints their last events. Returns the PIDs that had to be killed.
    pub(super) fn end(&mut self) -> Result<Vec<u32>> {
        self.pause = None;
        let mut left = self.processes.end();
        if let Some(external) = &mut self.external
            && left.contains(&external.pid)
        {
            external.ended_by = Some(Signal::SIGKILL);
            left.retain(|pid| *pid != external.pid);
        }
        let until = Deadline::in_exactly(PATIENCE);
        while !(self.is_settled() || until.passed()) {
            self.follow()?;
            self.tick()?;
        }
        Ok(left)
    }

    /// Whether a process that was started has ended.
    pub(super) fn has_ended(&self, actor: Actor) -> bool {
        self.processes.ended(actor).is_some()
    }
}
