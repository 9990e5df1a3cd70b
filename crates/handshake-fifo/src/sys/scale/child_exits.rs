//! Reports which children have exited, one by one, at a constant cost. Linux only, as `linux`.
//!
//! SIGCHLD says only that some child has exited. To find out which one, wait4(2) checks every child: 0.3 ms
//! for 5,000 of them. A child may be forked with another signal for its exit (clone(2)). The kernel queues a
//! real-time signal once for each child, with the child's PID (signal(7)). The kernel drops it when the queue
//! is full (`RLIMIT_SIGPENDING`), so the main server scans all children now and then. POSIX: SIGCHLD, and the
//! cost.

use std::mem::MaybeUninit;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Mutex, PoisonError};

use libc::{c_int, c_void, sigaction, siginfo_t, sigset_t, timespec};
use nix::unistd::Pid;

/// What the handler recorded: the PID in the signal, or one of the constants below.
static SEEN: AtomicI32 = AtomicI32::new(NOTHING);
const NOTHING: i32 = 0;
/// More than one signal since the last call of `ended`; their PIDs are not all recorded.
const MANY: i32 = -1;

/// Returns the signal with which subservers are forked.
pub(super) fn exit_signal() -> c_int {
    libc::SIGRTMIN()
}

/// Handles the signal. Dropping the last `ExitSignal` restores the action from before the first.
#[derive(Debug)]
pub(super) struct ExitSignal(());

static BEFORE: Mutex<Before> = Mutex::new(Before { users: 0, action: None, was_blocked: false });

struct Before {
    users: usize,
    action: Option<sigaction>,
    was_blocked: bool,
}

impl ExitSignal {
    /// Lets the signal arrive only while this process waits, like the other signals.
    pub(super) fn watch() -> Self {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.users += 1;
        if before.users == 1 {
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = record_pid;
            let mut action = zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            // With all other signals blocked, as for the other handlers (`Handlers`).
            // SAFETY: sigfillset writes the whole set.
            unsafe { libc::sigfillset(&raw mut action.sa_mask) };
            before.was_blocked = block();
            before.action = Some(set_action(&action));
        }
        Self(())
    }
}

/// Whether the handler stays for the rest of the process's life.
static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Leaves the handler in place when the last `ExitSignal` is dropped. A late signal must not change how a
/// program exits.
pub fn keep_exit_handler() {
    IS_KEPT.store(true, SeqCst);
}

impl Drop for ExitSignal {
    fn drop(&mut self) {
        if IS_KEPT.load(SeqCst) {
            return;
        }
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.users -= 1;
        if before.users == 0
            && let Some(former) = before.action.take()
        {
            let mut ignored = zeroed();
            ignored.sa_sigaction = libc::SIG_IGN;
            // Discards the signals still queued; otherwise they would meet the former action.
            set_action(&ignored);
            if !before.was_blocked {
                // SAFETY: takes a set that lives for the call.
                unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, from_ref(&only_exit_signal()), null_mut()) };
            }
            set_action(&former);
        }
    }
}

/// Blocks the signal. Returns whether it was blocked already.
fn block() -> bool {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: takes a set that lives for the call, and writes the other. It fails only for an invalid
    // operation.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, from_ref(&only_exit_signal()), mask.as_mut_ptr()) };
    // SAFETY: sigprocmask has written it.
    let mask = unsafe { mask.assume_init() };
    // SAFETY: takes a set and a signal.
    unsafe { libc::sigismember(from_ref(&mask), exit_signal()) == 1 }
}

/// Sets the action for the signal. Returns the former action.
fn set_action(action: &sigaction) -> sigaction {
    let mut before = zeroed();
    // SAFETY: both live for the call. Our handler touches only an atomic, and any other action was in place
    // before.
    unsafe { libc::sigaction(exit_signal(), from_ref(action), &raw mut before) };
    before
}

fn zeroed() -> sigaction {
    // SAFETY: all fields are numbers, a set or a pointer, for which zeros are valid.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Returns whether a signal has arrived since the last call of [`ended`].
pub(super) fn has_arrived() -> bool {
    SEEN.load(SeqCst) != NOTHING
}

/// Returns the children that have exited since the last call. `None` if some are unknown, or if there are
/// more than `most` signals. A PID may also be that of a process that has merely sent the signal.
pub(super) fn ended(most: usize) -> Option<Vec<Pid>> {
    // Without a signal, writes nothing: the kernel would copy the page for a child.
    let seen = if has_arrived() { SEEN.swap(NOTHING, SeqCst) } else { NOTHING };
    let seen = match seen {
        NOTHING => None,
        MANY => return None,
        pid => Some(pid),
    };
    // Each wait lets one signal through. The others are still in the queue.
    let all = seen.into_iter().chain(std::iter::from_fn(next_queued)).map(Pid::from_raw);
    let ended: Vec<Pid> = all.take(most + 1).collect();
    (ended.len() <= most).then_some(ended)
}

extern "C" fn record_pid(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo_t.
    let info = unsafe { &*info };
    // SAFETY: a signal for a child's exit has a PID, and so has one that a process sends.
    let pid = unsafe { info.si_pid() };
    if SEEN.compare_exchange(NOTHING, pid, SeqCst, SeqCst).is_err() {
        SEEN.store(MANY, SeqCst);
    }
}

fn next_queued() -> Option<i32> {
    let mut info = MaybeUninit::<siginfo_t>::uninit();
    let at_once = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: all three live for the call.
    let signal =
        unsafe { libc::sigtimedwait(from_ref(&only_exit_signal()), info.as_mut_ptr(), from_ref(&at_once)) };
    if signal < 0 {
        return None;
    }
    // SAFETY: sigtimedwait returned a signal, so it has filled this in.
    let info = unsafe { info.assume_init() };
    // SAFETY: as in the handler.
    Some(unsafe { info.si_pid() })
}

fn only_exit_signal() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset writes the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was just written, and the signal is valid.
    unsafe { libc::sigaddset(set.as_mut_ptr(), exit_signal()) };
    // SAFETY: the set was written.
    unsafe { set.assume_init() }
}
