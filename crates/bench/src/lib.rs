//! `lab compare`: the paradigms, measured side by side with what else one could use, and what follows from
//! that.
//!
//! Reading order: `args` chooses what is compared. `model` has the rows and columns, and what follows from
//! the trials: results, figures, targets. `run` measures: trial after trial, interleaved. `report` writes all
//! that down, for the terminal, as a page and into files. `references` are the bare programs that the
//! paradigms are held against. What is deliberately absent: threads, and any figure whose replies were not
//! checked.

mod args;
mod model;
mod references;
mod report;
mod run;

use std::process::Command;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use handshake_cli::{Status, complain};
use handshake_core::error::{Error, Result};
use handshake_core::event::Role;
use handshake_core::process::Process;

pub use args::Args;
use model::baseline::Changes;
use model::machine::Machine;
use model::results::{FORMAT, Results, Total};
use model::{figures, targets};
use probe::programs::words;
pub use references::{Args as ReferenceArgs, run as play};
use report::{conclusion, files, markdown};
use run::bench::Bench;
use run::progress::Progress;

/// Measures, and shows and writes the results. [`Status::Broken`]: a client of a server other than the
/// protocol as taught was lost or answered wrongly, or a trial has failed.
///
/// # Errors
/// A program is missing; a file cannot be read or written. [`Error::Signal`]: interrupted; what was measured
/// by then is shown and written all the same.
pub fn run(args: Args) -> Result<Status> {
    // Everything that could fail after 20 minutes of measuring is tried first.
    let baseline = args.baseline.as_deref().map(files::read).transpose()?;
    let earlier = args.from.as_deref().map(files::read).transpose()?;
    files::prepare(&args.out)?;
    args.markdown.as_deref().map(markdown::check).transpose()?;
    let (results, stopped) = match earlier {
        // With the targets and the conclusion of this version.
        Some(results) => (results.judged(), None),
        None => measure(&args)?,
    };
    let changes = baseline.map(|baseline| Changes::between(&baseline, &results));
    files::write(&args.out, &results, changes.as_ref())?;
    if let Some(page) = &args.markdown {
        markdown::put(page, &results)?;
    }
    load::print(&report::terminal(&results, changes.as_ref()))?;
    for trial in results.trials.iter().filter(|trial| trial.failure.is_some()) {
        let failure = trial.failure.as_deref().unwrap_or_default();
        complain("lab", format!("{}, {}, run {}: {failure}", trial.column, trial.row, trial.run + 1));
    }
    match stopped {
        Some(error) => Err(error),
        None if is_sound(&results) => Ok(Status::Done),
        None => Ok(Status::Broken),
    }
}

/// Whether no trial has failed, and no client was lost but those of the protocol as taught.
fn is_sound(results: &Results) -> bool {
    let good =
        |total: &Total| total.failed_trials == 0 && (total.row == "course" || total.lost + total.wrong == 0);
    results.totals.iter().all(good)
}

fn measure(args: &Args) -> Result<(Results, Option<Error>)> {
    let process = Rc::new(Process::quiet(Role::Client)?);
    let bench = Bench::set_up(&process, &args.wait)?;
    let machine = Machine::look(bench.place());
    let (plan, columns) = args.plan(|placement| bench.cpus.allow(placement));
    let (began, since) = (SystemTime::now(), Instant::now());
    let progress = Progress::of(plan.estimate());
    let samples = plan.measure(&bench, &progress);
    drop(progress);
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let results = Results {
        format: FORMAT,
        incomplete: samples.stopped.is_some(),
        command: words(Command::new(&program).args(arguments)),
        began: humantime::format_rfc3339_seconds(began).to_string(),
        seconds: since.elapsed().as_secs_f64(),
        runs: plan.runs,
        trial_seconds: plan.seconds,
        full: args.full,
        wait: args.wait.clone(),
        machine,
        figures: figures::figures(&samples.trials, &columns),
        totals: figures::totals(&samples.trials),
        columns: samples.columns,
        trials: samples.trials,
        targets: Vec::new(),
        conclusion: Vec::new(),
    };
    Ok((results.judged(), samples.stopped))
}

impl Results {
    /// With what follows from the figures.
    fn judged(self) -> Self {
        let (targets, conclusion) = (targets::verdicts(&self), conclusion::conclude(&self));
        Self { targets, conclusion, ..self }
    }
}
