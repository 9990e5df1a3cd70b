//! What a trial has shown.

use std::collections::BTreeMap;

use load::Report;

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) values: BTreeMap<String, f64>,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    pub(crate) histogram: Vec<(u64, u64)>,
    /// The server's and the client's.
    pub(crate) commands: (String, String),
}

impl Outcome {
    pub(crate) fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied()
    }

    pub(crate) fn set(&mut self, metric: &str, value: f64) {
        self.values.insert(metric.into(), value);
    }

    pub(crate) fn count(&mut self, report: &Report) {
        self.answered += report.requests;
        self.lost += report.lost.max(report.errors);
        self.wrong += report.mismatches;
    }

    /// How long its replies took.
    pub(crate) fn set_latency(&mut self, report: &Report) {
        let latency = report.latency_ns;
        for (metric, ns) in [("p50", latency.p50), ("p99", latency.p99), ("p999", latency.p999)] {
            self.set(metric, ns as f64 / 1e3);
        }
    }
}
