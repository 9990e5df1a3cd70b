//! The stage: follows the record, tells the story, and waits for what must happen next.

use std::time::Duration;

use handshake_core::deadline::{Deadline, monotonic_ns};
use handshake_core::error::{Error, Result};
use handshake_core::event::{Event, Role, What};
use handshake_core::process::Process;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use probe::proc;

use super::cast::{Actor, Cast};
use super::guest::{Guest, Invitation};
use super::pause::{Pause, Wish};
use super::record::Record;
use super::terminal::Terminal;
use super::troupe::Troupe;
use super::voice::Voice;
use super::watch::{Seen, Watch};
use super::{map, tell};

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
    /// The client that is somebody else's program.
    pub(super) guest: Option<Guest>,
    /// What the record does not say, and when that was seen, in order; told when its time comes.
    sights: Vec<Sight>,
    /// Whether a well-known pipe has been told of.
    has_wkp: bool,
    settled: Deadline,
    /// How long the watchdog waits, from the beginning of a scene and from each Enter.
    patience: Duration,
    watchdog: Deadline,
}

/// Something that one of them was seen to do.
#[derive(Debug)]
struct Sight {
    ns: u64,
    step: Option<u8>,
    actor: Actor,
    text: String,
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
            guest: None,
            sights: Vec::new(),
            has_wkp: false,
            settled: Deadline::in_exactly(SETTLED),
            patience: PATIENCE,
            watchdog: Deadline::after(PATIENCE),
        })
    }

    /// The next scene; with `--pause`, after Enter.
    pub(super) fn scene(&mut self, title: &str) -> Result<(), Halt> {
        self.ask(|_| vec![title.into()])?;
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

    /// Somebody else's program comes, as the next client.
    pub(super) fn start_guest(&mut self, invitation: &Invitation) -> Result<usize, Halt> {
        let ours: Vec<u32> = self.cast.all().map(|(_, pid)| pid).collect();
        let watch = Watch::begin(self.troupe.place(), self.troupe.wkp(), ours)?;
        let (terminal, screen) = Terminal::new()?;
        let actor = Actor::Client(self.cast.clients().count() + 1);
        let pid = self.troupe.start_guest(actor, invitation, screen)?;
        let number = self.cast.add_guest(pid);
        self.guest = Some(Guest::new(number, pid, watch, terminal));
        Ok(number)
    }

    /// Tells what happens until `happened`, and everybody waits for something else. With `--pause`, step by step.
    pub(super) fn until(
        &mut self,
        expected: impl Into<String>,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<(), Halt> {
        while !self.attempt(PATIENCE, &happened)? {
            self.ask(|_| vec!["nothing moves; wait on".into()])?;
            if self.watchdog.passed() {
                return Err(Halt::Stuck(expected.into()));
            }
        }
        Ok(())
    }

    /// The same for what is not ours to promise. Returns whether it came to pass in time.
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
                if self.somebody_stands() {
                    self.let_one_go()?;
                    continue;
                }
                if happened(self) {
                    return Ok(true);
                }
            }
            if self.watchdog.passed() || self.guest_floods() {
                return Ok(false);
            }
            self.tick()?;
        }
    }

    /// Until there may be something new.
    fn tick(&self) -> Result<()> {
        let watch = self.guest.iter().map(|guest| PollFd::new(guest.watch.as_fd(), PollFlags::POLLIN));
        self.process.wait(&mut watch.collect::<Vec<_>>(), Deadline::in_exactly(TICK)).map(drop)
    }

    /// Whether the guest asks far more than it was given to ask, and nothing has been done about it yet.
    fn guest_floods(&self) -> bool {
        self.guest.as_ref().filter(|guest| guest.ended_by.is_none()).is_some_and(|guest| {
            self.count_of(What::RequestReceived, guest.number) > guest.typed + Guest::OWN_REQUESTS
        })
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
        self.look_at_guest();
        let (ns, reaped) = (monotonic_ns(), self.troupe.reap());
        let ends = |(actor, status)| Sight { ns, step: None, actor, text: format!("ends: {status}") };
        self.sights.extend(reaped.into_iter().map(ends));
        for event in self.record.due(|event| self.cast.concerns_guest(event)) {
            self.tell_sights(event.ns)?;
            self.tell(&event)?;
        }
        if self.record.is_told() { self.tell_sights(u64::MAX) } else { Ok(()) }
    }

    /// What is to be seen of the guest since the last look.
    fn look_at_guest(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        let actor = Actor::Client(guest.number);
        let seen = guest.look(self.troupe.ended(actor).is_some());
        guest.watch.made().for_each(|name| self.cast.is_of_guest(name));
        if !seen.is_empty() {
            self.settled = Deadline::in_exactly(SETTLED);
        }
        let noticed = self.guest_was_noticed();
        for Seen { step, text } in seen {
            // One sees later than things happen. But what made the server begin with step 6 was there before.
            let caused = noticed.filter(|_| matches!(step, Some(3 | 4)));
            let ns = caused.map_or(monotonic_ns(), |ns| ns - 1);
            self.sights.push(Sight { ns, step, actor, text });
        }
        self.sights.sort_by_key(|sight| sight.ns);
    }

    /// When the server began with step 6 for the guest.
    fn guest_was_noticed(&self) -> Option<u64> {
        let of = |what| self.record.seen().iter().filter(move |event| event.what == what);
        let received = of(What::HelloReceived).find(|event| self.cast.concerns_guest(event))?.ns;
        let removed = of(What::WkpRemoved).map(|event| event.ns).filter(|ns| *ns < received).max();
        Some(removed.unwrap_or(received))
    }

    fn tell_sights(&mut self, before: u64) -> Result<()> {
        let due = self.sights.partition_point(|sight| sight.ns < before);
        for Sight { step, actor, text, .. } in self.sights.drain(..due) {
            self.voice.deed(step, actor, &self.cast, &text)?;
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event) -> Result<()> {
        let Some(text) = self.sentence(event) else { return Ok(()) };
        self.has_wkp |= event.what == What::WkpCreated;
        let actor = self.cast.actor(event.pid).unwrap_or(match event.role {
            Role::Server => Actor::Server,
            Role::Subserver(number) => Actor::Subserver(number as usize),
            Role::Client => Actor::Client(0),
        });
        let text = match (is_about_request(event.what), &mut self.guest) {
            (true, Some(guest)) if self.cast.concerns_guest(event) => match guest.tells_of_request() {
                Ok(()) => text,
                Err(None) => return Ok(()),
                Err(Some(last)) => {
                    return self.voice.deed(None, Actor::Client(guest.number), &self.cast, last);
                }
            },
            _ => text,
        };
        self.voice.deed(event.step, actor, &self.cast, &text)
    }

    fn is_settled(&self) -> bool {
        self.record.is_told() && self.sights.is_empty() && self.settled.passed()
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
                let names: Vec<_> = names.collect();
                let question = |who: &str| format!("next step; at the gate: {who}");
                vec![question(&names.join(", ")), question(&format!("{} processes", names.len()))]
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
        last.is_none_or(|event| self.sentence(event).is_some())
    }

    fn sentence(&self, event: &Event) -> Option<String> {
        tell::sentence(event, &self.cast, !self.has_wkp, self.troupe.paradigm.forks())
    }

    /// With `--pause`: asks, and waits for Enter; whatever happens meanwhile is told. `question`: in several
    /// lengths, the longest first.
    fn ask(&mut self, question: impl Fn(&Self) -> Vec<String>) -> Result<(), Halt> {
        while self.pause.is_some() {
            self.follow()?;
            if !self.is_settled() {
                self.tick()?;
                continue;
            }
            self.somebody_stands();
            let questions = question(self).into_iter();
            let prompts: Vec<_> =
                questions.map(|text| format!("[Enter] {text}   (m: map, q: quit)")).collect();
            self.voice.prompt(&prompts);
            let Some(pause) = &mut self.pause else { break };
            let wish = pause.wish();
            match wish {
                None if pause.is_over() => self.run_freely()?,
                None => pause.listen(&self.process, Deadline::in_exactly(SETTLED))?,
                Some(_) => self.voice.answered(),
            }
            match wish {
                Some(Wish::Next) => {
                    self.watchdog = Deadline::after(self.patience);
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
        self.watchdog = Deadline::after(self.patience);
        self.voice.note("The input is over: from here on everything runs freely.")
    }

    /// Ends everybody; returns those who did not end by themselves. What they still recorded is told.
    pub(super) fn end(&mut self) -> Result<Vec<u32>> {
        self.pause = None;
        let mut left = self.troupe.end();
        if let Some(guest) = &mut self.guest
            && left.contains(&guest.pid)
        {
            guest.ended_by = Some(Signal::SIGKILL);
            left.retain(|pid| *pid != guest.pid);
        }
        let until = Deadline::in_exactly(PATIENCE);
        while !(self.is_settled() || until.passed()) {
            self.follow()?;
            self.tick()?;
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

/// Of these there are as many as a client likes.
fn is_about_request(what: What) -> bool {
    matches!(what, What::RequestReceived | What::RequestRefused | What::Routed | What::ReplySent)
}
