//! Signals to this process, and from it.

use std::ptr;
use std::time::Duration;

use libc::{c_int, c_long, pid_t};

/// Holds back signals, so that [`HeldSignals::next`] takes them. Dropping it lets them through again.
#[derive(Debug)]
pub(crate) struct HeldSignals {
    held: libc::sigset_t,
    /// The mask and the action of SIGCHLD as they were before.
    before: libc::sigset_t,
    child: libc::sigaction,
}

impl HeldSignals {
    /// Holds back these signals in this thread, and SIGCHLD. A signal that is ignored stays ignored: nohup(1)
    /// and shells start programs like that.
    pub(crate) fn new(signals: &[c_int]) -> Self {
        let child = action(libc::SIGCHLD);
        // An ignored SIGCHLD would not come, and its children would not be waited for.
        // SAFETY: an integer and a constant.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        let heeded = signals.iter().copied().filter(|signal| !is_ignored(*signal));
        let held = signal_set(&heeded.chain([libc::SIGCHLD]).collect::<Vec<_>>());
        Self { held, before: set_mask(libc::SIG_BLOCK, &held), child }
    }

    /// Undoes it: the mask and the action of SIGCHLD are as before.
    pub(super) fn undo(&self) {
        // SAFETY: the action is one that this process had.
        unsafe { libc::sigaction(libc::SIGCHLD, &self.child, ptr::null_mut()) };
        set_mask(libc::SIG_SETMASK, &self.before);
    }

    /// Waits for one of them, at most this long. Returns its number, and whether the kernel sent it (the
    /// terminal: to all processes in the foreground).
    pub(crate) fn next(&self, limit: Option<Duration>) -> Option<(c_int, bool)> {
        let limit = limit.map(|limit| libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: limit.subsec_nanos() as c_long,
        });
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: all zeros are a siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set, the info and the limit live until the call returns.
        let signal = unsafe { libc::sigtimedwait(&self.held, &mut info, limit) };
        (signal > 0).then_some((signal, info.si_code > 0))
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // One that was taken as the reason to end must not strike again.
        while self.next(Some(Duration::ZERO)).is_some() {}
        self.undo();
    }
}

/// Whether this process ignores a signal.
fn is_ignored(signal: c_int) -> bool {
    action(signal).sa_sigaction == libc::SIG_IGN
}

/// What this process does at a signal.
fn action(signal: c_int) -> libc::sigaction {
    // SAFETY: all zeros are a sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call only writes into `action`.
    unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
    action
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in signals {
        // SAFETY: `set` is a set of signals; a wrong number is an error without effect.
        unsafe { libc::sigaddset(&mut set, *signal) };
    }
    set
}

fn set_mask(how: c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = signal_set(&[]);
    // SAFETY: both sets live until the call returns.
    unsafe { libc::pthread_sigmask(how, set, &mut before) };
    before
}

/// Sends a signal to a process, which may have ended.
pub(crate) fn send(pid: pid_t, signal: c_int) {
    // SAFETY: two integers.
    unsafe { libc::kill(pid, signal) };
}
