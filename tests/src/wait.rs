//! The one way to wait: look, pause for a moment, look again, and fail at the deadline. Nothing else in these tests waits.

use std::fmt::Display;
use std::time::{Duration, Instant};

use nix::poll::ppoll;
use nix::sys::time::TimeSpec;

/// No wait takes longer. Far more than anything here needs, for a machine that does much else at the same time.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// The pauses grow from here ...
const FIRST_PAUSE: Duration = Duration::from_micros(200);
/// ... to here.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something; `what` says what, for the case that it never does.
pub fn until<T>(what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    within(WATCHDOG, what, look)
}

/// The same, where what is said in vain can only be said then.
pub(crate) fn until_told<T>(what: impl Fn() -> String, look: impl FnMut() -> Option<T>) -> T {
    try_within(WATCHDOG, look).unwrap_or_else(|| panic!("waited {WATCHDOG:?} in vain for {}", what()))
}

/// Waits until `look` is true.
pub fn until_true(what: impl Display, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}

/// The same with a deadline of its own.
pub fn within<T>(patience: Duration, what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    try_within(patience, look).unwrap_or_else(|| panic!("waited {patience:?} in vain for {what}"))
}

/// The same, for who can do without.
pub(crate) fn try_within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // Judged only after one more look: this process may have been stopped for a while.
        let late = since.elapsed() >= patience;
        if let Some(found) = look() {
            return Some(found);
        }
        if late {
            return None;
        }
        // Interrupted or not: the next look tells.
        let _ = ppoll(&mut [], Some(TimeSpec::from_duration(pause)), None);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
