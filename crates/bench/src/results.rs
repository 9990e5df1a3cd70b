//! What is kept of a comparison: the raw trials and what was worked out from them. results.json is exactly this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::placement::Placement;
use super::statistics::Summary;
use super::targets::Verdict;

/// Of this form; a reader refuses another one.
pub(super) const FORMAT: u32 = 1;

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) format: u32,
    /// It was interrupted; what there is, is whole.
    pub(super) incomplete: bool,
    /// As typed.
    pub(super) command: String,
    /// When it began, in UTC.
    pub(super) began: String,
    pub(super) seconds: f64,
    /// Runs of each cell that were asked for, and how long a trial was meant to take.
    pub(super) runs: usize,
    pub(super) trial_seconds: f64,
    pub(super) full: bool,
    /// How our own programs waited; empty: before one could choose.
    #[serde(default)]
    pub(super) wait: String,
    pub(super) machine: Machine,
    /// In the order of measuring.
    pub(super) columns: Vec<ColumnInfo>,
    pub(super) trials: Vec<Trial>,
    pub(super) figures: Vec<Figure>,
    pub(super) totals: Vec<Total>,
    /// Of the targets that were measured.
    #[serde(default)]
    pub(super) targets: Vec<Verdict>,
    pub(super) conclusion: Vec<Finding>,
}

/// A column that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ColumnInfo {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) title: String,
    pub(super) placements: Vec<Placement>,
    /// Rows without figures here, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// The exact commands.
    pub(super) commands: Vec<Commands>,
}

/// How a row was started; DIR is a new directory for each trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Commands {
    pub(super) row: String,
    pub(super) placement: Placement,
    pub(super) server: String,
    pub(super) client: String,
}

/// One run of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) column: String,
    pub(super) placement: Placement,
    pub(super) row: String,
    pub(super) run: usize,
    /// By metric.
    pub(super) values: BTreeMap<String, f64>,
    /// Requests whose replies were checked; or handshakes.
    pub(super) answered: u64,
    pub(super) lost: u64,
    pub(super) wrong: u64,
    /// Nanoseconds, and how many took so long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) histogram: Vec<(u64, u64)>,
    /// Why there are no values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

/// All runs of a row, in one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) column: String,
    pub(super) placement: Placement,
    pub(super) row: String,
    pub(super) metric: String,
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// The runs were too far apart.
    pub(super) wide: bool,
    pub(super) ratios: Vec<Ratio>,
}

/// A figure over that of a reference, run by run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    pub(super) to: String,
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) wide: bool,
}

/// Over all trials of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Total {
    pub(super) row: String,
    pub(super) answered: u64,
    pub(super) lost: u64,
    pub(super) wrong: u64,
    pub(super) failed_trials: u64,
}

/// A sentence of the conclusion, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    /// What one wants to know.
    pub(super) question: String,
    pub(super) answer: String,
}

impl Results {
    /// How our own programs waited, in words that follow others.
    pub(super) fn waited(&self) -> String {
        if self.wait.is_empty() { String::new() } else { format!(" with --wait {}", self.wait) }
    }

    /// The figure of this place in the tables.
    pub(super) fn figure(
        &self,
        column: &str,
        placement: Placement,
        row: &str,
        metric: &str,
    ) -> Option<&Figure> {
        self.figures.iter().find(|figure| {
            figure.column == column
                && figure.placement == placement
                && figure.row == row
                && figure.metric == metric
        })
    }

    /// The rows that have trials in a column, in the order of the first run.
    pub(super) fn rows_of(&self, column: &str, placement: Placement) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for trial in self.trials.iter().filter(|trial| trial.column == column && trial.placement == placement)
        {
            if !rows.contains(&trial.row.as_str()) {
                rows.push(&trial.row);
            }
        }
        rows.sort_by_key(|name| super::rows::ROWS.iter().position(|row| row.name == *name));
        rows
    }
}

/// Results to test with.
#[cfg(test)]
pub(super) mod samples {
    use std::path::Path;

    use super::*;
    use crate::columns::columns;
    use crate::figures::{figures, totals};

    fn trial(column: &str, row: &str, run: usize, values: &[(&str, f64)]) -> Trial {
        Trial {
            column: column.into(),
            placement: Placement::Free,
            row: row.into(),
            run,
            values: values.iter().map(|(metric, value)| ((*metric).into(), *value)).collect(),
            answered: 50,
            lost: 0,
            wrong: 0,
            histogram: vec![(10_000, 40), (20_000, 9), (90_000, 1)],
            failure: None,
        }
    }

    /// Of made-up trials.
    pub(in super::super) fn results() -> Results {
        let mut trials = Vec::new();
        for (row, p50) in [
            ("basic", [20.0, 24.0]),
            ("forking", [21.0, 22.0]),
            ("dispatch", [40.0, 44.0]),
            ("fifo-ping-pong", [10.0, 12.0]),
        ] {
            for (run, p50) in p50.into_iter().enumerate() {
                trials.push(trial("round-trip", row, run, &[("p50", p50), ("p99", 3.0 * p50)]));
            }
        }
        for (row, wait, in_line) in [("basic", 200.0, 1.0), ("forking", 0.4, 0.0), ("dispatch", 0.5, 0.0)] {
            trials.push(trial("second-client", row, 0, &[("wait", wait), ("in-line", in_line)]));
        }
        for (row, served) in [("basic", 50.0), ("forking", 50.0), ("course", 1.0)] {
            let values = [("clients", 50.0), ("served", served), ("lost", 50.0 - served)];
            trials.push(trial("losses", row, 0, &values));
        }
        for (column, rate) in [("throughput-1x64", 1.0), ("throughput-8x64", 2.0)] {
            trials.push(trial(column, "basic", 0, &[("rate", 1e5 * rate)]));
            trials.push(trial(column, "forking", 0, &[("rate", 3e5 * rate)]));
        }
        let info = |id: &str| {
            let column = columns().into_iter().find(|column| column.id == id).unwrap();
            ColumnInfo {
                id: id.into(),
                group: column.group.to_string(),
                title: column.title,
                placements: vec![Placement::Free],
                left_out: Vec::new(),
                commands: Vec::new(),
            }
        };
        let ids = ["round-trip", "throughput-1x64", "throughput-8x64", "second-client", "losses"];
        Results {
            format: FORMAT,
            incomplete: false,
            command: "lab compare".into(),
            began: "2026-01-01T00:00:00Z".into(),
            seconds: 60.0,
            runs: 2,
            trial_seconds: 0.1,
            full: false,
            wait: "adaptive".into(),
            machine: Machine::look(Path::new("/")),
            columns: ids.map(info).into(),
            figures: figures(&trials, &columns()),
            totals: totals(&trials),
            trials,
            targets: Vec::new(),
            conclusion: Vec::new(),
        }
    }
}
