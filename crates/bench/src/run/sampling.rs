//! Trial after trial: each run measures all rows of a cell in turn. Changes of the machine then affect all
//! rows.

use std::time::Duration;

use handshake_core::deadline::Deadline;
use handshake_core::error::Error;

use crate::model::columns::{Column, KEPT, POLITE, Task};
use crate::model::placement::{BUSY, Placement};
use crate::model::results::{ColumnInfo, Commands, Outcome, Trial};
use crate::model::rows::Row;
use crate::run::bench::{Bench, Member, Trouble};
use crate::run::progress::Progress;
use crate::run::trial::{NAIVE_PATIENCE, Trial as OneTrial};

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) cells: Vec<Cell>,
    pub(crate) runs: usize,
    /// How long a trial is to take, in seconds.
    pub(crate) seconds: f64,
}

/// A column at a placement, with its rows.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) column: Column,
    pub(crate) placement: Placement,
    pub(crate) rows: Vec<&'static Row>,
}

impl Cell {
    /// What is measured of a row: `basic, same core: round trip, ...`.
    fn title_of(&self, row: &Row) -> String {
        format!("{}, {}: {}", row.title, self.placement.title(), self.column.title)
    }
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) trials: Vec<Trial>,
    pub(crate) columns: Vec<ColumnInfo>,
    /// Why it ended before its time.
    pub(crate) stopped: Option<Error>,
}

/// What a trial costs besides, for processes that start and end. Only the estimate of the time left uses it.
const OVERHEAD: f64 = 0.04;

/// How long thousands of clients take to connect and to leave.
const GATHERING: f64 = 3.0;

/// The cost of the trials that calibrate, as a part of a trial.
const CALIBRATION: f64 = 0.3;

/// The first guess of requests for each client, and of connections.
const FIRST_GUESS: usize = 8;

/// More than this for each client is never asked.
const MOST: usize = 10_000_000;

impl Plan {
    /// How long it will take, in seconds, as far as one can know.
    pub(crate) fn estimate(&self) -> f64 {
        self.cells.iter().map(|cell| self.trial_seconds(cell) * self.trials_of(cell)).sum()
    }

    fn trial_seconds(&self, cell: &Cell) -> f64 {
        OVERHEAD
            + match cell.column.task {
                Task::Talk { .. } | Task::Connect { .. } => self.seconds,
                Task::Flood => 2.0 * self.seconds,
                Task::Crowded { .. } => 2.0 * self.seconds + GATHERING,
                Task::SecondClient => KEPT.as_secs_f64(),
                Task::Memory { .. } => 0.0,
                // One of the rows takes all its time.
                Task::Crowd { .. } => NAIVE_PATIENCE.as_secs_f64() / cell.rows.len() as f64,
            }
    }

    fn trials_of(&self, cell: &Cell) -> f64 {
        let calibration = match cell.column.task {
            Task::Talk { .. } | Task::Connect { .. } | Task::Flood | Task::Crowded { .. } => CALIBRATION,
            Task::SecondClient | Task::Memory { .. } | Task::Crowd { .. } => 0.0,
        };
        cell.rows.len() as f64 * (self.runs as f64 + calibration)
    }

    /// Measures all. Whatever ends it early, what was measured is returned.
    pub(crate) fn measure(&self, bench: &Bench, progress: &Progress) -> Samples {
        let mut samples = Samples::default();
        for cell in &self.cells {
            samples.begin(cell);
            if let Err(stopped) = self.measure_cell(cell, bench, progress, &mut samples) {
                samples.stopped = Some(stopped);
                break;
            }
        }
        samples
    }

    fn measure_cell(
        &self,
        cell: &Cell,
        bench: &Bench,
        progress: &Progress,
        samples: &mut Samples,
    ) -> Result<(), Error> {
        // Without the busy processes, all trials of this cell have failed.
        let busy = judged(start_busy(bench, cell.placement))?;
        let mut counts = Vec::new();
        for row in &cell.rows {
            progress.shows(&cell.title_of(row));
            counts.push(match &busy {
                Ok(_) => judged(self.calibrate(cell, row, bench))?,
                Err(failure) => Err(failure.clone()),
            });
        }
        for run in 0..self.runs {
            // Each run begins with another row: no row always comes after the same one.
            for index in (0..cell.rows.len()).map(|index| (index + run) % cell.rows.len()) {
                let row = cell.rows[index];
                progress.shows(&cell.title_of(row));
                let trial = OneTrial { bench, row, placement: cell.placement };
                let outcome = match &counts[index] {
                    Ok(count) => judged(tried(trial, cell.column.task, *count))?,
                    Err(failure) => Err(failure.clone()),
                };
                samples.add(cell, row, run, outcome);
                let trials = self.trials_of(cell) / (cell.rows.len() * self.runs) as f64;
                progress.advance(self.trial_seconds(cell) * trials);
            }
        }
        Ok(())
    }

    /// Finds out how much each client has to do so that a trial takes as long as it is to: from trials that
    /// do not count, and that warm up the machine.
    fn calibrate(&self, cell: &Cell, row: &'static Row, bench: &Bench) -> Result<usize, Trouble> {
        let (whole, parts) = (&[1.0][..], &[0.2, 1.0][..]);
        let (task, clients, least, parts) = match cell.column.task {
            task @ Task::Talk { clients, window, payload } => {
                (task, clients, if payload > 4096 { 2 } else { 2 * window }, parts)
            }
            task @ Task::Connect { clients } => (task, clients, 1, parts),
            // As much as they get done without the flood, and without the crowd.
            Task::Flood => {
                (Task::Talk { clients: POLITE, window: 1, payload: 64 }, POLITE, FIRST_GUESS, whole)
            }
            Task::Crowded { .. } => (Task::Connect { clients: 1 }, 1, FIRST_GUESS, whole),
            Task::SecondClient | Task::Memory { .. } | Task::Crowd { .. } => return Ok(0),
        };
        let mut count = FIRST_GUESS.max(least);
        for part in parts {
            let outcome = tried(OneTrial { bench, row, placement: cell.placement }, task, count)?;
            count = enough(&outcome, clients, self.seconds * part).max(least);
        }
        Ok(count)
    }
}

/// So many requests of each client take so many seconds, at the rate that was seen.
fn enough(outcome: &Outcome, clients: usize, seconds: f64) -> usize {
    let megabytes = outcome.value("gigabytes").map(|gigabytes| gigabytes * 1e9 / f64::from(1 << 20));
    let rate = outcome.value("rate").or(outcome.value("connects")).or(megabytes).unwrap_or(0.0);
    ((rate * seconds / clients as f64) as usize).clamp(1, MOST)
}

fn tried(trial: OneTrial<'_>, task: Task, count: usize) -> Result<Outcome, Trouble> {
    let outcome = trial.run(task, count);
    if outcome.is_err() {
        // Ctrl-C reaches the processes of the trial, too: then it is no failure of theirs.
        trial.bench.process.wait(&mut [], Deadline::in_exactly(Duration::ZERO))?;
    }
    outcome
}

/// Whether the comparison is to end, or only this trial has failed.
fn judged<T>(tried: Result<T, Trouble>) -> Result<Result<T, String>, Error> {
    match tried {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Trouble::Failed(failure)) => Ok(Err(failure)),
        Err(Trouble::Stop(stopped)) => Err(stopped),
    }
}

impl Samples {
    fn begin(&mut self, cell: &Cell) {
        let column = &cell.column;
        if let Some(known) = self.columns.iter_mut().find(|known| known.id == column.id) {
            return known.placements.push(cell.placement);
        }
        self.columns.push(ColumnInfo::of(column, cell.placement));
    }

    fn add(&mut self, cell: &Cell, row: &Row, run: usize, outcome: Result<Outcome, String>) {
        let (row, placement) = (row.name.to_string(), cell.placement);
        let (mut outcome, failure) = match outcome {
            Ok(outcome) => (outcome, None),
            Err(failure) => (Outcome::default(), Some(failure)),
        };
        let (server, client) = std::mem::take(&mut outcome.commands);
        if let Some(column) = self.columns.last_mut().filter(|_| run == 0 && failure.is_none()) {
            column.commands.push(Commands { row: row.clone(), placement, server, client });
        }
        let column = cell.column.id.clone();
        self.trials.push(Trial { column, placement, row, run, outcome, failure });
    }
}

/// Starts the processes of this placement that never sleep. Dropping them kills them.
fn start_busy(bench: &Bench, placement: Placement) -> Result<Vec<Member>, Trouble> {
    let count = if placement == Placement::Busy { BUSY } else { 0 };
    let words = ["lab", "reference", "busy"].map(String::from);
    (0..count).map(|_| bench.start(&words, None, false)).collect()
}
