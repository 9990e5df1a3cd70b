//! Signals as events: handlers that only count, and one place where signals can arrive.
//!
//! All signals that matter here are blocked, but for the moments inside
//! [`Waiter::wait`](super::Waiter::wait): so no system call is ever interrupted elsewhere, none
//! arrives between the look at a counter and the sleep, and no self-pipe is needed, which would cost every
//! subserver two descriptors. (ppoll(2) was made for this.)

use std::cell::{Cell, RefCell};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::sys::{Handlers, arrivals, end_by_default, keep_ends};

/// The signals that ask a process to end.
const TERMINATION: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
const COUNTED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD, Signal::SIGCONT];
/// A file that reaches its limit (`ulimit -f`) is an error of write(2), EFBIG, as a full disk is; it must not
/// end a process.
const IGNORED: [Signal; 1] = [Signal::SIGXFSZ];

/// The signals of this process. Dropping it restores the handlers and the mask.
#[derive(Debug)]
pub struct Signals {
    /// Dropped first: a signal that is blocked now is to do what it did before, and not to meet the handlers.
    handlers: Handlers,
    mask: Mask,
    /// How many of each of [`COUNTED`] have been taken note of.
    seen: [Cell<u32>; 6],
    /// The mask while waiting: as it was, with the signals above let through.
    waiting: SigSet,
}

impl Signals {
    /// Blocks the signals and puts the handlers in place. A signal that this process was started with as
    /// ignored stays ignored, as nohup(1) and `program &` in a shell script ask for.
    ///
    /// # Errors
    /// The kernel refuses a handler (never seen).
    pub fn install() -> Result<Self, Errno> {
        // Blocked first: what comes before the handlers are there waits for them.
        let mask = Mask::block(&COUNTED)?;
        let seen = COUNTED.map(|signal| Cell::new(arrivals(signal)));
        let handlers = Handlers::install(&COUNTED, &IGNORED)?;
        // An ignored signal that is blocked would interrupt the wait that lets it through.
        let ignored: SigSet = COUNTED.into_iter().filter(|signal| !handlers.counts(*signal)).collect();
        ignored.thread_unblock()?;
        let waiting = mask.before.iter().filter(|signal| !COUNTED.contains(signal)).collect();
        Ok(Self { handlers, mask, seen, waiting })
    }

    /// For a program whose process this is: signals stay as they are now until its end.
    pub fn keep(&self) {
        self.handlers.keep();
        self.mask.keep();
        keep_ends();
    }

    /// The mask to wait under.
    pub fn mask(&self) -> SigSet {
        self.waiting
    }

    /// A signal that asks to end and has not been taken yet. Several of one kind that arrived together are
    /// one.
    pub fn take_termination(&self) -> Option<Signal> {
        TERMINATION.into_iter().find(|signal| self.take(*signal))
    }

    /// Whether a signal that asks to end has arrived and has not been taken yet. In a program with threads,
    /// another thread may have got it, and no wait of this one was interrupted.
    pub fn asks_to_end(&self) -> bool {
        let due = |(signal, seen): (&Signal, &Cell<u32>)| seen.get() != arrivals(*signal);
        COUNTED.iter().zip(&self.seen).any(|each| TERMINATION.contains(each.0) && due(each))
    }

    /// Whether a child has ended since this was asked last.
    pub fn take_child(&self) -> bool {
        self.take(Signal::SIGCHLD)
    }

    /// Whether this process was stopped and continued since this was asked last.
    pub fn take_continued(&self) -> bool {
        self.take(Signal::SIGCONT)
    }

    fn take(&self, signal: Signal) -> bool {
        let now = arrivals(signal);
        COUNTED.iter().zip(&self.seen).any(|(counted, seen)| *counted == signal && seen.replace(now) != now)
    }
}

thread_local! {
    /// How many [`Mask`]s this thread has, and what it blocked before the first.
    static MASKS: RefCell<(usize, SigSet)> = RefCell::new((0, SigSet::empty()));
}

/// Signals that this thread blocks. Dropping the last one restores what it blocked before the first.
#[derive(Debug)]
struct Mask {
    before: SigSet,
}

impl Mask {
    fn block(signals: &[Signal]) -> nix::Result<Self> {
        let blocked: SigSet = signals.iter().copied().collect();
        let mut now = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut now))?;
        MASKS.with_borrow_mut(|(masks, before)| {
            if *masks == 0 {
                *before = now;
            }
            *masks += 1;
            Ok(Self { before: *before })
        })
    }

    /// For the rest of the thread's life.
    fn keep(&self) {
        MASKS.with_borrow_mut(|(masks, _)| *masks += 1);
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        MASKS.with_borrow_mut(|(masks, before)| {
            *masks -= 1;
            if *masks == 0 {
                // It cannot fail. A signal that waits now does what it did before.
                let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(before), None);
            }
        });
    }
}

/// Ends this process by `signal`, as if the signal had never been handled. Process 1 of a container, which
/// the kernel does not let die so, leaves with the status 128 + the signal's number.
pub fn die_by(signal: Signal) -> ! {
    end_by_default(signal)
}
