//! How a child gets its descriptors from a parent that has thousands. Linux only, as `linux`.

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

/// What a process with thousands of descriptors keeps for long goes above this number, so that the few that a child needs
/// are below.
const LOW: i32 = 64;

/// Moves a descriptor that is kept for long out of the way of those that a child needs: a child is born
/// sharing the table of its parent, and copies what is below the highest that it keeps.
///
/// # Errors
/// `EMFILE`: this process may have no more.
pub fn out_of_the_way(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let moved = match fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(LOW)) {
        // This process may have so few that there are none above: then a fork costs what it costs.
        Err(Errno::EINVAL | Errno::EMFILE) => fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?,
        moved => moved?,
    };
    // SAFETY: it was just made, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// How a child gets its descriptors without a copy of all that its parent has, which costs both of them time and the
/// kernel memory for as long as the child lives: it is born sharing the parent's table (clone(2), `CLONE_FILES`), and takes
/// only the lower end of it with it (close_range(2), `CLOSE_RANGE_UNSHARE`). Until it says that this is done, the parent
/// leaves the table alone. POSIX: fork(2), and the cost.
#[derive(Debug)]
pub(super) struct Handover {
    /// In a page that parent and child really share (futex(2)): one of the three below, or the error for which the child could
    /// not.
    state: NonNull<AtomicU32>,
    /// This kernel is older than the call, or a sandbox forbids it.
    impossible: Cell<bool>,
}

/// The child has not taken what is its own yet. No error has one of these numbers.
const BEGUN: u32 = 0;
/// Nor yet, and the parent sleeps until then.
const AWAITED: u32 = u32::MAX - 1;
/// It has.
const DONE: u32 = u32::MAX;

/// So often the parent looks before it sleeps: a child that runs at once takes some microseconds.
const LOOKS: u32 = 500;
/// So often it wakes to see whether the child still lives.
const PAUSE: timespec = timespec { tv_sec: 0, tv_nsec: 1_000_000 };

impl Handover {
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self, Errno> {
        let (length, protection) = (NonZeroUsize::MIN, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        // SAFETY: a new mapping, which overlaps nothing.
        let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED) }?;
        Ok(Self { state: page.cast(), impossible: Cell::new(false) })
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: the page lives as long as this, is aligned, and begins as zeros.
        unsafe { self.state.as_ref() }
    }

    /// Whether it is worth a try; if not, fork(2) is left.
    pub(super) fn is_possible(&self) -> bool {
        !self.impossible.get()
    }

    /// In the parent, before the fork: returns the flag for it.
    pub(super) fn begin(&self) -> i32 {
        self.state().store(BEGUN, Release);
        libc::CLONE_FILES
    }

    /// In the child: takes 0, 1, 2 and `keep`, and what else is below the highest of them.
    pub(super) fn take(&self, keep: &[RawFd]) {
        let highest = keep.iter().copied().fold(2, i32::max).cast_unsigned();
        let unshare = libc::CLOSE_RANGE_UNSHARE.cast_signed();
        // SAFETY: takes integers, and closes only what is this child's own from here on.
        match Errno::result(unsafe { libc::close_range(highest + 1, u32::MAX, unshare) }) {
            Ok(_) => self.say(DONE),
            Err(errno) => {
                self.say((errno as i32).cast_unsigned());
                // The table is still the parent's: it must not be touched, and this child ends.
                // SAFETY: ends the process.
                unsafe { libc::_exit(1) }
            }
        }
    }

    fn say(&self, word: u32) {
        if self.state().swap(word, AcqRel) == AWAITED {
            self.futex(libc::FUTEX_WAKE, 1);
        }
    }

    /// In the parent: waits until the child has taken what is its own, or has died.
    ///
    /// # Errors
    /// `ENOMEM`: it could not, and is no more; another one may. Else, likewise, and no other will: it is not
    /// [possible](Self::is_possible).
    pub(super) fn await_end(&self, child: Pid) -> Result<(), Errno> {
        self.await_word(child);
        match self.state().load(Acquire) {
            // Not a word: it has died, as any other may.
            BEGUN | AWAITED | DONE => Ok(()),
            errno => {
                let errno = Errno::from_raw(errno.cast_signed());
                self.impossible.set(errno != Errno::ENOMEM);
                // It was the last thing that it said.
                while waitpid(child, Some(WaitPidFlag::__WALL)) == Err(Errno::EINTR) {}
                Err(errno)
            }
        }
    }

    fn await_word(&self, child: Pid) {
        let is_dead = || {
            let flags =
                WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
            // An interrupted look says nothing: whoever goes on before the child is done closes what is the child's, too.
            !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
        };
        for _ in 0..LOOKS {
            if self.state().load(Acquire) != BEGUN {
                return;
            }
            std::hint::spin_loop();
        }
        // It may well wait for this very processor.
        if self.state().compare_exchange(BEGUN, AWAITED, AcqRel, Acquire).is_ok() {
            while self.state().load(Acquire) == AWAITED && !is_dead() {
                self.futex(libc::FUTEX_WAIT, AWAITED);
            }
        }
    }

    /// Sleeps for a while if the state is `number`, or wakes so many. Whatever it says, the state tells more.
    fn futex(&self, operation: c_int, number: u32) {
        let (state, pause) = (self.state.as_ptr(), from_ref(&PAUSE));
        // SAFETY: the page and the pause outlive the call; who wakes somebody has no use for the pause.
        unsafe { libc::syscall(libc::SYS_futex, state, operation, number, pause) };
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let _ = unsafe { munmap(self.state.cast(), 1) };
    }
}
