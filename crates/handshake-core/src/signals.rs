//! Signals as events: handlers that only raise a flag, and one place where they can arrive.
//!
//! All signals that matter here are blocked for the whole life of the process, but for the moments inside
//! [`Process::wait`](crate::process::Process::wait): so no system call is ever interrupted elsewhere, none arrives
//! between the look at a flag and the sleep, and no self-pipe is needed, which would cost every subserver two
//! descriptors. (ppoll(2) was made for this.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use crate::error::{Error, Result, errno_of};

/// The signals that ask a process to end.
const TERMINATION: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// The flags that the handlers raise, and the mask under which they can.
#[derive(Debug)]
pub struct Signals {
    termination: [Arc<AtomicBool>; 4],
    child: Arc<AtomicBool>,
    /// The mask while waiting: as it was, with the signals above let through.
    waiting: SigSet,
}

impl Signals {
    /// Blocks the signals and puts the handlers in place.
    ///
    /// # Errors
    /// The kernel refuses a handler (never seen).
    pub fn install() -> Result<Self> {
        let flag = |signal: Signal| {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal as i32, Arc::clone(&flag))
                .map(|_| flag)
                .map_err(|error| failed(errno_of(&error)))
        };
        let blocked: SigSet = TERMINATION.into_iter().chain([Signal::SIGCHLD]).collect();
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut before)).map_err(failed)?;
        let waiting = before.iter().filter(|signal| !blocked.contains(*signal)).collect();
        let [term, int, hup, quit] = TERMINATION.map(flag);
        Ok(Self { termination: [term?, int?, hup?, quit?], child: flag(Signal::SIGCHLD)?, waiting })
    }

    /// The mask to wait under.
    pub fn mask(&self) -> SigSet {
        self.waiting
    }

    /// A signal that asks to end and has not been taken yet.
    pub fn take_termination(&self) -> Option<Signal> {
        TERMINATION
            .into_iter()
            .zip(&self.termination)
            .find_map(|(signal, flag)| flag.swap(false, SeqCst).then_some(signal))
    }

    /// Whether a child has ended since this was asked last.
    pub fn take_child(&self) -> bool {
        self.child.swap(false, SeqCst)
    }
}

/// Ends this process by `signal`, as if it had never been handled.
pub fn die_by(signal: Signal) -> ! {
    // Fails only for what is no signal; then the status says the same.
    let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
    std::process::exit(128 + signal as i32)
}

fn failed(errno: Errno) -> Error {
    Error::on("handle", "signals", errno)
}
