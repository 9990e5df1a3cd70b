//! Signal handlers that only count, and ending a process by a signal's default action.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, PoisonError};

use libc::c_int;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// How often each signal has arrived. Counters instead of flags: several [`Handlers`] of one process all
/// notice a signal.
static ARRIVALS: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];

/// The former actions of the signals, and how many [`Handlers`] there are. The last one restores those
/// actions.
static BEFORE: Mutex<Before> = Mutex::new(Before { users: 0, actions: Vec::new() });

struct Before {
    users: usize,
    actions: Vec<(Signal, SigAction)>,
}

/// Makes this process count signals instead of dying of them. Dropping it restores the former actions.
#[derive(Debug)]
pub struct Handlers(());

impl Handlers {
    /// Counts `counted`, and ignores `ignored`. A signal of `counted` that this process ignores already stays
    /// ignored, as nohup(1) and shells require (POSIX, shell command language, 2.11). SIGCHLD is the
    /// exception: a process that ignores it cannot reap.
    ///
    /// # Errors
    /// Those of sigaction(2): none for signals that can be caught.
    pub fn install(counted: &[Signal], ignored: &[Signal]) -> Result<Self, Errno> {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if before.users == 0 {
            for &signal in counted {
                let former = set(signal, SigHandler::Handler(count))?;
                if matches!(former.handler(), SigHandler::SigIgn) && signal != Signal::SIGCHLD {
                    set(signal, SigHandler::SigIgn)?;
                } else {
                    before.actions.push((signal, former));
                }
            }
            for &signal in ignored {
                let former = set(signal, SigHandler::SigIgn)?;
                before.actions.push((signal, former));
            }
        }
        before.users += 1;
        Ok(Self(()))
    }

    /// Leaves the handlers in place for the rest of the process's life.
    pub fn keep(&self) {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner).users += 1;
    }

    /// Returns whether `signal` is counted. If not, it was ignored from the beginning.
    pub fn counts(&self, signal: Signal) -> bool {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.actions.iter().any(|(counted, _)| *counted == signal)
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.users -= 1;
        if before.users == 0 {
            for (signal, former) in before.actions.drain(..) {
                // SAFETY: this was the former action, so everything that it needs still exists.
                let _ = unsafe { sigaction(signal, &former) };
            }
        }
    }
}

/// Returns how often `signal` has arrived while [`Handlers`] counted it.
pub fn arrivals(signal: Signal) -> u32 {
    ARRIVALS[signal as usize].load(SeqCst)
}

extern "C" fn count(signal: c_int) {
    ARRIVALS[signal.cast_unsigned() as usize].fetch_add(1, SeqCst);
}

fn set(signal: Signal, handler: SigHandler) -> Result<SigAction, Errno> {
    // Blocks all signals during a handler. Otherwise a flood of a second signal interrupts the first handler
    // without end, and the wait that unblocked them never returns.
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::all());
    // SAFETY: the handler touches nothing but an atomic.
    unsafe { sigaction(signal, &action) }
}

/// Ends this process by `signal`. The first process of a PID namespace does not die by a signal that it does
/// not handle (pid_namespaces(7)). It exits with the status by which shells report such a death.
pub fn end_by_default(signal: Signal) -> ! {
    // None of these can fail for a signal that can be caught.
    let _ = set(signal, SigHandler::SigDfl);
    let only_this: SigSet = std::iter::once(signal).collect();
    let _ = only_this.thread_unblock();
    let _ = raise(signal);
    // SAFETY: ends the process, without running any code of it.
    unsafe { libc::_exit(128 + signal as i32) }
}
