//! One race: all clients start at one instant.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use naive::{Crowd, End, Stage};

use super::host::{Host, LOOK};
use super::outcome::Outcome;
use super::plan::{Dialect, Match, Plan};
use crate::server_under_test::REST;

/// The longest duration of a race, even if clients still come to their ends.
const LONGEST: Duration = Duration::from_secs(120);

/// The outcomes of all clients in one race.
#[derive(Debug)]
pub(super) struct Round {
    outcomes: Vec<Outcome>,
    /// The step of each naive client that hangs.
    hanging: Vec<Stage>,
    /// The time until the last client ended by itself; `None` if all hang.
    pub(super) took: Option<Duration>,
}

/// # Errors
/// A client cannot be started, or not all are ready in time. [`Error::Signal`].
pub(super) fn run(pairing: Match, plan: &Plan, host: &Host, process: &Process) -> Result<Round> {
    let commands = (1..=plan.clients).map(|number| host.client(pairing.dialect, &message(number)));
    let crowd = Crowd::gather(commands.collect::<Result<Vec<Command>>>()?)?;
    await_all(plan.clients, host, process)?;
    let ends = crowd.release(plan.patience, Deadline::after(LONGEST), process)?;
    Ok(Round::of(&ends, pairing))
}

fn message(number: usize) -> String {
    format!("hello from client {number}")
}

/// Waits until each client has made its private pipe, and so stops before step 4.
fn await_all(clients: usize, host: &Host, process: &Process) -> Result<()> {
    let until = Deadline::after(REST);
    loop {
        // Judged only after one more look: this process may have been stopped for a while.
        let late = until.passed();
        let there = host.private_pipes();
        if there >= clients {
            return Ok(());
        }
        if late {
            let what = format!("of {clients} clients, {there} were ready within {REST:?}");
            return Err(Error::lost(what));
        }
        process.wait(&mut [], Deadline::in_exactly(LOOK))?;
    }
}

impl Round {
    fn of(ends: &[End], pairing: Match) -> Self {
        let outcome = |(end, number)| Outcome::of(end, pairing.dialect, &message(number));
        let (hanging, ended): (Vec<&End>, Vec<&End>) = ends.iter().partition(|end| end.status.is_none());
        let hanging = hanging.iter().filter(|_| pairing.dialect == Dialect::Course);
        Self {
            outcomes: ends.iter().zip(1..).map(outcome).collect(),
            hanging: hanging.map(|end| Stage::last_of(&end.printed)).collect(),
            took: ended.iter().map(|end| end.after).max(),
        }
    }

    pub(super) fn with_outcome(&self, outcome: Outcome) -> usize {
        self.outcomes.iter().filter(|one| **one == outcome).count()
    }

    pub(super) fn hanging_at(&self, stage: Stage) -> usize {
        self.hanging.iter().filter(|one| **one == stage).count()
    }

    pub(super) fn clients(&self) -> usize {
        self.outcomes.len()
    }
}

/// Formats as `16 served, 4 told, 30 hanging; the last one ended after 0.041 s`.
impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Outcome::ALL.map(|outcome| (self.with_outcome(outcome), outcome.in_words()));
        let parts = counts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, words)| format!("{count} {words}")).collect();
        f.write_str(&parts.join(", "))?;
        match self.took {
            Some(took) => write!(f, "; the last one ended after {:.3} s", took.as_secs_f64()),
            None => f.write_str("; no client ended by itself"),
        }
    }
}
