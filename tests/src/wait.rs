//! The only module that waits: it checks a condition, pauses, checks again, and panics at the deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

use nix::poll::ppoll;
use nix::sys::time::TimeSpec;

/// The deadline of every wait. It is much longer than any wait needs, for a busy machine.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
/// The longest pause. Each pause is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` returns a value. The panic message at the deadline says `what` did not happen.
pub fn until<T>(what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    within(WATCHDOG, what, look)
}

/// As [`until`], but makes the message only at the deadline.
pub(crate) fn until_with_message<T>(what: impl Fn() -> String, look: impl FnMut() -> Option<T>) -> T {
    try_within(WATCHDOG, look).unwrap_or_else(|| panic!("waited {WATCHDOG:?} in vain for {}", what()))
}

/// Waits until `look` returns true.
pub fn until_true(what: impl Display, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}

/// As [`until`], with a deadline of its own.
pub fn within<T>(patience: Duration, what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    try_within(patience, look).unwrap_or_else(|| panic!("waited {patience:?} in vain for {what}"))
}

/// Waits until `look` returns a value, and returns `None` at the deadline.
pub(crate) fn try_within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // The deadline counts only after one more look: this process may have been stopped for a while.
        let late = since.elapsed() >= patience;
        if let Some(found) = look() {
            return Some(found);
        }
        if late {
            return None;
        }
        // The result does not matter: a signal may interrupt the pause.
        let _ = ppoll(&mut [], Some(TimeSpec::from_duration(pause)), None);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
