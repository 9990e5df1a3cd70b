//! Signals as events: handlers that only count, and one place where signals can arrive.
//!
//! The process blocks all signals of interest, except during [`Waiter::wait`](super::Waiter::wait). No system
//! call is interrupted elsewhere, and no signal arrives between the check of a counter and the sleep. A
//! self-pipe is not needed; it would cost every subserver two file descriptors. (ppoll(2) was made for this.)

use std::cell::{Cell, RefCell};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::sys::{Handlers, arrivals, end_by_default, keep_exit_handler};

/// The signals that ask a process to end: the first of those that are counted.
pub const TERMINATION: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
/// Those, and what a program may have to know of its children and of itself.
const COUNTED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD, Signal::SIGCONT];
/// A file that reaches its limit (`ulimit -f`) causes EFBIG from write(2), like a full disk. It must not end
/// the process.
const IGNORED: [Signal; 1] = [Signal::SIGXFSZ];

/// Which signals a process handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Those that ask it to end, and those of its children: a program that owns its process.
    All,
    /// Those that ask it to end.
    Termination,
    /// None: the program handles its signals itself.
    Nothing,
}

/// The signals of this process. Dropping it restores the handlers and the mask.
#[derive(Debug, Default)]
pub struct Signals {
    /// Dropped in this order: a blocked signal must meet its former action, not these handlers.
    installed: RefCell<Vec<(Handlers, Mask)>>,
    /// The number of each of [`COUNTED`] that the process has noticed. `None`: it does not handle the signal.
    seen: [Cell<Option<u32>>; 6],
    /// The mask while waiting: the former mask, with these signals unblocked. `None`: the thread's own.
    waiting: Cell<Option<SigSet>>,
}

impl Signals {
    /// Begins to handle signals.
    ///
    /// # Errors
    /// The kernel refuses a handler (never seen).
    pub fn install(handling: Handling) -> Result<Self, Errno> {
        let signals = Self::default();
        match handling {
            Handling::All => signals.add(&COUNTED)?,
            Handling::Termination => signals.add(&TERMINATION)?,
            Handling::Nothing => {}
        }
        Ok(signals)
    }

    /// Blocks those of these signals that are not handled yet, and installs their handlers. They are some of
    /// those of [`Handling::All`]. A signal that was ignored when this process started stays ignored, as
    /// nohup(1) and `program &` in a shell script require.
    ///
    /// # Errors
    /// Those of [`Signals::install`].
    pub fn add(&self, signals: &[Signal]) -> Result<(), Errno> {
        let new: Vec<_> =
            signals.iter().copied().filter(|signal| self.cell(*signal).get().is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        // Blocked first: a signal that arrives before the handlers exist stays pending.
        let mask = Mask::block(&new)?;
        new.iter().for_each(|signal| self.cell(*signal).set(Some(arrivals(*signal))));
        let handlers = Handlers::install(&new, &IGNORED)?;
        // A signal that is ignored but blocked would interrupt the wait that unblocks it.
        let ignored: SigSet = new.iter().copied().filter(|signal| !handlers.counts(*signal)).collect();
        ignored.thread_unblock()?;
        let before = self.waiting.get().unwrap_or(mask.before);
        self.waiting.set(Some(before.iter().filter(|signal| !new.contains(signal)).collect()));
        self.installed.borrow_mut().push((handlers, mask));
        Ok(())
    }

    /// Keeps the handlers and the mask until the process ends. For programs that own their process.
    pub fn keep(&self) {
        for (handlers, mask) in &*self.installed.borrow() {
            handlers.keep();
            mask.keep();
        }
        keep_exit_handler();
    }

    /// Returns the signal mask to wait under.
    pub fn mask(&self) -> Option<SigSet> {
        self.waiting.get()
    }

    /// Takes a signal that asks the process to end and has not been taken yet. Several of one kind that
    /// arrived together count as one.
    pub fn take_termination(&self) -> Option<Signal> {
        TERMINATION.into_iter().find(|signal| self.take(*signal))
    }

    /// Returns whether a signal that asks the process to end has arrived and has not been taken yet. In a
    /// program with threads, another thread may have received it, without interrupting a wait of this thread.
    pub fn asks_to_end(&self) -> bool {
        // Asked before each sleep, so without a search for each signal.
        TERMINATION.iter().zip(&self.seen).any(|(signal, seen)| is_new(*signal, seen.get()))
    }

    /// Returns whether this signal has arrived since the last call: SIGCHLD if a child has ended, SIGCONT if
    /// this process was stopped and continued.
    pub fn take(&self, signal: Signal) -> bool {
        let seen = self.cell(signal);
        let is_due = is_new(signal, seen.get());
        if is_due {
            seen.set(Some(arrivals(signal)));
        }
        is_due
    }

    /// Returns the entry of `seen` for this signal, which is one of [`COUNTED`].
    fn cell(&self, signal: Signal) -> &Cell<Option<u32>> {
        let place = COUNTED.iter().position(|counted| *counted == signal);
        &self.seen[place.expect("only these signals are handled")]
    }
}

/// Returns whether more of this signal have arrived than were `seen`. `None`: it is not handled.
fn is_new(signal: Signal, seen: Option<u32>) -> bool {
    seen.is_some_and(|seen| seen != arrivals(signal))
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
