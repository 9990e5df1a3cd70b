//! What a trial has shown: from what its clients report.

use load::Report;

use crate::model::results::Outcome;

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
