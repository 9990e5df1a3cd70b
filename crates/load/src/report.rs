//! What was measured, for people and for programs.

use std::fmt;

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::tally::Tally;

/// The result of one run; its JSON form has these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// As asked for.
    pub connections: usize,
    /// Requests answered, in all; with `--connect-only`, handshakes done.
    pub requests: u64,
    /// Bytes of each request.
    pub payload: usize,
    /// Requests of a connection that might be unanswered at a time.
    pub window: usize,
    /// From the first handshake's first system call to the last READY.
    #[serde(default)]
    pub connect_seconds: f64,
    /// From the first request written to the last reply parsed.
    pub seconds: f64,
    /// `requests` in each of those.
    pub requests_per_second: f64,
    /// Requests without an answer: the deadline passed, or the connection was lost. With `--connect-only`,
    /// HELLOs.
    pub lost: u64,
    /// Connections that failed, by any error.
    pub errors: u64,
    /// Replies that were not what the service must answer.
    pub mismatches: u64,
    /// Frames exchanged in all handshakes together: 3 each, if no client had to retry.
    pub handshake_records: u64,
    /// From before the write to the parsed reply; with `--connect-only`, from a handshake's first system call
    /// to READY.
    pub latency_ns: Latency,
    /// With `--connect-only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connects_per_second: Option<f64>,
    /// What this process itself has used.
    pub usage: Usage,
    /// With `--histogram`: nanoseconds, to two digits, and how many took so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Vec<(u64, u64)>>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// How many connections.
    pub connections: usize,
    /// Bytes of each request.
    pub payload: usize,
    /// Requests of a connection that may be unanswered at a time.
    pub window: usize,
    /// Handshakes alone.
    pub connect_only: bool,
}

/// What the kernel has counted of processes (getrusage(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Time on a processor, in user and kernel together.
    pub processor_seconds: f64,
    /// How often a process left the processor, whether it waited or was made to.
    pub context_switches: u64,
}

impl Usage {
    /// Of this process so far.
    pub fn of_this_process() -> Self {
        Self::of(UsageWho::RUSAGE_SELF)
    }

    /// Of all children that were reaped so far, and of theirs.
    pub fn of_the_reaped() -> Self {
        Self::of(UsageWho::RUSAGE_CHILDREN)
    }

    fn of(who: UsageWho) -> Self {
        let usage = getrusage(who).expect("there is no other way to ask wrongly");
        let time = (usage.user_time() + usage.system_time()).num_microseconds();
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Self { processor_seconds: time as f64 / 1e6, context_switches: switches.cast_unsigned() }
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            processor_seconds: (self.processor_seconds - before.processor_seconds).max(0.0),
            context_switches: self.context_switches.saturating_sub(before.context_switches),
        }
    }
}

/// Some points of a distribution, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half were quicker.
    pub p50: u64,
    /// Nine in ten were quicker.
    pub p90: u64,
    /// 99 in 100 were quicker.
    pub p99: u64,
    /// 999 in 1,000 were quicker.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

impl Report {
    /// Of what was counted.
    pub fn new(asked: &Asked, tally: &Tally, usage: Usage, with_histogram: bool) -> Self {
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

/// A line for each figure, aligned.
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

/// A distribution to two digits: far smaller, and no eye sees the difference.
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
