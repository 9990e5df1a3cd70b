//! One race: all clients are let go at one instant.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::process::Process;
use naive::{Crowd, End, Stage};

use super::fate::Fate;
use super::host::{Host, LOOK};
use super::plan::{Match, Plan};
use crate::house::REST;

/// However slowly it goes on, no race takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// What became of all.
#[derive(Debug)]
pub(super) struct Round {
    fates: BTreeMap<Fate, usize>,
    /// Where those hang of whom that is known.
    hanging: BTreeMap<Stage, usize>,
    /// Until the last one had ended that did so by itself; none, if nobody did.
    pub(super) took: Option<Duration>,
}

/// # Errors
/// A client cannot be started, or not all are ready in time. [`Error::Signal`].
pub(super) fn run(who: Match, plan: &Plan, host: &Host, process: &Process) -> Result<Round> {
    let commands = (1..=plan.clients).map(|number| host.client(who.dialect, &message(number)));
    let crowd = Crowd::gather(commands.collect::<Result<Vec<Command>>>()?)?;
    await_all(plan.clients, host, process)?;
    let ends = crowd.release(plan.patience, Deadline::after(LONGEST), process)?;
    Ok(Round::of(&ends, who))
}

fn message(number: usize) -> String {
    format!("hello from client {number}")
}

/// Until each has made its private pipe, and so holds back before step 4.
fn await_all(clients: usize, host: &Host, process: &Process) -> Result<()> {
    let until = Deadline::after(REST);
    loop {
        let late = until.passed();
        let there = host.private_pipes();
        if there >= clients {
            return Ok(());
        }
        if late {
            let what = format!("of {clients} clients, {there} were ready within {REST:?}");
            return Err(Error::Lost { what, unanswered: 0 });
        }
        process.wait(&mut [], Deadline::in_exactly(LOOK))?;
    }
}

impl Round {
    fn of(ends: &[End], who: Match) -> Self {
        let (mut fates, mut hanging) = (BTreeMap::new(), BTreeMap::new());
        for (end, number) in ends.iter().zip(1..) {
            let (fate, stage) = Fate::of(end, who.dialect, &message(number));
            *fates.entry(fate).or_default() += 1;
            if let Some(stage) = stage {
                *hanging.entry(stage).or_default() += 1;
            }
        }
        let took = ends.iter().filter(|end| end.status.is_some()).map(|end| end.after).max();
        Self { fates, hanging, took }
    }

    pub(super) fn of_fate(&self, fate: Fate) -> usize {
        self.fates.get(&fate).copied().unwrap_or(0)
    }

    pub(super) fn hanging_at(&self, stage: Stage) -> usize {
        self.hanging.get(&stage).copied().unwrap_or(0)
    }

    pub(super) fn clients(&self) -> usize {
        self.fates.values().sum()
    }
}

/// `16 served, 4 told, 30 hanging; the last one ended after 0.041 s`.
impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> =
            self.fates.iter().map(|(fate, count)| format!("{count} {}", fate.in_words())).collect();
        f.write_str(&parts.join(", "))?;
        match self.took {
            Some(took) => write!(f, "; the last that ended did so after {:.3} s", took.as_secs_f64()),
            None => f.write_str("; nobody came to an end"),
        }
    }
}
