//! Deadlines on the monotonic clock, which stands still while the process waits at its gate.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds that this process has waited at its gate so far.
static STOOD_STILL: AtomicU64 = AtomicU64::new(0);

/// Returns the monotonic clock in nanoseconds. All processes of the machine see one clock (clock_gettime(2)).
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists");
    now.num_nanoseconds().cast_unsigned()
}

/// Returns the monotonic clock at the last tick of the kernel, at most 10 ms ago (`CLOCK_MONOTONIC_COARSE`,
/// Linux only). In a virtual machine this takes 7 ns, where the exact time takes 80.
pub(crate) fn last_tick() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("CLOCK_MONOTONIC_COARSE always exists").into()
}

/// Returns the process's own time: the monotonic clock without the waits at the gate.
pub fn now() -> Duration {
    Duration::from_nanos(monotonic_ns() - STOOD_STILL.load(Relaxed))
}

/// Runs `stand`, and stops this process's own time meanwhile.
pub fn stand_still(stand: impl FnOnce()) {
    let since = monotonic_ns();
    stand();
    STOOD_STILL.fetch_add(monotonic_ns() - since, Relaxed);
}

/// The longest wait that is asked of the kernel: 100 years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A moment at which a wait ends, or never. The earlier deadline is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// A deadline that never passes.
    pub const NEVER: Self = Self(Duration::MAX);

    /// Returns the deadline `patience` from now. 0 means never, as on the command line.
    pub fn after(patience: Duration) -> Self {
        if patience.is_zero() { Self::NEVER } else { Self::in_exactly(patience) }
    }

    /// Returns the deadline `pause` from now, even if that is 0.
    pub fn in_exactly(pause: Duration) -> Self {
        Self(now().saturating_add(pause))
    }

    /// Returns the deadline at this moment of the process's own time.
    pub fn at(moment: Duration) -> Self {
        Self(moment)
    }

    /// Returns the earlier of the two.
    pub fn or(self, other: Self) -> Self {
        self.min(other)
    }

    /// Returns whether the deadline has passed.
    pub fn passed(self) -> bool {
        self != Self::NEVER && now() >= self.0
    }

    /// Returns the time left, at most 100 years. `None`: forever.
    pub fn left(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| self.0.saturating_sub(now()).min(LONGEST))
    }

    /// Returns the time left in whole milliseconds, rounded up, for epoll_wait(2). -1: forever.
    pub fn milliseconds(self) -> i32 {
        self.left().map_or(-1, |left| i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
    }
}

/// The pauses between attempts, each longer than the one before. (inotify(7) would notify at once, but a user
/// has only 128 instances of it.)
#[derive(Debug)]
pub struct Pauses(Duration);

impl Pauses {
    const SHORTEST: Duration = Duration::from_micros(20);
    /// For a process that polls during such a pause. No wake-up delays it.
    const SHORTEST_POLL: Duration = Duration::from_micros(5);
    const LONGEST: Duration = Duration::from_millis(20);

    /// Returns the pauses from the beginning, with the shortest one next.
    pub fn first() -> Self {
        Self(Self::SHORTEST)
    }

    /// Returns new pauses. The first is 5 us for a process that polls before it sleeps, and otherwise 20 us.
    pub fn from_shortest(polls: bool) -> Self {
        Self(if polls { Self::SHORTEST_POLL } else { Self::SHORTEST })
    }

    /// Begins the next pause. Returns its end.
    pub fn begin(&mut self) -> Deadline {
        let end = Deadline::in_exactly(self.0);
        self.0 = (self.0 * 2).min(Self::LONGEST);
        end
    }
}
