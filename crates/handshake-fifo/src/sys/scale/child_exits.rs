//! Whose subserver has ended: told by the kernel one by one. Linux only, as `linux`.
//!
//! SIGCHLD says that some child has ended, and who asks wait4(2) which has every child looked at: 0.3 ms with
//! 5,000 of them. A child may be forked with another signal for its end (clone(2)). A real-time signal waits
//! in a queue, one for each child, and says whose it is (signal(7)). It is lost when the queue is full
//! (`RLIMIT_SIGPENDING`): so now and then all are looked at. POSIX: SIGCHLD, and the cost.

use std::mem::MaybeUninit;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Mutex, PoisonError};

use libc::{c_int, c_void, sigaction, siginfo_t, sigset_t, timespec};
use nix::unistd::Pid;

/// What the handler saw: the process number in the signal, or one of these.
static SEEN: AtomicI32 = AtomicI32::new(NOTHING);
const NOTHING: i32 = 0;
/// More than one signal since it was asked last, and no room for all of them.
const MANY: i32 = -1;

/// The signal with which a subserver is forked.
pub(super) fn signal_of_end() -> c_int {
    libc::SIGRTMIN()
}

/// The signal is watched for; dropping the last of these restores what it did before the first.
#[derive(Debug)]
pub(super) struct Ends(());

static BEFORE: Mutex<Before> = Mutex::new(Before { users: 0, action: None, was_blocked: false });

struct Before {
    users: usize,
    action: Option<sigaction>,
    was_blocked: bool,
}

impl Ends {
    /// Lets the signal arrive only while this process waits, as the others do.
    pub(super) fn watch() -> Self {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.users += 1;
        if before.users == 1 {
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = note;
            let mut action = zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            // With all others blocked, as for the other handlers (`Handlers`).
            // SAFETY: the set is written as a whole.
            unsafe { libc::sigfillset(&raw mut action.sa_mask) };
            before.was_blocked = block();
            before.action = Some(act(&action));
        }
        Self(())
    }
}

/// Whether the handler stays for the rest of the process's life.
static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Leaves the handler in place when the last [`Ends`] is dropped: such a signal must not change how a program exits.
pub fn keep_ends() {
    IS_KEPT.store(true, SeqCst);
}

impl Drop for Ends {
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
            // Discards what is still in the queue, which would else meet the former action.
            act(&ignored);
            if !before.was_blocked {
                // SAFETY: takes a set that lives for the call.
                unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, from_ref(&only_this()), null_mut()) };
            }
            act(&former);
        }
    }
}

/// Blocks the signal; returns whether it was blocked already.
fn block() -> bool {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: takes a set that lives for the call, and writes the other; it fails only for what is no
    // operation.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, from_ref(&only_this()), mask.as_mut_ptr()) };
    // SAFETY: it was written.
    let mask = unsafe { mask.assume_init() };
    // SAFETY: takes a set and a signal.
    unsafe { libc::sigismember(from_ref(&mask), signal_of_end()) == 1 }
}

/// Sets the action for the signal; returns the former one.
fn act(action: &sigaction) -> sigaction {
    let mut before = zeroed();
    // SAFETY: both live for the call; our handler touches nothing but an atomic, and any other action was
    // there before.
    unsafe { libc::sigaction(signal_of_end(), from_ref(action), &raw mut before) };
    before
}

fn zeroed() -> sigaction {
    // SAFETY: all of its fields are numbers, a set or a pointer, for which zeros are good.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Whether a signal has arrived since [`ended`] was asked last.
pub(super) fn told() -> bool {
    SEEN.load(SeqCst) != NOTHING
}

/// The children that have ended since this was asked last; `None`, if not all are known, or if there are more
/// than `most` signals. A number may also be that of a process that has merely sent the signal.
pub(super) fn ended(most: usize) -> Option<Vec<Pid>> {
    let seen = match SEEN.swap(NOTHING, SeqCst) {
        NOTHING => None,
        MANY => return None,
        pid => Some(pid),
    };
    // Each wait lets one through; the others are still in the queue.
    let all = seen.into_iter().chain(std::iter::from_fn(next_in_queue)).map(Pid::from_raw);
    let ended: Vec<Pid> = all.take(most + 1).collect();
    (ended.len() <= most).then_some(ended)
}

extern "C" fn note(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands over what it knows of the signal.
    let info = unsafe { &*info };
    // SAFETY: a signal for a child's end has a process number; so has one that somebody sends.
    let pid = unsafe { info.si_pid() };
    if SEEN.compare_exchange(NOTHING, pid, SeqCst, SeqCst).is_err() {
        SEEN.store(MANY, SeqCst);
    }
}

fn next_in_queue() -> Option<i32> {
    let mut info = MaybeUninit::<siginfo_t>::uninit();
    let at_once = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: all three live for the call.
    let signal = unsafe { libc::sigtimedwait(from_ref(&only_this()), info.as_mut_ptr(), from_ref(&at_once)) };
    if signal < 0 {
        return None;
    }
    // SAFETY: it returned a signal, so it has filled this in.
    let info = unsafe { info.assume_init() };
    // SAFETY: as in the handler.
    Some(unsafe { info.si_pid() })
}

fn only_this() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is written as a whole.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was just written, and this is a signal.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal_of_end()) };
    // SAFETY: it was written.
    unsafe { set.assume_init() }
}
