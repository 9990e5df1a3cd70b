//! Signals as events: handlers that only count, and one place where signals can arrive.
//!
//! The process blocks all signals of interest, except during [`Waiter::wait`](super::Waiter::wait). No system
//! call is interrupted elsewhere, and no signal arrives between the check of a counter and the sleep. A
//! self-pipe is not needed; it would cost every subserver two file descriptors. (ppoll(2) was made for this.)

use std::cell::{Cell, RefCell};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::sys::{Handlers, arrivals, end_by_default, keep_exit_handler};

/// The signals that ask a process to end.
const TERMINATION: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
/// Those, and then what a server must know of its children and of itself.
const COUNTED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD, Signal::SIGCONT];
/// A file that reaches its limit (`ulimit -f`) causes EFBIG from write(2), like a full disk. It must not end
/// the process.
const IGNORED: [Signal; 1] = [Signal::SIGXFSZ];

/// Which signals a process handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Those that ask it to end, and those of its children.
    All,
    /// Those of its children. The program handles the others itself.
    Children,
    /// None: a guest in a program that handles its signals itself.
    Nothing,
}

/// The signals of this process. Dropping it restores the handlers and the mask.
#[derive(Debug)]
pub struct Signals {
    /// Dropped first: a blocked signal must meet its former action, not these handlers.
    installed: Option<(Handlers, Mask)>,
    /// The part of [`COUNTED`] that is handled, and the number of each that the process has noticed.
    counted: &'static [Signal],
    seen: [Cell<u32>; 6],
    /// The mask while waiting: the former mask, with these signals unblocked. `None`: the thread's own.
    waiting: Option<SigSet>,
}

impl Signals {
    /// Blocks the signals to be handled, and installs the handlers. A signal that was ignored when this
    /// process started stays ignored, as nohup(1) and `program &` in a shell script require.
    ///
    /// # Errors
    /// The kernel refuses a handler (never seen).
    pub fn install(handling: Handling) -> Result<Self, Errno> {
        let counted = match handling {
            Handling::All => &COUNTED[..],
            Handling::Children => &COUNTED[TERMINATION.len()..],
            Handling::Nothing => &[],
        };
        let seen = COUNTED.map(|signal| Cell::new(arrivals(signal)));
        if counted.is_empty() {
            return Ok(Self { installed: None, counted, seen, waiting: None });
        }
        // Blocked first: a signal that arrives before the handlers exist stays pending.
        let mask = Mask::block(counted)?;
        let handlers = Handlers::install(counted, &IGNORED)?;
        // A signal that is ignored but blocked would interrupt the wait that unblocks it.
        let ignored: SigSet = counted.iter().copied().filter(|signal| !handlers.counts(*signal)).collect();
        ignored.thread_unblock()?;
        let waiting = Some(mask.before.iter().filter(|signal| !counted.contains(signal)).collect());
        Ok(Self { installed: Some((handlers, mask)), counted, seen, waiting })
    }

    /// Keeps the handlers and the mask until the process ends. For programs that own their process.
    pub fn keep(&self) {
        if let Some((handlers, mask)) = &self.installed {
            handlers.keep();
            mask.keep();
        }
        keep_exit_handler();
    }

    /// Returns the signal mask to wait under.
    pub fn mask(&self) -> Option<&SigSet> {
        self.waiting.as_ref()
    }

    /// Takes a signal that asks the process to end and has not been taken yet. Several of one kind that
    /// arrived together count as one.
    pub fn take_termination(&self) -> Option<Signal> {
        TERMINATION.into_iter().find(|signal| self.take(*signal))
    }

    /// Returns whether a signal that asks the process to end has arrived and has not been taken yet. In a
    /// program with threads, another thread may have received it, without interrupting a wait of this thread.
    pub fn asks_to_end(&self) -> bool {
        let due = |(signal, seen): (&Signal, &Cell<u32>)| seen.get() != arrivals(*signal);
        self.counts(Signal::SIGTERM) && TERMINATION.iter().zip(&self.seen).any(due)
    }

    /// Returns whether a child has ended since the last call.
    pub fn take_child(&self) -> bool {
        self.take(Signal::SIGCHLD)
    }

    /// Returns whether this process was stopped and continued since the last call.
    pub fn take_continued(&self) -> bool {
        self.take(Signal::SIGCONT)
    }

    fn counts(&self, signal: Signal) -> bool {
        self.counted.contains(&signal)
    }

    fn take(&self, signal: Signal) -> bool {
        if !self.counts(signal) {
            return false;
        }
        let now = arrivals(signal);
        COUNTED.iter().zip(&self.seen).any(|(counted, seen)| *counted == signal && seen.replace(now) != now)
    }
}

thread_local! {
    /// How many [`Mask`]s this thread has, and its signal mask before the first.
    static MASKS: RefCell<(usize, SigSet)> = RefCell::new((0, SigSet::empty()));
}

/// Signals that this thread blocks. Dropping the last `Mask` restores the signal mask from before the first.
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

    /// Keeps the signals blocked for the rest of the thread's life.
    fn keep(&self) {
        MASKS.with_borrow_mut(|(masks, _)| *masks += 1);
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        MASKS.with_borrow_mut(|(masks, before)| {
            *masks -= 1;
            if *masks == 0 {
                // sigprocmask(2) cannot fail here. A pending signal now meets its former action.
                let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(before), None);
            }
        });
    }
}

/// Ends this process by the signal with this number, as if the signal had never been handled. The kernel does
/// not let process 1 of a container die this way; it exits with status 128 + the signal's number.
pub fn die_by(number: i32) -> ! {
    match Signal::try_from(number) {
        Ok(signal) => end_by_default(signal),
        Err(_) => std::process::exit(128 + number),
    }
}
