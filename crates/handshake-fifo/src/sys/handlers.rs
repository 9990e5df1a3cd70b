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

/// The signals that are handled, each with its former action and how many [`Handlers`] have it. The last one
/// restores the action.
static HANDLED: Mutex<Vec<Handled>> = Mutex::new(Vec::new());

struct Handled {
    signal: Signal,
    users: usize,
    former: SigAction,
}

/// Makes this process count signals instead of dying of them. Dropping it restores the former actions.
#[derive(Debug)]
pub struct Handlers(Vec<Signal>);

impl Handlers {
    /// Counts `counted`, and ignores `ignored`. A signal of `counted` that this process ignores already stays
    /// ignored, as nohup(1) and shells require (POSIX, shell command language, 2.11). SIGCHLD is the
    /// exception: a process that ignores it cannot reap.
    ///
    /// # Errors
    /// Those of sigaction(2): none for signals that can be caught.
    pub fn install(counted: &[Signal], ignored: &[Signal]) -> Result<Self, Errno> {
        let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = Self(Vec::new());
        let counted = counted.iter().map(|signal| (*signal, SigHandler::Handler(count)));
        for (signal, handler) in counted.chain(ignored.iter().map(|signal| (*signal, SigHandler::SigIgn))) {
            if let Some(other) = handled.iter_mut().find(|other| other.signal == signal) {
                other.users += 1;
            } else {
                let former = set(signal, handler)?;
                let stays_ignored = matches!(handler, SigHandler::Handler(_))
                    && matches!(former.handler(), SigHandler::SigIgn)
                    && signal != Signal::SIGCHLD;
                if stays_ignored {
                    set(signal, SigHandler::SigIgn)?;
                    continue;
                }
                handled.push(Handled { signal, users: 1, former });
            }
            own.0.push(signal);
        }
        Ok(own)
    }

    /// Leaves the handlers in place for the rest of the process's life.
    pub fn keep(&self) {
        let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
        handled.iter_mut().filter(|each| self.0.contains(&each.signal)).for_each(|each| each.users += 1);
    }

    /// Returns whether `signal` is counted. If not, it was ignored from the beginning.
    pub fn counts(&self, signal: Signal) -> bool {
        self.0.contains(&signal)
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
        handled.retain_mut(|each| {
            each.users -= usize::from(self.0.contains(&each.signal));
            if each.users == 0 {
                // SAFETY: this was the former action, so everything that it needs still exists.
                let _ = unsafe { sigaction(each.signal, &each.former) };
            }
            each.users > 0
        });
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
