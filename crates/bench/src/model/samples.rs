//! Results to test with.

use std::path::Path;

use crate::model::columns::columns;
use crate::model::figures::{figures, totals};
use crate::model::machine::Machine;
use crate::model::placement::Placement;
use crate::model::results::{ColumnInfo, FORMAT, Outcome, Results, Trial};

fn trial(column: &str, row: &str, run: usize, values: &[(&str, f64)]) -> Trial {
    Trial {
        column: column.into(),
        placement: Placement::Free,
        row: row.into(),
        run,
        outcome: Outcome {
            values: values.iter().map(|(metric, value)| ((*metric).into(), *value)).collect(),
            answered: 50,
            histogram: vec![(10_000, 40), (20_000, 9), (90_000, 1)],
            ..Outcome::default()
        },
        failure: None,
    }
}

/// Of made-up trials.
pub(crate) fn results() -> Results {
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
        ColumnInfo::of(&column, Placement::Free)
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
