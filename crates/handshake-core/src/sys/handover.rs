//! How a child gets its descriptors from a parent that has thousands. Linux only, as `linux`.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::poll;
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
pub(crate) struct Handover {
    /// What the child says, in a page that both really share: nothing yet (0), [`TAKEN`], or the error for which it could not.
    said: NonNull<AtomicU32>,
    /// This kernel is older than the call, or a sandbox forbids it.
    impossible: Cell<bool>,
}

/// It has what is its own. No error has this number.
const TAKEN: u32 = u32::MAX;

/// So often the parent looks for the child to be done, which takes it some ten microseconds ...
const LOOKS: u32 = 2000;
/// ... then it lets others have its processor between two looks, a thousand times ...
const YIELDS: u32 = LOOKS + 1000;
/// ... and then it pauses so many milliseconds: somebody has stopped the child.
const PAUSE: u8 = 1;

impl Handover {
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self, Errno> {
        let (length, protection) = (NonZeroUsize::MIN, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        // SAFETY: a new mapping, which overlaps nothing.
        let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED) }?;
        Ok(Self { said: page.cast(), impossible: Cell::new(false) })
    }

    fn said(&self) -> &AtomicU32 {
        // SAFETY: the page lives as long as this, is aligned, and begins as zeros.
        unsafe { self.said.as_ref() }
    }

    /// Whether it is worth a try; if not, fork(2) is left.
    pub(super) fn is_possible(&self) -> bool {
        !self.impossible.get()
    }

    /// In the parent, before the fork: returns the flag for it.
    pub(super) fn begin(&self) -> i32 {
        self.said().store(0, Release);
        libc::CLONE_FILES
    }

    /// In the child: takes 0, 1, 2 and `keep`, and what else is below the highest of them.
    pub(super) fn take(&self, keep: &[RawFd]) {
        let highest = keep.iter().copied().fold(2, i32::max).cast_unsigned();
        let unshare = libc::CLOSE_RANGE_UNSHARE.cast_signed();
        // SAFETY: takes integers, and closes only what is this child's own from here on.
        let taken = Errno::result(unsafe { libc::close_range(highest + 1, u32::MAX, unshare) });
        if let Err(errno) = taken {
            // The table is still the parent's: it must not be touched, and this child ends.
            self.said().store((errno as i32).cast_unsigned(), Release);
            // SAFETY: ends the process.
            unsafe { libc::_exit(1) }
        }
        self.said().store(TAKEN, Release);
    }

    /// In the parent: waits until the child has taken what is its own, or has died.
    ///
    /// # Errors
    /// `ENOMEM`: it could not, and is no more; another one may. Else, likewise, and no other will: it is not
    /// [possible](Self::is_possible).
    pub(super) fn await_end(&self, child: Pid) -> Result<(), Errno> {
        self.await_word(child);
        match self.said().load(Acquire) {
            0 | TAKEN => Ok(()),
            errno => {
                let errno = Errno::from_raw(errno.cast_signed());
                self.impossible.set(errno != Errno::ENOMEM);
                // It was the last thing that it said.
                while waitpid(child, None) == Err(Errno::EINTR) {}
                Err(errno)
            }
        }
    }

    fn await_word(&self, child: Pid) {
        let is_dead = || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            // An interrupted look says nothing: whoever goes on before the child is done closes what is the child's, too.
            !matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
        };
        let mut looks = 0;
        while self.said().load(Acquire) == 0 && (looks < LOOKS || !is_dead()) {
            match looks {
                0..LOOKS => std::hint::spin_loop(),
                LOOKS..YIELDS => std::thread::yield_now(),
                _ => drop(poll(&mut [], PAUSE)),
            }
            looks += 1;
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let _ = unsafe { munmap(self.said.cast(), 1) };
    }
}
