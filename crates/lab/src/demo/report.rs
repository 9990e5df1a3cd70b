//! What has happened in a demo: follows the event log, and prints the events and what else is seen, in the
//! order of time.

use handshake_core::deadline::{Deadline, monotonic_ns};
use handshake_core::error::Result;
use handshake_core::event::{Event, Role, What};

use super::director::{Director, Observation, SETTLED};
use super::roster::Actor;
use super::sentence;
use super::watch::Seen;

impl Director {
    /// Reads the event log, and prints the events that are due.
    pub(super) fn follow(&mut self) -> Result<()> {
        let before = self.event_log.seen().len();
        if self.event_log.read()? > before {
            self.settled_at = Deadline::in_exactly(SETTLED);
        }
        for event in &self.event_log.seen()[before..] {
            self.roster.learn(event);
            if let Some(pause) = &mut self.pause {
                pause.arrived(event.pid);
            }
        }
        self.observe_external();
        let (ns, reaped) = (monotonic_ns(), self.processes.reap());
        let ends = |(actor, status)| Observation { ns, step: None, actor, text: format!("ends: {status}") };
        self.observations.extend(reaped.into_iter().map(ends));
        for event in self.event_log.due(|event| self.roster.concerns_external(event)) {
            self.print_observations(event.ns)?;
            self.print_event(&event)?;
        }
        if self.event_log.is_printed() { self.print_observations(u64::MAX) } else { Ok(()) }
    }

    /// Collects new observations of the external client.
    fn observe_external(&mut self) {
        let Some(external) = &mut self.external else { return };
        let actor = Actor::Client(external.number);
        let seen = external.look(self.processes.ended(actor).is_some());
        external.watch.made().for_each(|name| self.roster.note_external_pipe(name));
        if !seen.is_empty() {
            self.settled_at = Deadline::in_exactly(SETTLED);
        }
        let noticed = self.noticed_external();
        for Seen { step, text } in seen {
            // The demo sees an action after it happened. But the action that made the server begin step 6
            // came before that step.
            let caused = noticed.filter(|_| matches!(step, Some(3 | 4)));
            let ns = caused.map_or(monotonic_ns(), |ns| ns - 1);
            self.observations.push(Observation { ns, step, actor, text });
        }
        self.observations.sort_by_key(|observation| observation.ns);
    }

    /// When the server began step 6 for the external client.
    fn noticed_external(&self) -> Option<u64> {
        let of = |what| self.event_log.seen().iter().filter(move |event| event.what == what);
        let received = of(What::HelloReceived).find(|event| self.roster.concerns_external(event))?.ns;
        let removed = of(What::WkpRemoved).map(|event| event.ns).filter(|ns| *ns < received).max();
        Some(removed.unwrap_or(received))
    }

    fn print_observations(&mut self, before: u64) -> Result<()> {
        let due = self.observations.partition_point(|observation| observation.ns < before);
        for Observation { step, actor, text, .. } in self.observations.drain(..due) {
            self.printer.action(step, actor, &self.roster, &text)?;
        }
        Ok(())
    }

    fn print_event(&mut self, event: &Event) -> Result<()> {
        let Some(text) = self.sentence(event) else { return Ok(()) };
        self.has_wkp |= event.what == What::WkpCreated;
        let actor = self.roster.actor(event.pid).unwrap_or(match event.role {
            Role::Server => Actor::Server,
            Role::Subserver(number) => Actor::Subserver(number as usize),
            Role::Client => Actor::Client(0),
        });
        let text = match (is_about_request(event.what), &mut self.external) {
            (true, Some(external)) if self.roster.concerns_external(event) => {
                match external.may_print_request() {
                    Ok(()) => text,
                    Err(None) => return Ok(()),
                    Err(Some(last)) => {
                        return self.printer.action(None, Actor::Client(external.number), &self.roster, last);
                    }
                }
            }
            _ => text,
        };
        self.printer.action(event.step, actor, &self.roster, &text)
    }

    /// How often this event has happened.
    pub(super) fn count(&self, what: What) -> usize {
        self.event_log.seen().iter().filter(|event| event.what == what).count()
    }

    /// The events of this kind that have happened to a client.
    pub(super) fn events_of(&self, what: What, client: usize) -> impl Iterator<Item = &Event> {
        let is_it = move |event: &&Event| event.what == what && self.roster.client_of(event) == Some(client);
        self.event_log.seen().iter().filter(is_it)
    }

    /// How often this event has happened to a client.
    pub(super) fn count_of(&self, what: What, client: usize) -> usize {
        self.events_of(what, client).count()
    }

    /// Whether the server has announced that it waits, for each well-known pipe that it has made.
    pub(super) fn server_waits(&self) -> bool {
        self.count(What::Waiting) >= self.count(What::WkpCreated) && self.count(What::Waiting) > 0
    }

    /// The event as a sentence, if it is printed.
    pub(super) fn sentence(&self, event: &Event) -> Option<String> {
        sentence::of_event(event, &self.roster, !self.has_wkp, self.processes.paradigm.forks())
    }
}

/// Whether a client determines how many of these events there are.
fn is_about_request(what: What) -> bool {
    matches!(what, What::RequestReceived | What::RequestRefused | What::Routed | What::ReplySent)
}
