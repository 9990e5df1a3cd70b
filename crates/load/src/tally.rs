//! What is counted, over all connections.

use std::time::Duration;

use handshake_core::error::{Error, Status};
use hdrhistogram::Histogram;

/// Latencies are kept to three digits, up to this many nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// The most different failures that are printed.
const TOLD: usize = 5;

/// Counts, times and complaints.
#[derive(Debug)]
pub struct Tally {
    /// Requests answered, or handshakes done.
    pub requests: u64,
    /// Requests without an answer.
    pub lost: u64,
    /// Connections that failed.
    pub errors: u64,
    /// Replies that were not what they must be.
    pub mismatches: u64,
    /// Frames exchanged in all handshakes.
    pub handshake_records: u64,
    /// How long each took, in nanoseconds.
    pub latency: Histogram<u64>,
    /// The beginning of the first handshake, and the end of the last.
    connecting: Option<(Duration, Duration)>,
    /// When the first request was about to be written, and when the last reply had been parsed.
    begun: Option<Duration>,
    ended: Duration,
    /// Whether every connection that failed was refused before it was one.
    only_refused: bool,
    /// The first different failures, and how often each was seen.
    told: Vec<(String, u64)>,
    untold: u64,
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
            told: Vec::new(),
            untold: 0,
        }
    }
}

impl Tally {
    /// A handshake that began at `since` is done.
    pub(crate) fn connected(&mut self, since: Duration, now: Duration) {
        let (first, _) = self.connecting.unwrap_or((since, now));
        self.connecting = Some((first.min(since), now));
    }

    /// From the first handshake's first system call to the last READY.
    pub(crate) fn connect_seconds(&self) -> f64 {
        self.connecting.map_or(0.0, |(first, last)| (last - first).as_secs_f64())
    }

    /// The first thing that is measured begins at `now`; later calls say nothing.
    pub fn begins(&mut self, now: Duration) {
        self.begun.get_or_insert(now);
    }

    /// What began at `since` was done at `now`.
    pub fn done(&mut self, since: Duration, now: Duration) {
        self.requests += 1;
        self.ended = now;
        self.latency.saturating_record(u64::try_from((now - since).as_nanos()).unwrap_or(LONGEST));
    }

    /// A reply was not what it must be; `how` says it in words.
    pub fn mismatch(&mut self, how: impl FnOnce() -> String) {
        self.mismatches += 1;
        // The first stands for all: each has other numbers.
        if self.mismatches == 1 { self.tell(how()) } else { self.untold += 1 }
    }

    /// A connection failed, with so much unanswered.
    pub fn failed(&mut self, error: &Error, unanswered: usize) {
        self.errors += 1;
        self.lost += unanswered as u64;
        self.only_refused &= error.status() == Status::Refused;
        self.tell(error.to_string());
    }

    fn tell(&mut self, text: String) {
        let all_told = self.told.len() == TOLD;
        match self.told.iter_mut().find(|(told, _)| *told == text) {
            Some((_, times)) => *times += 1,
            None if all_told => self.untold += 1,
            None => self.told.push((text, 1)),
        }
    }

    /// What went wrong, in words.
    pub fn complaints(&self) -> impl Iterator<Item = String> {
        let told = self.told.iter().map(|(text, times)| match times {
            1 => text.clone(),
            _ => format!("{text} ({times} times)"),
        });
        told.chain((self.untold > 0).then(|| format!("and {} failures more", self.untold)))
    }

    /// From the first thing measured to the last.
    pub fn seconds(&self) -> f64 {
        self.begun.map_or(Duration::ZERO, |begun| self.ended.saturating_sub(begun)).as_secs_f64()
    }

    /// The exit status.
    pub fn status(&self) -> Status {
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
    fn the_status_says_who_is_to_blame() {
        let mut tally = Tally::default();
        assert_eq!(tally.status(), Status::Done);
        tally.failed(&Error::on("make", "a pipe", Errno::ENOSPC), 0);
        assert_eq!(tally.status(), Status::Refused);
        tally.done(Duration::ZERO, Duration::from_nanos(5));
        assert_eq!(tally.status(), Status::Broken);
        let mut tally = Tally::default();
        tally.failed(&Error::Lost { what: "it left".into(), unanswered: 3 }, 3);
        assert_eq!((tally.status(), tally.lost), (Status::Broken, 3));
    }

    #[test]
    fn failures_are_told_once_each_and_not_without_end() {
        let mut tally = Tally::default();
        for number in [1, 1, 2, 3, 4, 5, 6, 7] {
            tally.failed(&Error::Refused { reason: format!("reason {number}") }, 0);
        }
        let told: Vec<String> = tally.complaints().collect();
        assert_eq!(told.len(), TOLD + 1);
        assert!(told[0].ends_with("reason 1 (2 times)"), "{told:?}");
        assert_eq!(told[TOLD], "and 2 failures more");
    }
}
