//! The options of `lab compare`, and what they choose to measure.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use handshake_cli::{at_least_one, complain, duration};
use handshake_core::limits::Limits;

use crate::model::columns::{Column, Group, Task, columns};
use crate::model::pairs::Pair;
use crate::model::placement::Placement;
use crate::model::rows::{ROWS, Row, row};
use crate::model::targets;
use crate::run::sampling::{Cell, Plan};

/// How long a trial takes in the quick form, and in the full one.
const QUICK: Duration = Duration::from_millis(150);
const FULL: Duration = Duration::from_millis(300);

/// Of a main server for each client, and no less than those of the process that plays all clients.
const DESCRIPTORS_EACH: u64 = 3;

/// Measure the paradigms side by side, with bare pipes and sockets for reference.
///
/// Takes about a minute; with --targets, up to 3; with --full, up to 20. Leave the machine alone meanwhile.
/// Prints tables and a conclusion, and writes results.json (with every sample), results.csv and report.html.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// All columns, all placements, longer trials
    #[arg(long)]
    pub(crate) full: bool,

    /// Only what the targets of speed need (docs/comparison.md)
    #[arg(long, conflicts_with_all = ["full", "columns"])]
    pub(crate) targets: bool,

    /// How our programs wait: adaptive (look for a moment where that has paid of late, then sleep) or block
    /// (sleep at once)
    #[arg(long, value_name = "HOW", default_value = "adaptive", hide_possible_values = true)]
    #[arg(value_parser = ["adaptive", "block"])]
    pub(crate) wait: String,

    /// Only these rows, and the references that they are compared with
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = row_names())]
    pub(crate) rows: Vec<String>,

    /// Only these columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<Group>,

    /// Where the files are written
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    pub(crate) out: PathBuf,

    /// Compare with the results.json of an earlier run
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// How often each row is measured; fewer than 5 is no result
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    pub(crate) runs: usize,

    /// How long each trial takes, more or less
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) trial: Option<Duration>,

    /// Measure nothing: show the results.json of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with_all = MEASURING)]
    pub(crate) from: Option<PathBuf>,

    /// Put the result into this Markdown page, between its marks
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

/// The options that say what and how to measure.
const MEASURING: [&str; 7] = ["full", "targets", "wait", "rows", "columns", "runs", "trial"];

fn row_names() -> PossibleValuesParser {
    PossibleValuesParser::new(ROWS.map(|row| row.name))
}

impl Args {
    /// What is to be measured on a machine that has the placements that are `allowed`; and the columns of
    /// that.
    pub(crate) fn plan(&self, allowed: impl Fn(Placement) -> bool) -> (Plan, Vec<Column>) {
        let mut chosen = chosen(self);
        chosen.retain(carried);
        let plan = Plan {
            cells: cells(self, &chosen, allowed),
            runs: self.runs,
            seconds: self.trial.unwrap_or(if self.full { FULL } else { QUICK }).as_secs_f64(),
        };
        (plan, chosen)
    }
}

/// The columns that were asked for.
fn chosen(args: &Args) -> Vec<Column> {
    let is_chosen = |column: &Column| match (args.targets, &args.columns[..]) {
        (true, _) => !targets::placements(&column.id).is_empty(),
        (false, []) => true,
        (false, groups) => groups.contains(&column.group),
    };
    columns().into_iter().filter(is_chosen).collect()
}

/// Whether this machine carries the clients of a column; if not, it is said.
fn carried(column: &Column) -> bool {
    let Task::Crowded { held } = column.task else { return true };
    let most = Limits::raise().clients(DESCRIPTORS_EACH);
    if most <= held {
        complain("lab", format!("{} is left out: this machine carries {most} clients", column.title));
    }
    most > held
}

/// What is to be measured: each column at each of its placements that this machine has.
fn cells(args: &Args, columns: &[Column], allowed: impl Fn(Placement) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for column in columns {
        let placements = if args.targets {
            targets::placements(&column.id)
        } else {
            column.placements(args.full, !args.columns.is_empty()).iter().copied().collect()
        };
        for placement in placements.into_iter().filter(|placement| allowed(*placement)) {
            let rows = rows_of(column, |name| is_named(args, column, placement, name));
            if !rows.is_empty() {
                cells.push(Cell { column: column.clone(), placement, rows });
            }
        }
    }
    cells
}

/// Whether a row was asked for there; all are, if none were named.
fn is_named(args: &Args, column: &Column, placement: Placement, name: &str) -> bool {
    let by_rows = args.rows.is_empty() || args.rows.iter().any(|named| named == name);
    by_rows && (!args.targets || targets::rows(&column.id, placement).any(|row| row == name))
}

/// Those of a column that were asked for, with their references.
fn rows_of(column: &Column, is_named: impl Fn(&str) -> bool) -> Vec<&'static Row> {
    let is_needed = |name: &str| {
        let by = |pair: &&Pair| is_named(pair.0) && pair.1.contains(&name);
        column.pairs.iter().find(by).is_some()
    };
    let taken = column.pairs.iter().map(|pair| pair.0).filter(|name| is_named(name) || is_needed(name));
    taken.filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

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
    fn the_targets_bring_just_what_they_need() {
        let cells = planned(&["--targets"]);
        let has =
            |id: &str, placement| cells.iter().find(|cell| (cell.0.as_str(), cell.1) == (id, placement));
        let same_core = has("round-trip", Placement::SameCore).unwrap();
        assert_eq!(same_core.2, ["basic", "forking", "dispatch", "fifo-ping-pong", "fifo-poll", "fifo-ring"]);
        assert!(has("round-trip", Placement::Busy).is_some() && has("bulk", Placement::SameCore).is_none());
        assert_eq!(has("connects-64", Placement::Free).unwrap().2, ["forking", "dispatch", "unix-forking"]);
        assert_eq!(has("throughput-8x64", Placement::Free).unwrap().2, ["dispatch", "fifo-ring"]);
        let only = planned(&["--targets", "--rows", "basic"]);
        assert!(
            only.iter().all(|cell| cell.2.contains(&"basic") && !cell.2.contains(&"forking")),
            "{only:?}"
        );
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
    fn no_form_takes_longer_than_is_said() {
        for (words, runs, trial, most) in
            [(&["--full"][..], 5, FULL, 1200.0), (&["--targets"], 5, QUICK, 180.0), (&[], 5, QUICK, 90.0)]
        {
            let args = args(words);
            let cells = cells(&args, &chosen(&args), |_| true);
            let estimate = Plan { cells, runs, seconds: trial.as_secs_f64() }.estimate();
            assert!(estimate < most, "{words:?}: {estimate} s");
        }
    }
}
