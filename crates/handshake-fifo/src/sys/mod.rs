//! The one module that may say `unsafe`: the system calls that nix has no safe form for.
//!
//! Reading order: `fork`, the one fork; `handlers`, signals; `linux`, what only Linux has, with the POSIX way
//! in each doc. Only a server with hundreds of subservers needs `scale`. Skip it at first. Everything else in this workspace is safe code; the workspace's
//! lints see to it.

#![allow(unsafe_code)]

mod fork;
mod handlers;
mod linux;
mod scale;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

pub use fork::{fork, threads};
pub use handlers::{Handlers, arrivals, end_by_default};
pub use linux::{Poller, ends_with_us, keep_inherited_to_ourselves, with_default_signals};
pub use linux::{
    Punctual, capacity, end_with_parent, enlarge, exchange, is_unsupported, keep_others_off, let_others_in,
    move_new, rename_over, unread,
};
pub use scale::out_of_the_way;
pub use scale::{Scale, keep_ends};

/// An answer of [`try_lock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Many may hold it at once.
    Shared,
    /// One holds it, and nobody a shared one.
    Exclusive,
    /// Gives it back.
    Release,
}

/// Takes or gives back the kernel's advisory lock on an open file (flock(2)), without waiting.
///
/// The lock belongs to the open file description: it goes with the last descriptor of it. FIFOs take it
/// like regular files do, whichever way they are open.
///
/// # Errors
/// `EWOULDBLOCK`: another one holds it. `ENOLCK`, `ENOTSUP`: this file system has no such lock.
pub fn try_lock(fd: BorrowedFd<'_>, lock: Lock) -> Result<(), Errno> {
    let operation = match lock {
        Lock::Shared => libc::LOCK_SH | libc::LOCK_NB,
        Lock::Exclusive => libc::LOCK_EX | libc::LOCK_NB,
        Lock::Release => libc::LOCK_UN,
    };
    // SAFETY: flock takes two integers and touches no memory of ours.
    Errno::result(unsafe { libc::flock(fd.as_raw_fd(), operation) }).map(drop)
}

/// Makes a descriptor that the parent process left open (`--ready-fd`, `--gate`) ours. Of 0, 1 and 2 it takes a copy,
/// and puts /dev/null in their place: so closing it leaves no gap that the next pipe would fill, and closes it for good.
///
/// # Errors
/// `EBADF`: it is not open. Those of open(2) for /dev/null.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    let standard = (0..=2).contains(&fd);
    let (command, argument) =
        if standard { (libc::F_DUPFD_CLOEXEC, 3) } else { (libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: both commands take an integer; a descriptor that is not open gives EBADF.
    let result = Errno::result(unsafe { libc::fcntl(fd, command, argument) })?;
    if standard {
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        // SAFETY: takes integers. Who reads or writes 0, 1 or 2 from now on finds /dev/null there.
        Errno::result(unsafe { libc::dup2(null.as_raw_fd(), fd) })?;
    }
    // SAFETY: it is open, and either just made or given to this process on its command line to be owned; the command
    // line is read once, before anything else is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(if standard { result } else { fd }) })
}
