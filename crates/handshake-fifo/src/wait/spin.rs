//! The adaptive wait: a process polls for a moment before it sleeps, as long as that pays.
//!
//! Waking a process that sleeps on another core takes tens of microseconds. A polling process sees a byte
//! within one. But polling in vain keeps a core from other processes that have work to do.
//!
//! Each process therefore learns from its own past. After one poll in vain it sleeps at once in the next 16
//! waits, after the next in 32, up to 65,536. A poll that finds something halves that number.
//!
//! A wait shorter than one poll (a back-off pause of a connecting client) is spent polling, as long as
//! polling pays. Falling asleep and waking up would take longer. The process learns nothing from such a wait.

use std::cell::Cell;
use std::time::Duration;

use crate::deadline::monotonic_ns;

/// The longest poll: about as long as the sleep and the wake-up that it may save.
const BUDGET: Duration = Duration::from_micros(50);

/// How many waits sleep at once after the first poll in vain, and after many.
const FIRST_PENALTY: u32 = 16;
const LONGEST_PENALTY: u32 = 65_536;

/// How a process waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitMode {
    /// Polls for a moment if that has paid recently, and then sleeps.
    #[default]
    Adaptive,
    /// Sleeps at once.
    Block,
}

/// What a process has learnt from its waits.
#[derive(Debug)]
pub(super) struct AdaptiveSpin {
    mode: Cell<WaitMode>,
    /// How many of the next waits sleep at once.
    sleeps: Cell<u32>,
    /// How many waits will sleep at once if the next poll is in vain.
    penalty: Cell<u32>,
}

impl AdaptiveSpin {
    pub(super) fn new() -> Self {
        Self { mode: Cell::default(), sleeps: Cell::new(0), penalty: Cell::new(FIRST_PENALTY) }
    }

    pub(super) fn set(&self, mode: WaitMode) {
        self.mode.set(mode);
    }

    /// Discards what was learnt, because the waits of a new subserver begin. The first wait, for READY,
    /// sleeps at once: the client slept during the fork, so that a poll would be in vain.
    pub(super) fn begin_asleep(&self) {
        self.sleeps.set(1);
        self.penalty.set(FIRST_PENALTY);
    }

    /// Returns whether the next wait polls.
    pub(super) fn polls(&self) -> bool {
        self.mode.get() == WaitMode::Adaptive && self.sleeps.get() == 0
    }

    /// Calls `look` until it finds something, until the budget is spent, or until the time `left` of this
    /// wait is over. Does not poll at all if polling has not paid.
    pub(super) fn look<T>(&self, left: Option<Duration>, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.mode.get() == WaitMode::Block {
            return None;
        }
        if let Some(pause) = left.filter(|left| *left < BUDGET) {
            return if self.sleeps.get() == 0 { poll_for(pause, look) } else { None };
        }
        if let Some(left) = self.sleeps.get().checked_sub(1) {
            self.sleeps.set(left);
            return None;
        }
        // A result at the first look proves nothing: a sleep would have been as short.
        if let Some(found) = look() {
            return Some(found);
        }
        let (penalty, found) = (self.penalty.get(), poll_for(BUDGET, look));
        if found.is_some() {
            self.penalty.set((penalty / 2).max(FIRST_PENALTY));
        } else {
            self.sleeps.set(penalty);
            self.penalty.set((penalty * 2).min(LONGEST_PENALTY));
        }
        found
    }
}

fn poll_for<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = monotonic_ns() + u64::try_from(time.as_nanos()).expect("a short time");
    loop {
        let found = look();
        if found.is_some() || monotonic_ns() >= until {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many waits sleep at once after this one.
    fn sleeps_after(spin: &AdaptiveSpin, finds: bool) -> u32 {
        let mut looks = 0;
        let mut look = || {
            looks += 1;
            (finds && looks > 1).then_some(())
        };
        assert_eq!(spin.look(None, &mut look).is_some(), finds);
        let asleep = || spin.look(None, || -> Option<()> { panic!("it polled") });
        let sleeps = spin.sleeps.get();
        (0..sleeps).for_each(|_| assert_eq!(asleep(), None));
        sleeps
    }

    #[test]
    fn a_poll_in_vain_doubles_the_sleeps_and_a_success_halves_them() {
        let spin = AdaptiveSpin::new();
        assert_eq!(sleeps_after(&spin, true), 0);
        assert_eq!([(); 4].map(|()| sleeps_after(&spin, false)), [16, 32, 64, 128]);
        assert_eq!(sleeps_after(&spin, true), 0);
        assert_eq!(sleeps_after(&spin, true), 0);
        assert_eq!(sleeps_after(&spin, false), 64);
        (0..20).for_each(|_| assert!(sleeps_after(&spin, false) > 0));
        assert_eq!(sleeps_after(&spin, false), LONGEST_PENALTY);
        spin.begin_asleep();
        assert_eq!(spin.look(None, || -> Option<()> { panic!("it polled") }), None);
        assert_eq!(sleeps_after(&spin, false), 16);
    }

    #[test]
    fn a_result_at_the_first_look_changes_nothing() {
        let spin = AdaptiveSpin::new();
        sleeps_after(&spin, false);
        assert_eq!(spin.look(None, || Some(())), Some(()));
        assert_eq!(sleeps_after(&spin, false), 32);
    }

    #[test]
    fn a_short_pause_is_spent_polling_and_teaches_nothing() {
        let spin = AdaptiveSpin::new();
        let pause = Some(Duration::from_micros(1));
        let mut looks = 0;
        let mut in_vain = || -> Option<()> {
            looks += 1;
            None
        };
        assert_eq!(spin.look(pause, &mut in_vain), None);
        assert!(looks > 0);
        assert_eq!(spin.look(pause, || Some(())), Some(()));
        assert!(spin.polls());
        assert_eq!(spin.look(None, || None::<()>), None);
        assert_eq!(spin.look(pause, || -> Option<()> { panic!("it polled") }), None);
        assert_eq!((spin.sleeps.get(), spin.polls()), (FIRST_PENALTY, false));
    }

    #[test]
    fn block_mode_never_polls() {
        let spin = AdaptiveSpin::new();
        spin.set(WaitMode::Block);
        assert!(!spin.polls());
        assert_eq!(spin.look(None, || -> Option<()> { panic!("it polled") }), None);
    }
}
