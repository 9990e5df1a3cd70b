//! Signals as events: handlers that only count, and one place where signals can arrive.
//!
//! All signals that matter here are blocked, but for the moments inside [`Process::wait`](crate::process::Process::wait):
//! so no system call is ever interrupted elsewhere, none arrives between the look at a counter and the sleep, and no
//! self-pipe is needed, which would cost every subserver two descriptors. (ppoll(2) was made for this.)

use std::cell::Cell;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::error::{Error, Result};
use crate::sys::{Handlers, arrivals, end_by_default, keep_handlers};

/// The signals that ask a process to end.
const TERMINATION: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
const COUNTED: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD];
/// A file that reaches its limit (`ulimit -f`) is an error of write(2), EFBIG, as a full disk is; it must not end a process.
const IGNORED: [Signal; 1] = [Signal::SIGXFSZ];

/// The signals of this process. Dropping it restores the handlers and the mask.
#[derive(Debug)]
pub struct Signals {
    /// How many of each of [`COUNTED`] have been taken note of.
    seen: [Cell<u32>; 5],
    /// The mask while waiting: as it was, with the signals above let through.
    waiting: SigSet,
    before: SigSet,
    is_kept: Cell<bool>,
    /// Dropped first: what is blocked here is not to meet the handlers any more.
    handlers: Option<Handlers>,
}

impl Signals {
    /// Blocks the signals and puts the handlers in place. A signal that this process was started with as ignored stays
    /// ignored, as nohup(1) and `program &` in a shell script ask for.
    ///
    /// # Errors
    /// The kernel refuses a handler (never seen).
    pub fn install() -> Result<Self> {
        let failed = |errno| Error::on("handle", "signals", errno);
        let seen = COUNTED.map(|signal| Cell::new(arrivals(signal)));
        let handlers = Handlers::install(&COUNTED, &IGNORED).map_err(failed)?;
        // An ignored signal that is blocked would interrupt the wait that lets it through.
        let blocked: SigSet = COUNTED.into_iter().filter(|signal| handlers.counts(*signal)).collect();
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut before)).map_err(failed)?;
        let waiting = before.iter().filter(|signal| !blocked.contains(*signal)).collect();
        Ok(Self { seen, waiting, before, is_kept: Cell::new(false), handlers: Some(handlers) })
    }

    /// For a program whose process this is: signals stay as they are now until its end.
    pub(crate) fn keep(&self) {
        if !self.is_kept.replace(true) {
            keep_handlers();
        }
    }

    /// The mask to wait under.
    pub fn mask(&self) -> SigSet {
        self.waiting
    }

    /// A signal that asks to end and has not been taken yet. Several of one kind that arrived together are one.
    pub fn take_termination(&self) -> Option<Signal> {
        TERMINATION.into_iter().find(|signal| self.take(*signal))
    }

    /// Whether a child has ended since this was asked last.
    pub fn take_child(&self) -> bool {
        self.take(Signal::SIGCHLD)
    }

    fn take(&self, signal: Signal) -> bool {
        let now = arrivals(signal);
        COUNTED.iter().zip(&self.seen).any(|(counted, seen)| *counted == signal && seen.replace(now) != now)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handlers = None;
        if !self.is_kept.get() {
            // It cannot fail. A signal that is still waiting now does what it did before.
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
        }
    }
}

/// Ends this process by `signal`, as if the signal had never been handled. Process 1 of a container, which the kernel does not
/// let die so, leaves with the status 128 + the signal's number.
pub fn die_by(signal: Signal) -> ! {
    end_by_default(signal)
}
