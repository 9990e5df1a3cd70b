//! The only module with `unsafe` code: system calls for which nix has no safe function.
//!
//! Reading order: `fork`, the only fork; `handlers`, signals; `linux`, the calls that only Linux has, with
//! the POSIX way in each doc. Only a server with hundreds of subservers needs `scale`. Skip it at first.
//! Everything else in this workspace is safe code; the workspace's lints enforce that.

#![allow(unsafe_code)]

mod fork;
mod handlers;
mod linux;
mod scale;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

pub use fork::{fork, threads};
pub use handlers::{Handlers, arrivals, end_by_default};
pub use linux::{Poller, ends_with_us, keep_inherited_to_ourselves, with_default_signals};
pub use linux::{
    Punctual, capacity, end_with_parent, enlarge, exchange, is_unsupported, lock_exclusively, move_new,
    rename_over, unlock, unread,
};
pub use scale::out_of_the_way;
pub use scale::{Scale, keep_exit_handler};

/// An operation of [`try_lock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Takes the lock shared with other holders of a shared lock.
    Shared,
    /// Takes the lock alone: there is no other holder, shared or exclusive.
    Exclusive,
    /// Releases the lock.
    Release,
}

/// Takes or releases the kernel's advisory lock on an open file (flock(2)), without waiting.
///
/// The lock belongs to the open file description, and ends with its last file descriptor. FIFOs can be locked
/// like regular files, whether open for reading or for writing.
///
/// # Errors
/// `EWOULDBLOCK`: another process holds the lock. `ENOLCK`, `ENOTSUP`: this file system has no such lock.
pub fn try_lock(fd: BorrowedFd<'_>, lock: Lock) -> Result<(), Errno> {
    let operation = match lock {
        Lock::Shared => libc::LOCK_SH | libc::LOCK_NB,
        Lock::Exclusive => libc::LOCK_EX | libc::LOCK_NB,
        Lock::Release => libc::LOCK_UN,
    };
    // SAFETY: flock takes two integers and touches no memory of ours.
    Errno::result(unsafe { libc::flock(fd.as_raw_fd(), operation) }).map(drop)
}

/// Takes ownership of a file descriptor that the parent process left open (`--ready-fd`, `--gate`). Of 0, 1
/// and 2 it takes a copy, and puts /dev/null in their place. Closing the copy then leaves no free number that
/// the next pipe would get, and closes the file for good.
///
/// # Errors
/// `EBADF`: it is not open. Those of open(2) for /dev/null.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    let standard = (0..=2).contains(&fd);
    let (command, argument) =
        if standard { (libc::F_DUPFD_CLOEXEC, 3) } else { (libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: both commands take an integer. A file descriptor that is not open gives EBADF.
    let result = Errno::result(unsafe { libc::fcntl(fd, command, argument) })?;
    if standard {
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        // SAFETY: takes integers. Reads and writes of 0, 1 or 2 go to /dev/null from now on.
        Errno::result(unsafe { libc::dup2(null.as_raw_fd(), fd) })?;
    }
    // SAFETY: it is open, and either just made or passed to this process on its command line to be owned. The
    // command line is read once, before anything else is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(if standard { result } else { fd }) })
}

/// Returns 64 unpredictable bits from the kernel: from getrandom(2), or from /dev/urandom (random(4)) if that
/// fails, as in an old kernel or a sandbox. Keeps no file descriptor, since a subserver would close it.
///
/// # Errors
/// Those of open(2) and read(2) for /dev/urandom.
pub fn random() -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    // SAFETY: the kernel writes at most these 8 bytes.
    if unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) } != 8 {
        // A read of so few bytes is never cut short.
        read(open("/dev/urandom", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?, &mut bytes)?;
    }
    Ok(u64::from_ne_bytes(bytes))
}
