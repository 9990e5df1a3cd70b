//! `lab compare`: the paradigms, measured side by side with what else one could use, and what follows from that.
//!
//! Reading order: `rows` and `columns` say what is compared; `sampling` runs `trial` after trial, interleaved, on a `bench`
//! of processes, each where `placement` says; `statistics` and `figures` make medians and ratios of them; `conclusion` says
//! in words what they mean. `table`, `files`, `html` and `markdown` write all that down. `references` are the bare programs
//! that the paradigms are held against, and `naive` is the protocol as taught. What is deliberately absent: threads, and any
//! figure whose replies were not checked.

mod columns;
mod metrics;
mod placement;
mod rows;

mod bench;
mod holdings;
mod progress;
mod sampling;
mod trial;

mod figures;
mod machine;
mod results;
mod statistics;

pub(crate) mod naive;
mod references;

mod baseline;
mod conclusion;
mod files;
mod grid;
mod html;
mod markdown;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use clap::builder::PossibleValuesParser;
use handshake_cli::{at_least_one, complain, duration};
use handshake_core::error::{Error, Result, Status};
use handshake_core::event::Role;
use handshake_core::process::Process;

use bench::Bench;
use columns::{Column, Group, columns};
use machine::Machine;
use progress::Progress;
pub use references::{Args as ReferenceArgs, run as play};
use results::{FORMAT, Results};
use rows::{ROWS, Row};
use sampling::{Cell, Plan};

/// How long a trial takes in the quick form, and in the full one.
const QUICK: Duration = Duration::from_millis(150);
const FULL: Duration = Duration::from_millis(300);

/// Measure the paradigms side by side, with bare pipes and sockets for reference.
///
/// Takes about a minute; with --full, up to 20. Leave the machine alone meanwhile. Prints tables and a conclusion, and
/// writes results.json (with every sample), results.csv and report.html.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// All columns, all placements, longer trials
    #[arg(long)]
    full: bool,

    /// Only these rows, and the references that they are compared with
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(ROWS.map(|row| row.name)))]
    rows: Vec<String>,

    /// Only these columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<Group>,

    /// Where the files are written
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    out: PathBuf,

    /// Compare with the results.json of an earlier run
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// How often each row is measured; fewer than 5 is no result
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    runs: usize,

    /// How long each trial takes, more or less
    #[arg(long, value_name = "DUR", value_parser = duration)]
    trial: Option<Duration>,

    /// Measure nothing: show the results.json of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["full", "rows", "columns", "runs", "trial"])]
    from: Option<PathBuf>,

    /// Put the result into this Markdown page, between its marks
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Measures, and shows and writes what came out. [`Status::Broken`]: somebody who should not have was lost or answered
/// wrongly, or a trial has failed.
///
/// # Errors
/// A program is missing; a file cannot be read or written. [`Error::Signal`]: interrupted; what was measured by then is
/// shown and written all the same.
pub fn run(args: Args) -> Result<Status> {
    // What would fail at the end is tried first: nobody wants to measure for 20 minutes in vain.
    let baseline = args.baseline.as_deref().map(files::read).transpose()?;
    let earlier = args.from.as_deref().map(files::read).transpose()?;
    files::prepare(&args.out)?;
    args.markdown.as_deref().map(markdown::check).transpose()?;
    let (results, stopped) = match earlier {
        // In the words of today.
        Some(results) => (Results { conclusion: conclusion::conclude(&results), ..results }, None),
        None => measure(&args)?,
    };
    let changes = baseline.map(|baseline| baseline::Changes::between(&baseline, &results));
    files::write(&args.out, &results, changes.as_ref())?;
    if let Some(page) = &args.markdown {
        markdown::put(page, &results)?;
    }
    table::print_all(&results, changes.as_ref())?;
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

/// Whether every trial came to its end, and nobody was lost but by the protocol as taught.
fn is_sound(results: &Results) -> bool {
    let good = |total: &results::Total| {
        total.failed_trials == 0 && (total.row == "course" || total.lost + total.wrong == 0)
    };
    results.totals.iter().all(good)
}

fn measure(args: &Args) -> Result<(Results, Option<Error>)> {
    let process = Rc::new(Process::quiet(Role::Client)?);
    let bench = Bench::set_up(&process)?;
    let machine = Machine::look(bench.place());
    let chosen = chosen(args);
    let plan = Plan {
        cells: cells(args, &chosen, |placement| bench.cpus.allow(placement)),
        runs: args.runs,
        seconds: args.trial.unwrap_or(if args.full { FULL } else { QUICK }).as_secs_f64(),
    };
    let (began, since) = (SystemTime::now(), Instant::now());
    let progress = Progress::of(plan.estimate());
    let samples = plan.measure(&bench, &progress);
    drop(progress);
    let mut results = Results {
        format: FORMAT,
        incomplete: samples.stopped.is_some(),
        command: command_line(std::env::args_os()),
        began: humantime::format_rfc3339_seconds(began).to_string(),
        seconds: since.elapsed().as_secs_f64(),
        runs: plan.runs,
        trial_seconds: plan.seconds,
        full: args.full,
        machine,
        figures: figures::figures(&samples.trials, &chosen),
        totals: figures::totals(&samples.trials),
        columns: samples.columns,
        trials: samples.trials,
        conclusion: Vec::new(),
    };
    results.conclusion = conclusion::conclude(&results);
    Ok((results, samples.stopped))
}

/// The columns that were asked for.
fn chosen(args: &Args) -> Vec<Column> {
    let is_chosen = |column: &Column| args.columns.is_empty() || args.columns.contains(&column.group);
    columns().into_iter().filter(is_chosen).collect()
}

/// What is to be measured: each column at each of its placements that this machine has.
fn cells(args: &Args, columns: &[Column], allowed: impl Fn(placement::Placement) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for column in columns {
        let placements = column.placements(args.full, !args.columns.is_empty());
        let rows = rows_of(column, &args.rows);
        for placement in placements.iter().copied().filter(|placement| allowed(*placement)) {
            if !rows.is_empty() {
                cells.push(Cell { column: column.clone(), placement, rows: rows.clone() });
            }
        }
    }
    cells
}

/// Those of a column that were asked for, with their references; all, if none were named.
fn rows_of(column: &Column, names: &[String]) -> Vec<&'static Row> {
    let is_named = |name: &str| names.is_empty() || names.iter().any(|named| named == name);
    let is_needed = |name: &str| {
        let by = |pair: &&columns::Pair| is_named(pair.0) && pair.1.contains(&name);
        column.pairs.iter().find(by).is_some()
    };
    let taken = column.pairs.iter().map(|pair| pair.0).filter(|name| is_named(name) || is_needed(name));
    taken.filter_map(rows::row).collect()
}

fn command_line(words: impl Iterator<Item = OsString>) -> String {
    let program = |word: &OsString| {
        Path::new(word).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let words = words
        .enumerate()
        .map(|(index, word)| if index == 0 { program(&word) } else { word.to_string_lossy().into_owned() });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::placement::Placement;
    use super::*;

    fn args(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("compare").no_binary_name(true));
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    fn planned(words: &[&str]) -> Vec<(String, Placement, Vec<&'static str>)> {
        let args = args(words);
        let cells = cells(&args, &chosen(&args), |placement| placement != Placement::DifferentCores);
        let names = |cell: &Cell| cell.rows.iter().map(|row| row.name).collect();
        cells.iter().map(|cell| (cell.column.id.clone(), cell.placement, names(cell))).collect()
    }

    #[test]
    fn the_quick_form_has_its_five_groups_and_no_placement_that_the_machine_has_not() {
        let ids: Vec<_> = planned(&[]).into_iter().map(|cell| (cell.0, cell.1)).collect();
        let free = |id: &str| (id.to_string(), Placement::Free);
        let expected = [
            free("round-trip"),
            ("round-trip".into(), Placement::SameCore),
            free("throughput-1x64"),
            free("connects-8"),
            free("second-client"),
            free("losses"),
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn rows_bring_their_references_and_columns_come_when_named() {
        let cells = planned(&["--rows", "dispatch", "--columns", "bulk,round-trip"]);
        assert_eq!(cells[0].2, ["dispatch", "fifo-ring"]);
        let bulk = cells.last().unwrap();
        assert_eq!((bulk.0.as_str(), bulk.1), ("bulk", Placement::Free));
        assert_eq!(bulk.2, ["dispatch", "fifo-4k", "fifo-64k", "fifo-1m"]);
    }

    #[test]
    fn the_full_form_has_everything() {
        let cells = planned(&["--full"]);
        for column in columns() {
            assert!(cells.iter().any(|cell| cell.0 == column.id), "{}", column.id);
        }
        assert!(cells.iter().any(|cell| cell.1 == Placement::Busy));
    }

    #[test]
    fn the_full_form_takes_less_than_20_minutes_and_the_quick_one_less_than_90_seconds() {
        for (words, runs, trial, most) in [(&["--full"][..], 5, FULL, 1200.0), (&[], 5, QUICK, 90.0)] {
            let args = args(words);
            let cells = cells(&args, &chosen(&args), |_| true);
            let estimate = Plan { cells, runs, seconds: trial.as_secs_f64() }.estimate();
            assert!(estimate < most, "{words:?}: {estimate} s");
        }
    }
}
