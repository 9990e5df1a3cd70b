//! From trials to figures: medians, ratios to the references, and what each row has lost in all.

use std::collections::BTreeMap;

use crate::model::columns::Column;
use crate::model::metrics::{Better, METRICS, Metric};
use crate::model::placement::Placement;
use crate::model::results::{Figure, Ratio, Total, Trial};
use crate::model::rows::ROWS;
use crate::model::statistics::{Summary, ratio};

/// All figures that the trials give.
pub(crate) fn figures(trials: &[Trial], columns: &[Column]) -> Vec<Figure> {
    let mut cells: BTreeMap<(&str, Placement), Samples<'_>> = BTreeMap::new();
    for trial in trials {
        let samples = cells.entry((&trial.column, trial.placement)).or_default();
        for (metric, value) in &trial.outcome.values {
            samples.entry((&trial.row, metric)).or_default().push((trial.run, *value));
        }
    }
    let mut figures = Vec::new();
    for column in columns {
        for ((_, placement), samples) in cells.iter().filter(|(cell, _)| cell.0 == column.id) {
            let cell = Cell { column, placement: *placement, samples };
            figures.extend(METRICS.iter().flat_map(|metric| cell.figures(metric)));
        }
    }
    figures
}

/// The runs of a row, by row and metric.
type Samples<'a> = BTreeMap<(&'a str, &'a str), Vec<(usize, f64)>>;

/// A column at a placement.
struct Cell<'a> {
    column: &'a Column,
    placement: Placement,
    samples: &'a Samples<'a>,
}

impl Cell<'_> {
    fn figures(&self, metric: &Metric) -> Vec<Figure> {
        let figure = |pair: &(&'static str, &'static [&'static str])| {
            let samples = self.samples.get(&(pair.0, metric.id))?;
            Some(Figure {
                column: self.column.id.clone(),
                placement: self.placement,
                row: pair.0.into(),
                metric: metric.id.into(),
                summary: summary(samples)?,
                ratios: if metric.compared { self.ratios(samples, metric, pair.1) } else { Vec::new() },
            })
        };
        self.column.pairs.iter().filter_map(figure).collect()
    }

    fn ratios(&self, samples: &[(usize, f64)], metric: &Metric, references: &[&'static str]) -> Vec<Ratio> {
        let best = self.column.best_reference.then(|| self.best(metric, references));
        let references = best.as_deref().unwrap_or(references);
        let one = |reference: &&'static str| {
            let summary = ratio(samples, self.samples.get(&(*reference, metric.id))?)?;
            Some(Ratio { to: (*reference).into(), summary })
        };
        references.iter().filter_map(one).collect()
    }

    /// The best of the references.
    fn best(&self, metric: &Metric, references: &[&'static str]) -> Vec<&'static str> {
        let median =
            |name: &&'static str| Some((*name, summary(self.samples.get(&(*name, metric.id))?)?.median));
        let by = |one: &(&str, f64), other: &(&str, f64)| one.1.total_cmp(&other.1);
        let all = references.iter().filter_map(median);
        let best = if metric.better == Better::Less { all.min_by(by) } else { all.max_by(by) };
        best.map(|found| found.0).into_iter().collect()
    }
}

fn summary(samples: &[(usize, f64)]) -> Option<Summary> {
    Summary::of(&samples.iter().map(|sample| sample.1).collect::<Vec<_>>())
}

/// Over all trials, in the order of the rows.
pub(crate) fn totals(trials: &[Trial]) -> Vec<Total> {
    let total = |name: &str| {
        let of_row: Vec<&Trial> = trials.iter().filter(|trial| trial.row == name).collect();
        let sum = |what: fn(&Trial) -> u64| of_row.iter().map(|trial| what(trial)).sum();
        (!of_row.is_empty()).then(|| Total {
            row: name.into(),
            answered: sum(|trial| trial.outcome.answered),
            lost: sum(|trial| trial.outcome.lost),
            wrong: sum(|trial| trial.outcome.wrong),
            failed_trials: sum(|trial| trial.failure.is_some().into()),
        })
    };
    ROWS.iter().filter_map(|row| total(row.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::columns;
    use crate::model::results::Outcome;

    fn trial(column: &str, row: &str, run: usize, metric: &str, value: f64) -> Trial {
        Trial {
            column: column.into(),
            placement: Placement::Free,
            row: row.into(),
            run,
            outcome: Outcome {
                values: [(metric.to_string(), value)].into(),
                answered: 10,
                lost: 1,
                ..Outcome::default()
            },
            failure: None,
        }
    }

    #[test]
    fn figures_have_their_ratios() {
        let trials = [
            trial("round-trip", "basic", 0, "p50", 20.0),
            trial("round-trip", "fifo-ping-pong", 0, "p50", 10.0),
            trial("round-trip", "basic", 1, "p50", 24.0),
            trial("round-trip", "fifo-ping-pong", 1, "p50", 12.0),
        ];
        let figures = figures(&trials, &columns());
        assert_eq!(figures.len(), 2);
        let basic = figures.iter().find(|figure| figure.row == "basic").unwrap();
        assert_eq!((basic.summary.median, basic.ratios.len()), (22.0, 1));
        assert_eq!((basic.ratios[0].to.as_str(), basic.ratios[0].summary.median), ("fifo-ping-pong", 2.0));
        assert_eq!(
            totals(&trials)[0],
            Total { row: "basic".into(), answered: 20, lost: 2, wrong: 0, failed_trials: 0 }
        );
    }

    #[test]
    fn long_messages_are_held_to_the_best_reference() {
        let gigabytes = [("basic", 1.0), ("fifo-4k", 2.0), ("fifo-64k", 4.0), ("fifo-1m", 3.0)];
        let trials = gigabytes.map(|(row, value)| trial("bulk", row, 0, "gigabytes", value));
        let figures = figures(&trials, &columns());
        let basic = figures.iter().find(|figure| figure.row == "basic").unwrap();
        assert_eq!((basic.ratios.len(), basic.ratios[0].to.as_str()), (1, "fifo-64k"));
        assert_eq!(basic.ratios[0].summary.median, 0.25);
    }
}
