//! The only place that sleeps: until a file descriptor is ready, a signal arrives, or a deadline passes.

pub mod signals;
pub mod spin;

use std::cell::Cell;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll, ppoll};
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

use crate::deadline::{Deadline, last_tick};
use crate::sys::Poller;
use signals::Signals;
use spin::{AdaptiveSpin, WaitMode};

/// The longest time that waits which find something at once may go on without a check for signals. A poll
/// that returns at once unblocks no signals. Measured by the kernel's ticks, the time may be one tick longer.
pub const SIGNALS_WITHIN: Duration = Duration::from_millis(10);

/// How many waits in a row may fail for lack of memory before that is an error. A failed wait cannot pause.
const FAILED_WAITS_MAX: u32 = 16;

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// This many file descriptors are ready.
    Ready(usize),
    /// A signal may have arrived: check [`Waiter::signals`].
    Signal,
    /// The deadline passed, and no file descriptor was ready.
    Deadline,
}

/// A set of file descriptors to wait for.
pub trait Pollable {
    /// Returns how many file descriptors are ready now. `None` if none is.
    fn look(&mut self) -> Option<usize>;

    /// Sleeps until a file descriptor is ready, a signal that `mask` unblocks arrives, or the deadline
    /// passes. Without a mask, the thread's own is in force.
    ///
    /// # Errors
    /// `EINTR`: a signal arrived. The others are those of ppoll(2) and epoll_wait(2).
    fn sleep(&mut self, until: Deadline, mask: Option<&SigSet>) -> Result<usize, Errno>;

    /// Whether there is nothing to look at: a mere pause.
    fn is_empty(&self) -> bool {
        false
    }
}

/// A few file descriptors. An empty slice makes a mere pause.
impl Pollable for &mut [PollFd<'_>] {
    fn look(&mut self) -> Option<usize> {
        let count = poll(self, PollTimeout::ZERO).ok()?;
        usize::try_from(count).ok().filter(|count| *count > 0)
    }

    fn sleep(&mut self, until: Deadline, mask: Option<&SigSet>) -> Result<usize, Errno> {
        let left = until.left().map(TimeSpec::from_duration);
        ppoll(self, left, mask.copied()).map(|count| count.cast_unsigned() as usize)
    }

    fn is_empty(&self) -> bool {
        self[..].is_empty()
    }
}

/// The many file descriptors of a [`Poller`]. After `Ready(n)`, the first n of `events` are filled in.
#[derive(Debug)]
pub struct Many<'a> {
    /// The poller that watches the file descriptors.
    pub poller: &'a Poller,
    /// The buffer for their events.
    pub events: &'a mut [EpollEvent],
}

impl Pollable for Many<'_> {
    fn look(&mut self) -> Option<usize> {
        self.poller.wait(self.events, 0, Some(&SigSet::all())).ok().filter(|count| *count > 0)
    }

    fn sleep(&mut self, until: Deadline, mask: Option<&SigSet>) -> Result<usize, Errno> {
        self.poller.wait(self.events, until.milliseconds(), mask)
    }
}

/// Waits for one process, whose signals can arrive here and nowhere else.
#[derive(Debug)]
pub struct Waiter {
    signals: Signals,
    spin: AdaptiveSpin,
    /// When signals were last unblocked, in [`last_tick`] time.
    looked_at_signals: Cell<Duration>,
    /// Waits in a row that failed because the kernel had no memory.
    failed_waits: Cell<u32>,
}

impl Waiter {
    /// Makes a waiter that also waits for these signals.
    pub fn new(signals: Signals) -> Self {
        Self {
            signals,
            spin: AdaptiveSpin::new(),
            looked_at_signals: Cell::new(last_tick()),
            failed_waits: Cell::new(0),
        }
    }

    /// Returns the signals that have arrived.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Sets how the process waits from now on.
    pub fn set_mode(&self, mode: WaitMode) {
        self.spin.set(mode);
    }

    /// Returns whether the next wait polls before it sleeps.
    pub fn polls(&self) -> bool {
        self.spin.polls()
    }

    /// For a process just forked: its first wait sleeps at once.
    pub fn begin_asleep(&self) {
        self.spin.begin_asleep();
    }

    /// Waits for `what`. Calls `errand` before each sleep; it returns when it is due again.
    ///
    /// # Errors
    /// Those of ppoll(2) and epoll_wait(2) except `EINTR`.
    pub fn wait(
        &self,
        mut what: impl Pollable,
        until: Deadline,
        mut errand: impl FnMut() -> Deadline,
    ) -> Result<Woken, Errno> {
        let now = last_tick();
        if now - self.looked_at_signals.get() >= SIGNALS_WITHIN {
            // A signal that arrives in this short wait could no longer end the wait that follows. Where each
            // wait finds something at once, this is also the only time for the errand.
            self.looked_at_signals.set(now);
            let at_once = Deadline::in_exactly(Duration::ZERO);
            let nothing: &mut [PollFd<'_>] = &mut [];
            if self.sleep(nothing, at_once, &mut errand)? == Woken::Signal {
                return Ok(Woken::Signal);
            }
        }
        let left = until.left();
        if left != Some(Duration::ZERO)
            && !what.is_empty()
            && let Some(count) = self.spin.look(left, || what.look())
        {
            return Ok(Woken::Ready(count));
        }
        self.sleep(what, until, errand)
    }

    fn sleep(
        &self,
        mut what: impl Pollable,
        until: Deadline,
        mut errand: impl FnMut() -> Deadline,
    ) -> Result<Woken, Errno> {
        let failed_before = self.failed_waits.take();
        loop {
            let again = errand();
            // In a program with threads, another thread may have received the signal.
            if self.signals.asks_to_end() {
                return Ok(Woken::Signal);
            }
            match what.sleep(until.or(again), self.signals.mask().as_ref()) {
                Ok(0) if again < until => {}
                Ok(0) => return Ok(Woken::Deadline),
                Ok(count) => return Ok(Woken::Ready(count)),
                Err(Errno::EINTR) => return Ok(Woken::Signal),
                // Reported as a signal: the caller checks its state and waits again.
                Err(Errno::ENOMEM) if failed_before < FAILED_WAITS_MAX => {
                    self.failed_waits.set(failed_before + 1);
                    return Ok(Woken::Signal);
                }
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::signals::Handling;
    use super::*;

    /// Always ready.
    struct Ready;

    impl Pollable for Ready {
        fn look(&mut self) -> Option<usize> {
            Some(1)
        }

        fn sleep(&mut self, _: Deadline, _: Option<&SigSet>) -> Result<usize, Errno> {
            panic!("it is ready")
        }
    }

    #[test]
    fn waits_that_find_something_at_once_still_run_the_errand() {
        let waiter = Waiter::new(Signals::install(Handling::All).expect("signals can be handled"));
        let mut errands = 0;
        let watchdog = Deadline::after(Duration::from_secs(60));
        while errands < 5 {
            assert!(!watchdog.passed(), "{errands} errands in a minute");
            let woken = waiter.wait(Ready, Deadline::NEVER, || {
                errands += 1;
                Deadline::NEVER
            });
            assert!(matches!(woken, Ok(Woken::Ready(1) | Woken::Signal)), "{woken:?}");
        }
    }
}
