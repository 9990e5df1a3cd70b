//! What speed is aimed at, as ratios to the references, and whether a comparison shows it reached.

use std::collections::BTreeSet;

use crate::model::metrics::{Better, metric_of};
use crate::model::placement::Placement;
use crate::model::placement::Placement::{Busy, DifferentCores, Free, SameCore};
use crate::model::results::{Figure, Ratio, Results, Verdict};
use crate::model::statistics::Summary;

/// What is aimed at.
#[derive(Debug)]
struct Target {
    column: &'static str,
    placements: &'static [Placement],
    rows: &'static [&'static str],
    metric: &'static str,
    against: Against,
    /// At most, or at least: which of the two, the metric says.
    bound: f64,
}

#[derive(Debug)]
enum Against {
    Reference(&'static str),
    /// Of those that the column compares with, the best.
    Best,
    /// The figure is a ratio itself.
    Nobody,
}

use Against::{Best, Nobody, Reference};

const BOTH: &[&str] = &["basic", "forking"];
const DISPATCH: &[&str] = &["dispatch"];
const FORKS: &[&str] = &["forking", "dispatch"];
const MANY: &[&str] = &["forking", "dispatch", "shared-wkp"];
const ONE_CORE: &[Placement] = &[SameCore];
const HERE: &[Placement] = &[Free];
const APART: &[Placement] = &[Free, DifferentCores];

const fn round_trip(
    placements: &'static [Placement],
    rows: &'static [&'static str],
    to: &'static str,
    bound: f64,
) -> Target {
    Target { column: "round-trip", placements, rows, metric: "p50", against: Reference(to), bound }
}

/// Where the kernel places the processes.
const fn free(
    column: &'static str,
    rows: &'static [&'static str],
    metric: &'static str,
    against: Against,
    bound: f64,
) -> Target {
    Target { column, placements: HERE, rows, metric, against, bound }
}

/// All of them.
const TARGETS: [Target; 17] = [
    round_trip(APART, BOTH, "fifo-ping-pong", 0.1),
    round_trip(ONE_CORE, BOTH, "fifo-ping-pong", 1.5),
    round_trip(ONE_CORE, BOTH, "fifo-poll", 1.2),
    round_trip(&[Busy], BOTH, "fifo-ping-pong", 0.3),
    round_trip(HERE, DISPATCH, "fifo-ring", 0.5),
    round_trip(ONE_CORE, DISPATCH, "fifo-ring", 1.5),
    free("throughput-1x64", BOTH, "rate", Reference("fifo-pipelined"), 0.6),
    free("throughput-1x512", BOTH, "rate", Reference("fifo-pipelined"), 0.6),
    free("throughput-8x64", DISPATCH, "rate", Reference("fifo-ring"), 0.6),
    free("bulk", BOTH, "gigabytes", Best, 0.7),
    free("bulk", DISPATCH, "gigabytes", Best, 0.5),
    free("connects-1", &["basic"], "connects", Reference("unix-in-turn"), 0.8),
    free("connects-8", &["basic"], "connects", Reference("unix-in-turn"), 0.8),
    free("connects-1", FORKS, "connects", Reference("unix-forking"), 0.85),
    free("connects-8", FORKS, "connects", Reference("unix-forking"), 0.85),
    free("connects-64", FORKS, "connects", Reference("unix-forking"), 0.85),
    free("crowded", MANY, "connect-cost", Nobody, 1.5),
];

/// Where targets want a column measured.
pub(crate) fn placements(column: &str) -> BTreeSet<Placement> {
    let of_column = TARGETS.iter().filter(|target| target.column == column);
    of_column.flat_map(|target| target.placements).copied().collect()
}

/// Of whom targets want it measured there.
pub(crate) fn rows(column: &str, placement: Placement) -> impl Iterator<Item = &'static str> {
    let wants = move |target: &&Target| target.column == column && target.placements.contains(&placement);
    TARGETS.iter().filter(wants).flat_map(|target| target.rows).copied()
}

/// For each target that was measured.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    TARGETS.iter().flat_map(|target| target.verdicts(results)).flatten().collect()
}

impl Target {
    fn verdicts(&self, results: &Results) -> impl Iterator<Item = Option<Verdict>> {
        let places =
            self.placements.iter().flat_map(|placement| self.rows.iter().map(|row| (*placement, *row)));
        places.map(|(placement, row)| {
            let figure = results.figure(self.column, placement, row, self.metric)?;
            let (to, measured) = self.measured(figure)?;
            let is_less = metric_of(self.metric)?.better == Better::Less;
            let holds = |value: f64| if is_less { value <= self.bound } else { value >= self.bound };
            let reached = holds(measured.median);
            let ends = [measured.min, measured.max];
            Some(Verdict {
                column: self.column.into(),
                placement,
                row: row.into(),
                metric: self.metric.into(),
                to,
                target: format!("at {} {}", if is_less { "most" } else { "least" }, self.bound),
                reached,
                in_every_run: ends.into_iter().all(|end| holds(end) == reached),
                measured,
            })
        })
    }

    fn measured(&self, figure: &Figure) -> Option<(String, Summary)> {
        let ratio = |ratio: &Ratio| (ratio.to.clone(), ratio.summary);
        match self.against {
            Reference(to) => figure.ratios.iter().find(|ratio| ratio.to == to).map(ratio),
            Best => figure.ratios.first().map(ratio),
            Nobody => Some((String::new(), figure.summary)),
        }
    }
}

/// How many verdicts there are when all targets are measured.
pub(crate) fn count() -> usize {
    TARGETS.iter().map(|target| target.placements.len() * target.rows.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::columns;
    use crate::model::samples::results;

    #[test]
    fn every_target_is_of_a_column_that_has_its_rows_and_its_reference() {
        for target in &TARGETS {
            let columns = columns();
            let column = columns.iter().find(|column| column.id == target.column).expect(target.column);
            assert!(metric_of(target.metric).is_some(), "{}", target.metric);
            for placement in target.placements {
                assert!(column.placements(true, false).contains(placement), "{target:?}");
            }
            for name in target.rows {
                let pair = column.pairs.iter().find(|pair| pair.0 == *name).expect(name);
                if let Reference(to) = target.against {
                    assert!(pair.1.contains(&to), "{target:?}");
                }
            }
        }
    }

    #[test]
    fn verdicts_are_worked_out_from_the_runs() {
        let mut results = results();
        let find = |results: &Results| {
            verdicts(results).into_iter().find(|one| one.row == "basic" && one.placement == Free).unwrap()
        };
        let slow = find(&results);
        assert_eq!((slow.measured.median, slow.target.as_str()), (2.0, "at most 0.1"));
        assert_eq!(slow.in_words(), ["not reached"]);
        let basic = results.figures.iter_mut().find(|one| one.row == "basic" && one.metric == "p50").unwrap();
        let ratio = &mut basic.ratios[0].summary;
        (ratio.median, ratio.min, ratio.max) = (0.1, 0.05, 0.3);
        assert_eq!(find(&results).in_words(), ["reached", "not in every run"]);
    }

    #[test]
    fn without_figures_there_is_no_verdict() {
        let mut results = results();
        results.figures.clear();
        assert!(verdicts(&results).is_empty());
    }
}
