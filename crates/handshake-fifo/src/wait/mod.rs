//! The one place that sleeps: until a descriptor shows something, a signal comes, or a deadline passes.

pub mod signals;
pub mod spin;

use std::cell::Cell;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll, ppoll};
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::SigSet;

use crate::deadline::{Deadline, monotonic_ns};
use crate::sys::Poller;
use signals::Signals;
use spin::{AdaptiveSpin, WaitMode};

/// How long waits that find something at once may go on without a look at signals: a poll that returns at
/// once lets none through.
pub const SIGNALS_WITHIN: Duration = Duration::from_millis(10);

/// How many waits in a row may fail for want of memory before that is an error: there is no other way to
/// pause.
const FAILED_WAITS_MAX: u32 = 16;

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// So many descriptors show something.
    Ready(usize),
    /// A signal may have come: look at [`Waiter::signals`].
    Signal,
    /// The deadline passed, and no descriptor showed anything.
    Deadline,
}

/// What is waited for.
pub trait Pollable {
    /// How many descriptors show something now; `None` if none does.
    fn look(&mut self) -> Option<usize>;

    /// Sleeps until one shows something, until a signal that `mask` lets in, or until the deadline.
    ///
    /// # Errors
    /// `EINTR`: a signal came. The others are those of ppoll(2) and epoll_wait(2).
    fn sleep(&mut self, until: Deadline, mask: &SigSet) -> Result<usize, Errno>;
}

/// A few descriptors; none of them for a mere pause.
impl Pollable for &mut [PollFd<'_>] {
    fn look(&mut self) -> Option<usize> {
        let count = poll(self, PollTimeout::ZERO).ok()?;
        usize::try_from(count).ok().filter(|count| *count > 0)
    }

    fn sleep(&mut self, until: Deadline, mask: &SigSet) -> Result<usize, Errno> {
        ppoll(self, until.timespec(), Some(*mask)).map(|count| count.cast_unsigned() as usize)
    }
}

/// The many descriptors of a [`Poller`]; `Ready(n)`: the first n of `events` are filled in.
#[derive(Debug)]
pub struct Many<'a> {
    /// Where they are registered.
    pub poller: &'a Poller,
    /// What they show.
    pub events: &'a mut [EpollEvent],
}

impl Pollable for Many<'_> {
    fn look(&mut self) -> Option<usize> {
        self.poller.wait(self.events, 0, &SigSet::all()).ok().filter(|count| *count > 0)
    }

    fn sleep(&mut self, until: Deadline, mask: &SigSet) -> Result<usize, Errno> {
        self.poller.wait(self.events, until.milliseconds(), mask)
    }
}

/// Waits for one process, whose signals can arrive here and nowhere else.
#[derive(Debug)]
pub struct Waiter {
    signals: Signals,
    spin: AdaptiveSpin,
    /// When signals were last let through, on [`monotonic_ns`].
    looked_at_signals: Cell<u64>,
    /// Waits in a row for which the kernel had no memory.
    failed_waits: Cell<u32>,
}

impl Waiter {
    /// Takes over the signals of this process; see [`Signals::install`].
    ///
    /// # Errors
    /// The kernel refuses a signal handler.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            signals: Signals::install()?,
            spin: AdaptiveSpin::new(),
            looked_at_signals: Cell::new(monotonic_ns()),
            failed_waits: Cell::new(0),
        })
    }

    /// The signals that have come.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// How it waits from now on.
    pub fn set_mode(&self, mode: WaitMode) {
        self.spin.set(mode);
    }

    /// In a process just forked: its first wait sleeps at once.
    pub fn begin_asleep(&self) {
        self.spin.begin_asleep();
    }

    /// Waits for `what`. Before each sleep it calls `errand`, which says when it is due again.
    ///
    /// # Errors
    /// Those of ppoll(2) and epoll_wait(2) but `EINTR`.
    pub fn wait(
        &self,
        mut what: impl Pollable,
        until: Deadline,
        errand: impl FnMut() -> Deadline,
    ) -> Result<Woken, Errno> {
        let now = monotonic_ns();
        if u128::from(now - self.looked_at_signals.get()) >= SIGNALS_WITHIN.as_nanos() {
            // The wait that is about to begin would not be ended any more by a signal that this lets through.
            self.looked_at_signals.set(now);
            let at_once = Deadline::in_exactly(Duration::ZERO);
            let nothing: &mut [PollFd<'_>] = &mut [];
            if self.sleep(nothing, at_once, || Deadline::NEVER)? == Woken::Signal {
                return Ok(Woken::Signal);
            }
        }
        if !until.passed()
            && let Some(count) = self.spin.look(until.left(), || what.look())
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
            // In a program with threads, another one may have got the signal.
            if self.signals.asks_to_end() {
                return Ok(Woken::Signal);
            }
            match what.sleep(until.or(again), &self.signals.mask()) {
                Ok(0) if again < until => {}
                Ok(0) => return Ok(Woken::Deadline),
                Ok(count) => return Ok(Woken::Ready(count)),
                Err(Errno::EINTR) => return Ok(Woken::Signal),
                // To the caller it is a signal that it knows already: it looks around, and waits again.
                Err(Errno::ENOMEM) if failed_before < FAILED_WAITS_MAX => {
                    self.failed_waits.set(failed_before + 1);
                    return Ok(Woken::Signal);
                }
                Err(errno) => return Err(errno),
            }
        }
    }
}
