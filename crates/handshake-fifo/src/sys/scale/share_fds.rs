//! How a child gets its file descriptors from a parent that has thousands. Linux only, as `linux`.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{NonNull, from_ref};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use libc::{c_int, timespec};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// A process with thousands of file descriptors keeps the long-lived ones above this number. The few that a
/// child needs are below it.
const LOW: i32 = 64;

/// Moves a long-lived file descriptor above those that a child needs. A child starts with its parent's table,
/// and copies the part up to the highest file descriptor that it keeps.
///
/// # Errors
/// `EMFILE`: this process has reached its limit of file descriptors.
pub fn out_of_the_way(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let moved = match fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(LOW)) {
        // The process's limit may leave no number above `LOW`. A fork then costs the usual amount.
        Err(Errno::EINVAL | Errno::EMFILE) => fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?,
        moved => moved?,
    };
    // SAFETY: fcntl has just made it, and nothing else refers to it.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// Gives a child its file descriptors without a copy of all those of its parent. Such a copy costs both
/// processes time, and the kernel memory for as long as the child lives.
///
/// The child starts with its parent's table (clone(2), `CLONE_FILES`). It then takes a copy of the table's
/// lower end (close_range(2), `CLOSE_RANGE_UNSHARE`). The parent does not touch the table until the child
/// reports that this is done. POSIX: fork(2), and the cost.
#[derive(Debug)]
pub(super) struct SharedTable {
    /// In a page that parent and child share (futex(2)): one of the three constants below, or the child's
    /// error.
    state: NonNull<AtomicU32>,
    /// The kernel is older than the call, or a sandbox forbids it.
    impossible: Cell<bool>,
}

/// The child has not taken its file descriptors yet. No error has one of these numbers.
const BEGUN: u32 = 0;
/// The child has not taken its file descriptors yet, and the parent sleeps until then.
const AWAITED: u32 = u32::MAX - 1;
/// The child has taken its file descriptors.
const DONE: u32 = u32::MAX;

/// How often the parent polls before it sleeps: a child that runs at once takes some microseconds.
const LOOKS: u32 = 500;
/// How often the sleeping parent wakes to check whether the child still lives.
const PAUSE: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };

impl SharedTable {
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self, Errno> {
        let (length, protection) = (NonZeroUsize::MIN, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        // SAFETY: a new mapping, which overlaps nothing.
        let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED) }?;
        Ok(Self { state: page.cast(), impossible: Cell::new(false) })
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: the page lives as long as `self`, is aligned, and begins as zeros.
        unsafe { self.state.as_ref() }
    }

    /// Returns whether to try this; if not, only fork(2) remains.
    pub(super) fn is_possible(&self) -> bool {
        !self.impossible.get()
    }

    /// In the parent, before the fork: returns the flag for it.
    pub(super) fn begin(&self) -> i32 {
        self.state().store(BEGUN, Release);
        libc::CLONE_FILES
    }

    /// In the child: keeps 0, 1, 2 and `keep`, and all others below the highest of them.
    pub(super) fn take(&self, keep: &[RawFd]) {
        let highest = keep.iter().copied().fold(2, i32::max).cast_unsigned();
        let unshare = libc::CLOSE_RANGE_UNSHARE.cast_signed();
        // SAFETY: takes integers, and closes only file descriptors in the child's own, unshared table.
        match Errno::result(unsafe { libc::close_range(highest + 1, u32::MAX, unshare) }) {
            Ok(_) => self.report(DONE),
            Err(errno) => {
                self.report((errno as i32).cast_unsigned());
                // The table is still the parent's. The child must not touch it, and exits.
                // SAFETY: ends the process.
                unsafe { libc::_exit(1) }
            }
        }
    }

    fn report(&self, state: u32) {
        if self.state().swap(state, AcqRel) == AWAITED {
            self.futex(libc::FUTEX_WAKE, 1);
        }
    }

    /// In the parent: waits until the child has taken its file descriptors, or has died.
    ///
    /// # Errors
    /// `ENOMEM`: the child could not, and has exited; another child may succeed. Any other error: the child
    /// has exited as well, and no other child will succeed. This is then no longer
    /// [possible](Self::is_possible).
    pub(super) fn await_taken(&self, child: Pid) -> Result<(), Errno> {
        self.await_report(child);
        match self.state().load(Acquire) {
            // BEGUN or AWAITED: the child died without a report, as any child may.
            BEGUN | AWAITED | DONE => Ok(()),
            errno => {
                let errno = Errno::from_raw(errno.cast_signed());
                self.impossible.set(errno != Errno::ENOMEM);
                // The child exits directly after it reports an error.
                while waitpid(child, Some(WaitPidFlag::__WALL)) == Err(Errno::EINTR) {}
                Err(errno)
            }
        }
    }

    fn await_report(&self, child: Pid) {
        let is_dead = || {
            let flags =
                WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
            // An interrupted check proves nothing. If the parent went on too early, it would close the
            // child's file descriptors.
            !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
        };
        for _ in 0..LOOKS {
            if self.state().load(Acquire) != BEGUN {
                return;
            }
            std::hint::spin_loop();
        }
        // The child may be waiting for this very processor.
        if self.state().compare_exchange(BEGUN, AWAITED, AcqRel, Acquire).is_ok() {
            while self.state().load(Acquire) == AWAITED && !is_dead() {
                self.futex(libc::FUTEX_WAIT, AWAITED);
            }
        }
    }

    /// Sleeps for a while if the state is `number`, or wakes that many. The result is ignored: the caller
    /// reads the state.
    fn futex(&self, operation: c_int, number: u32) {
        let (state, pause) = (self.state.as_ptr(), from_ref(&PAUSE));
        // SAFETY: the page and the pause outlive the call. FUTEX_WAKE ignores the pause.
        unsafe { libc::syscall(libc::SYS_futex, state, operation, number, pause) };
    }
}

impl Drop for SharedTable {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let _ = unsafe { munmap(self.state.cast(), 1) };
    }
}
