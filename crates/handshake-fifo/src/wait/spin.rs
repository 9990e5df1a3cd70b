//! The adaptive wait: look for a moment before falling asleep, as long as that pays.
//!
//! To wake a process that sleeps on another core takes tens of microseconds; one that is awake sees a byte within one. But who
//! looks in vain keeps a core from somebody who has work to do. So each process bets on its own past: a look that was in
//! vain makes it sleep at once the next 16 times, then 32, and up to 65,536; one that found something halves that. A wait that is
//! over sooner than a look (a pause of a client that seeks a server) is passed awake as long as looking pays: to fall asleep
//! and be woken takes longer. Nothing is learnt of it.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::deadline::monotonic_ns;

/// How long a look lasts at most: about as long as the sleep and the wake-up that it may save.
const BUDGET: Duration = Duration::from_micros(50);

/// How many waits pay for the first look that was in vain, and for one after many.
const FIRST_PENALTY: u32 = 16;
const LONGEST_PENALTY: u32 = 65_536;

/// How a process waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitMode {
    /// Looks for a moment, where that has paid of late, and then sleeps.
    #[default]
    Adaptive,
    /// Sleeps at once.
    Block,
}

impl FromStr for WaitMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "adaptive" => Ok(Self::Adaptive),
            "block" => Ok(Self::Block),
            _ => Err("one of adaptive, block"),
        }
    }
}

impl fmt::Display for WaitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adaptive => "adaptive",
            Self::Block => "block",
        })
    }
}

/// What a process has learnt of its waits.
#[derive(Debug)]
pub(super) struct AdaptiveSpin {
    how: Cell<WaitMode>,
    /// So many of the next waits sleep at once.
    sleeps: Cell<u32>,
    /// What the next look costs if it is in vain.
    penalty: Cell<u32>,
}

impl AdaptiveSpin {
    pub(super) fn new() -> Self {
        Self { how: Cell::default(), sleeps: Cell::new(0), penalty: Cell::new(FIRST_PENALTY) }
    }

    pub(super) fn set(&self, how: WaitMode) {
        self.how.set(how);
    }

    /// Forgets what was learnt, since a subserver's waits begin. The first, for READY, sleeps at once: its client was kept waiting
    /// by a fork, and is asleep itself, so that a look would be in vain.
    pub(super) fn begin_asleep(&self) {
        self.sleeps.set(1);
        self.penalty.set(FIRST_PENALTY);
    }

    /// Looks again and again until `look` finds something or the budget is spent, or the wait's own time `left`; not at all if
    /// that has not paid.
    pub(super) fn look<T>(&self, left: Option<Duration>, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.how.get() == WaitMode::Block {
            return None;
        }
        if let Some(pause) = left.filter(|left| *left < BUDGET) {
            return if self.sleeps.get() == 0 { look_for(pause, look) } else { None };
        }
        if let Some(left) = self.sleeps.get().checked_sub(1) {
            self.sleeps.set(left);
            return None;
        }
        // What is there already proves nothing: a sleep would have been as short.
        if let Some(found) = look() {
            return Some(found);
        }
        let (penalty, found) = (self.penalty.get(), look_for(BUDGET, look));
        if found.is_some() {
            self.penalty.set((penalty / 2).max(FIRST_PENALTY));
        } else {
            self.sleeps.set(penalty);
            self.penalty.set((penalty * 2).min(LONGEST_PENALTY));
        }
        found
    }
}

fn look_for<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
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

    /// How many waits sleep at once after this one.
    fn sleeps_after(eager: &AdaptiveSpin, finds: bool) -> u32 {
        let mut looks = 0;
        let mut look = || {
            looks += 1;
            (finds && looks > 1).then_some(())
        };
        assert_eq!(eager.look(None, &mut look).is_some(), finds);
        let asleep = || eager.look(None, || -> Option<()> { panic!("it looked") });
        let sleeps = eager.sleeps.get();
        (0..sleeps).for_each(|_| assert_eq!(asleep(), None));
        sleeps
    }

    #[test]
    fn a_look_in_vain_is_paid_for_and_one_that_finds_something_halves_that() {
        let eager = AdaptiveSpin::new();
        assert_eq!(sleeps_after(&eager, true), 0);
        assert_eq!([(); 4].map(|()| sleeps_after(&eager, false)), [16, 32, 64, 128]);
        assert_eq!(sleeps_after(&eager, true), 0);
        assert_eq!(sleeps_after(&eager, true), 0);
        assert_eq!(sleeps_after(&eager, false), 64);
        (0..20).for_each(|_| assert!(sleeps_after(&eager, false) > 0));
        assert_eq!(sleeps_after(&eager, false), LONGEST_PENALTY);
        eager.begin_asleep();
        assert_eq!(eager.look(None, || -> Option<()> { panic!("it looked") }), None);
        assert_eq!(sleeps_after(&eager, false), 16);
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let eager = AdaptiveSpin::new();
        sleeps_after(&eager, false);
        assert_eq!(eager.look(None, || Some(())), Some(()));
        assert_eq!(sleeps_after(&eager, false), 32);
    }

    #[test]
    fn a_short_pause_is_passed_awake_while_looking_pays_and_teaches_nothing() {
        let eager = AdaptiveSpin::new();
        let pause = Some(Duration::from_micros(1));
        let mut looks = 0;
        let mut in_vain = || -> Option<()> {
            looks += 1;
            None
        };
        assert_eq!(eager.look(pause, &mut in_vain), None);
        assert!(looks > 0);
        assert_eq!(eager.look(pause, || Some(())), Some(()));
        assert_eq!(eager.sleeps.get(), 0);
        assert_eq!(eager.look(None, || None::<()>), None);
        assert_eq!(eager.look(pause, || -> Option<()> { panic!("it looked") }), None);
        assert_eq!(eager.sleeps.get(), FIRST_PENALTY);
    }

    #[test]
    fn who_is_to_sleep_at_once_never_looks() {
        let eager = AdaptiveSpin::new();
        eager.set(WaitMode::Block);
        assert_eq!(eager.look(None, || -> Option<()> { panic!("it looked") }), None);
    }
}
