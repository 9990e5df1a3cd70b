//! The counts of all connections.

use std::time::Duration;

use handshake_cli::{Status, explain};
use handshake_core::Error;
use hdrhistogram::Histogram;

/// The highest latency that is recorded, in nanoseconds (an hour); latencies have three digits.
const LONGEST: u64 = 3_600_000_000_000;

/// How many different failures are reported in words.
const REPORTED_MAX: usize = 5;

/// Counts, times and complaints.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answered requests, or completed handshakes.
    pub(crate) requests: u64,
    /// Requests without an answer.
    pub(crate) lost: u64,
    /// Failed connections.
    pub(crate) errors: u64,
    /// Wrong replies.
    pub(crate) mismatches: u64,
    /// Frames of all handshakes.
    pub(crate) handshake_records: u64,
    /// The latencies, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The beginning of the first handshake, and the end of the last.
    connecting: Option<(Duration, Duration)>,
    /// When the first request was about to be written, and when the last reply had been parsed.
    begun: Option<Duration>,
    ended: Duration,
    /// Whether every failed connection was refused before it was established.
    only_refused: bool,
    /// The first different failures, and the count of each.
    reported: Vec<(String, u64)>,
    unreported: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: 0,
            lost: 0,
            errors: 0,
            mismatches: 0,
            handshake_records: 0,
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are sound"),
            connecting: None,
            begun: None,
            ended: Duration::ZERO,
            only_refused: true,
            reported: Vec::new(),
            unreported: 0,
        }
    }
}

impl Tally {
    /// Counts a handshake that began at `since` and ended at `now`.
    pub(crate) fn connected(&mut self, since: Duration, now: Duration) {
        let (first, _) = self.connecting.unwrap_or((since, now));
        self.connecting = Some((first.min(since), now));
    }

    /// From the first handshake's first system call to the last READY.
    pub(crate) fn connect_seconds(&self) -> f64 {
        self.connecting.map_or(0.0, |(first, last)| (last - first).as_secs_f64())
    }

    /// Notes that the first measured request begins at `now`; later calls have no effect.
    pub(crate) fn begins(&mut self, now: Duration) {
        self.begun.get_or_insert(now);
    }

    /// Counts a request that was sent at `since` and answered at `now`.
    pub(crate) fn done(&mut self, since: Duration, now: Duration) {
        self.requests += 1;
        self.ended = now;
        self.latency.saturating_record(u64::try_from((now - since).as_nanos()).unwrap_or(LONGEST));
    }

    /// Counts a wrong reply; `how` describes it.
    pub(crate) fn mismatch(&mut self, how: impl FnOnce() -> String) {
        self.mismatches += 1;
        // Report only the first one, because each has different numbers.
        if self.mismatches == 1 { self.report(how()) } else { self.unreported += 1 }
    }

    /// Counts a failed connection, and its unanswered requests.
    pub(crate) fn failed(&mut self, error: &Error, unanswered: usize) {
        self.errors += 1;
        self.lost += unanswered as u64;
        self.only_refused &= Status::from(error) == Status::Refused;
        self.report(explain(error));
    }

    fn report(&mut self, text: String) {
        let all_told = self.reported.len() == REPORTED_MAX;
        match self.reported.iter_mut().find(|(reported, _)| *reported == text) {
            Some((_, times)) => *times += 1,
            None if all_told => self.unreported += 1,
            None => self.reported.push((text, 1)),
        }
    }

    /// The failures, in words.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = String> {
        let reported = self.reported.iter().map(|(text, times)| match times {
            1 => text.clone(),
            _ => format!("{text} ({times} times)"),
        });
        reported.chain((self.unreported > 0).then(|| format!("and {} failures more", self.unreported)))
    }

    /// The time from the first measured request to the last reply.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.map_or(Duration::ZERO, |begun| self.ended.saturating_sub(begun)).as_secs_f64()
    }

    /// The exit status.
    pub(crate) fn status(&self) -> Status {
        match (self.errors + self.lost + self.mismatches, self.requests) {
            (0, _) => Status::Done,
            (_, 0) if self.only_refused => Status::Refused,
            _ => Status::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn the_status_depends_on_the_kind_of_failure() {
        let mut tally = Tally::default();
        assert_eq!(tally.status(), Status::Done);
        tally.failed(&Error::on("make", "a pipe", Errno::ENOSPC), 0);
        assert_eq!(tally.status(), Status::Refused);
        tally.done(Duration::ZERO, Duration::from_nanos(5));
        assert_eq!(tally.status(), Status::Broken);
        let mut tally = Tally::default();
        tally.failed(&Error::lost_with("it left", 3), 3);
        assert_eq!((tally.status(), tally.lost), (Status::Broken, 3));
    }

    #[test]
    fn each_failure_is_reported_once_up_to_a_limit() {
        let mut tally = Tally::default();
        for number in [1, 1, 2, 3, 4, 5, 6, 7] {
            tally.failed(&Error::Refused { reason: format!("reason {number}") }, 0);
        }
        let reported: Vec<String> = tally.complaints().collect();
        assert_eq!(reported.len(), REPORTED_MAX + 1);
        assert!(reported[0].ends_with("reason 1 (2 times)"), "{reported:?}");
        assert_eq!(reported[REPORTED_MAX], "and 2 failures more");
    }
}
