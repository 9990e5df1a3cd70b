//! Deadlines on the monotonic clock, which stands still while the process waits at its gate.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds that this process has stood at its gate so far.
static STOOD_STILL: AtomicU64 = AtomicU64::new(0);

/// The monotonic clock, in nanoseconds: the same for all processes of the machine (clock_gettime(2)).
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists");
    now.num_nanoseconds().cast_unsigned()
}

/// The process's own time: the monotonic clock less what it stood at its gate.
pub fn now() -> Duration {
    Duration::from_nanos(monotonic_ns() - STOOD_STILL.load(Relaxed))
}

/// Runs `stand`, and lets this process's time stand still meanwhile.
pub fn stand_still(stand: impl FnOnce()) {
    let since = monotonic_ns();
    stand();
    STOOD_STILL.fetch_add(monotonic_ns() - since, Relaxed);
}

/// A moment at which patience ends, or never. Deadlines order by which comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// Patience without end.
    pub const NEVER: Self = Self(None);

    /// In `patience` from now. 0 means never, as on the command line.
    pub fn after(patience: Duration) -> Self {
        Self((!patience.is_zero()).then(|| now() + patience))
    }

    /// In `pause` from now, even if that is 0.
    pub fn in_exactly(pause: Duration) -> Self {
        Self(Some(now() + pause))
    }

    /// At this moment of the process's own time.
    pub fn at(moment: Duration) -> Self {
        Self(Some(moment))
    }

    /// Whichever comes first.
    pub fn or(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(two)) => Self(Some(one.min(two))),
            (one, two) => Self(one.or(two)),
        }
    }

    /// Whether it has come.
    pub fn passed(self) -> bool {
        self.0.is_some_and(|moment| now() >= moment)
    }

    /// The time left, for ppoll(2); `None` waits for ever.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_sub(now()))
    }

    /// The time left, in the form of ppoll(2); `None` waits for ever.
    pub fn timespec(self) -> Option<TimeSpec> {
        self.left().map(TimeSpec::from_duration)
    }

    /// The time left in whole milliseconds, rounded up, for epoll_wait(2); -1 waits for ever.
    pub fn milliseconds(self) -> i32 {
        self.left().map_or(-1, |left| i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.is_none(), self.0).cmp(&(other.0.is_none(), other.0))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The waits between two tries: from one to the next they grow. (inotify(7) would tell at once, but a user has only 128 of
/// it.)
#[derive(Debug)]
pub struct Pauses(Duration);

impl Pauses {
    const SHORTEST: Duration = Duration::from_micros(20);
    const LONGEST: Duration = Duration::from_millis(20);

    /// Before the first.
    pub fn new() -> Self {
        Self(Self::SHORTEST)
    }

    /// The next one begins now; returns its end.
    pub fn begin(&mut self) -> Deadline {
        let end = Deadline::in_exactly(self.0);
        self.0 = (self.0 * 2).min(Self::LONGEST);
        end
    }
}
