//! What is kept of a comparison: the raw trials and what was worked out from them. results.json is exactly
//! this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::columns::Column;
use crate::model::machine::Machine;
use crate::model::placement::Placement;
use crate::model::rows::place;
use crate::model::statistics::Summary;

/// The version of the format; files of another version are refused.
pub(crate) const FORMAT: u32 = 1;

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) format: u32,
    /// It was interrupted. The results so far are complete.
    pub(crate) incomplete: bool,
    /// As typed.
    pub(crate) command: String,
    /// When it began, in UTC.
    pub(crate) began: String,
    pub(crate) seconds: f64,
    /// Runs of each cell that were asked for, and how long a trial was meant to take.
    pub(crate) runs: usize,
    pub(crate) trial_seconds: f64,
    pub(crate) full: bool,
    /// How our own programs waited; empty: before one could choose.
    #[serde(default)]
    pub(crate) wait: String,
    pub(crate) machine: Machine,
    /// In the order of measuring.
    pub(crate) columns: Vec<ColumnInfo>,
    pub(crate) trials: Vec<Trial>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) totals: Vec<Total>,
    /// Of the targets that were measured.
    #[serde(default)]
    pub(crate) targets: Vec<Verdict>,
    pub(crate) conclusion: Vec<Finding>,
}

/// A column that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnInfo {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) title: String,
    pub(crate) placements: Vec<Placement>,
    /// Rows without figures here, and why.
    pub(crate) left_out: Vec<(String, String)>,
    /// The exact commands.
    pub(crate) commands: Vec<Commands>,
}

/// How a row was started; DIR is a new directory for each trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commands {
    pub(crate) row: String,
    pub(crate) placement: Placement,
    pub(crate) server: String,
    pub(crate) client: String,
}

/// One run of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) column: String,
    pub(crate) placement: Placement,
    pub(crate) row: String,
    pub(crate) run: usize,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// Why there are no values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// What a run has shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// By metric.
    pub(crate) values: BTreeMap<String, f64>,
    /// Requests whose replies were checked; or handshakes.
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    /// Nanoseconds, and how many took so long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) histogram: Vec<(u64, u64)>,
    /// The server's and the client's. Kept once for all runs, in [`Commands`].
    #[serde(skip)]
    pub(crate) commands: (String, String),
}

/// All runs of a row, in one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) column: String,
    pub(crate) placement: Placement,
    pub(crate) row: String,
    pub(crate) metric: String,
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) ratios: Vec<Ratio>,
}

/// A figure over that of a reference, run by run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) summary: Summary,
}

/// Over all trials of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) row: String,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    pub(crate) failed_trials: u64,
}

/// What came out for one row at one placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) column: String,
    pub(crate) placement: Placement,
    pub(crate) row: String,
    pub(crate) metric: String,
    /// The reference; empty where the figure is a ratio itself.
    pub(crate) to: String,
    /// `at most 0.1`.
    pub(crate) target: String,
    /// By the median.
    pub(crate) reached: bool,
    /// All runs say the same.
    pub(crate) in_every_run: bool,
    #[serde(flatten)]
    pub(crate) measured: Summary,
}

/// A question, and the answer that the figures give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) question: String,
    pub(crate) answer: String,
}

impl Results {
    /// How our own programs waited, in words that follow others.
    pub(crate) fn waited(&self) -> String {
        if self.wait.is_empty() { String::new() } else { format!(" with --wait {}", self.wait) }
    }

    /// The figure of this place in the tables.
    pub(crate) fn figure(
        &self,
        column: &str,
        placement: Placement,
        row: &str,
        metric: &str,
    ) -> Option<&Figure> {
        let is_it = |figure: &&Figure| {
            (&*figure.column, figure.placement, &*figure.row, &*figure.metric)
                == (column, placement, row, metric)
        };
        self.figures.iter().find(is_it)
    }

    /// The rows that have trials in a column, in the order of all rows.
    pub(crate) fn rows_of(&self, column: &str, placement: Placement) -> Vec<&str> {
        let is_here = |trial: &&Trial| trial.column == column && trial.placement == placement;
        let mut rows: Vec<&str> = self.trials.iter().filter(is_here).map(|trial| &*trial.row).collect();
        rows.sort_by_key(|name| (place(name), *name));
        rows.dedup();
        rows
    }
}

impl ColumnInfo {
    /// Of a column that is measured at this placement first.
    pub(crate) fn of(column: &Column, placement: Placement) -> Self {
        let own = |pair: &(&str, &str)| (pair.0.to_string(), pair.1.to_string());
        Self {
            id: column.id.clone(),
            group: column.group.to_string(),
            title: column.title.clone(),
            placements: vec![placement],
            left_out: column.left_out.iter().map(own).collect(),
            commands: Vec::new(),
        }
    }
}

impl Outcome {
    pub(crate) fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied()
    }

    pub(crate) fn set(&mut self, metric: &str, value: f64) {
        self.values.insert(metric.into(), value);
    }
}

impl Verdict {
    /// In a word or two, one below the other.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let words: &[&str] = match (self.reached, self.in_every_run) {
            (true, true) => &["reached"],
            (true, false) => &["reached", "not in every run"],
            (false, true) => &["not reached"],
            (false, false) => &["not reached", "in some runs"],
        };
        words.iter().map(|word| (*word).into()).collect()
    }
}
