//! The results, as text and as JSON.

use std::fmt;

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::Asked;
use super::tally::Tally;

/// The result of one run; its JSON form has these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The number of connections, as requested.
    pub connections: usize,
    /// Requests answered in total; with `--connect-only`, completed handshakes.
    pub requests: u64,
    /// Bytes of each request.
    pub payload: usize,
    /// The most unanswered requests of a connection at a time.
    pub window: usize,
    /// From the first handshake's first system call to the last READY.
    #[serde(default)]
    pub connect_seconds: f64,
    /// From the first request written to the last reply parsed.
    pub seconds: f64,
    /// `requests` per second of `seconds`.
    pub requests_per_second: f64,
    /// Requests without an answer: the deadline passed, or the connection was lost. With `--connect-only`,
    /// HELLOs.
    pub lost: u64,
    /// Connections that failed, for any reason.
    pub errors: u64,
    /// Replies that differ from what the service must answer.
    pub mismatches: u64,
    /// Frames exchanged in all handshakes together: 3 for each that needed no retry.
    pub handshake_records: u64,
    /// From before the write to the parsed reply; with `--connect-only`, from a handshake's first system call
    /// to READY.
    pub latency_ns: Latency,
    /// Only with `--connect-only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connects_per_second: Option<f64>,
    /// What this process itself used.
    pub usage: Usage,
    /// With `--histogram`: pairs of a latency in nanoseconds, rounded to two digits, and its count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Vec<(u64, u64)>>,
}

/// The kernel's counters of processes (getrusage(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, user and kernel together.
    pub processor_seconds: f64,
    /// How often a process left the processor, voluntarily or not.
    pub context_switches: u64,
}

impl Usage {
    /// Of this process until now.
    pub fn of_this_process() -> Self {
        Self::of(UsageWho::RUSAGE_SELF)
    }

    /// Of all children that were reaped until now, and of their children.
    pub fn of_the_reaped() -> Self {
        Self::of(UsageWho::RUSAGE_CHILDREN)
    }

    fn of(counted: UsageWho) -> Self {
        let usage = getrusage(counted).expect("there is no other way to ask wrongly");
        let time = (usage.user_time() + usage.system_time()).num_microseconds();
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Self { processor_seconds: time as f64 / 1e6, context_switches: switches.cast_unsigned() }
    }

    /// The increase since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            processor_seconds: (self.processor_seconds - before.processor_seconds).max(0.0),
            context_switches: self.context_switches.saturating_sub(before.context_switches),
        }
    }
}

/// Points of a distribution, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: u64,
    /// Nine in ten were faster.
    pub p90: u64,
    /// 99 in 100 were faster.
    pub p99: u64,
    /// 999 in 1,000 were faster.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

impl Report {
    /// The report of what was counted.
    pub(crate) fn new(asked: &Asked, tally: &Tally, usage: Usage, with_histogram: bool) -> Self {
        let seconds = tally.seconds();
        let rate = if seconds > 0.0 { tally.requests as f64 / seconds } else { 0.0 };
        let quantile = |part| tally.latency.value_at_quantile(part);
        Self {
            connections: asked.connections,
            requests: tally.requests,
            payload: asked.payload,
            window: asked.window,
            connect_seconds: tally.connect_seconds(),
            seconds,
            requests_per_second: rate,
            lost: tally.lost,
            errors: tally.errors,
            mismatches: tally.mismatches,
            handshake_records: tally.handshake_records,
            latency_ns: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p999: quantile(0.999),
                max: tally.latency.max(),
            },
            connects_per_second: asked.connect_only.then_some(rate),
            usage,
            histogram: with_histogram.then(|| coarse(&tally.latency)),
        }
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is plain data")
    }
}

/// Formats the report as an aligned table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = self.latency_ns;
        let rows = [
            ("connections", self.connections.to_string()),
            ("requests", self.requests.to_string()),
            ("payload", format!("{} bytes", self.payload)),
            ("window", self.window.to_string()),
            ("seconds to connect", format!("{:.6}", self.connect_seconds)),
            ("seconds", format!("{:.6}", self.seconds)),
            ("requests per second", format!("{:.0}", self.requests_per_second)),
            ("lost", self.lost.to_string()),
            ("errors", self.errors.to_string()),
            ("mismatches", self.mismatches.to_string()),
            ("handshake records", self.handshake_records.to_string()),
            ("latency, 50 %", time(latency.p50)),
            ("latency, 90 %", time(latency.p90)),
            ("latency, 99 %", time(latency.p99)),
            ("latency, 99.9 %", time(latency.p999)),
            ("latency, longest", time(latency.max)),
            ("own processor time", format!("{:.3} s", self.usage.processor_seconds)),
            ("own switches", self.usage.context_switches.to_string()),
        ];
        let connects = self.connects_per_second.map(|rate| ("connects per second", format!("{rate:.0}")));
        let lines: Vec<String> =
            rows.into_iter().chain(connects).map(|(name, value)| format!("{name:<19}  {value}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reduces a distribution to two digits: far smaller, with no visible difference.
fn coarse(fine: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut coarse = Histogram::<u64>::new_with_max(fine.high(), 2).expect("the bounds are sound");
    coarse.add(fine).expect("it has room for all that the other one has");
    coarse.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect()
}

fn time(nanoseconds: u64) -> String {
    match nanoseconds as f64 {
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.3} s", ns / 1e9),
    }
}
