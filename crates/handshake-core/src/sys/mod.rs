//! The one module that may say `unsafe`: the system calls that nix has no safe form for.
//!
//! What only Linux has stands in `linux`, `handover` and `ends`, each with the POSIX way in its doc. Everything else in this
//! workspace is safe code; the workspace's lints see to it.

#![allow(unsafe_code)]

mod ends;
mod exec;
mod handover;
mod linux;
mod nursery;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

pub(crate) use ends::{await_ends, ended, told};
pub use exec::{starts_by_execve, try_execve};
pub(crate) use handover::Handover;
pub use handover::out_of_the_way;
pub use linux::{Poller, ends_with_us, keep_inherited_to_ourselves};
pub(crate) use linux::{
    capacity, close_all_but, end_with_parent, enlarge, exchange, keep_others_off, let_others_in, move_new,
    unread, wake_punctually,
};
pub use nursery::Nursery;

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

/// The one fork (fork(2)). The child holds 0, 1, 2 and `keep`, runs `body` (which is told if that failed) and leaves with
/// the status that it returns, or 101 when it panics; it never returns from here, so no destructor of the parent's values
/// runs a second time.
///
/// The parent is told of its end by [`ended`], and must wait for it with `__WALL` (wait4(2)). With a [`Handover`] the cost does
/// not grow with the number of descriptors above those in `keep`.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`: no process can be had now; the parent goes on.
///
/// # Panics
/// In debug builds, when this process has more than one thread: only the forking thread lives on in the child,
/// and a lock that another one held would never be given back.
pub(crate) fn fork(
    keep: &[RawFd],
    handover: Option<&Handover>,
    body: impl FnOnce(Result<(), Errno>) -> u8,
) -> Result<Pid, Errno> {
    fork_with(ends::signal_of_end(), keep, handover, body)
}

fn fork_with(
    signal_of_end: libc::c_int,
    keep: &[RawFd],
    handover: Option<&Handover>,
    body: impl FnOnce(Result<(), Errno>) -> u8,
) -> Result<Pid, Errno> {
    debug_assert_eq!(linux::threads(), 1, "a process that forks must have one thread");
    let handover = handover.filter(|handover| handover.is_possible());
    let flags = libc::c_long::from(handover.map_or(0, Handover::begin) | signal_of_end);
    let none: libc::c_long = 0;
    // Not libc's own fork, which prepares the child for threads that it will never have, and so makes three pages of each
    // child its own.
    // SAFETY: the process has one thread, which holds no lock of libc's, so the child may do whatever the parent may. Until
    // the handover is done, it only reads its memory and closes what is its own.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) })?;
    if pid != 0 {
        let pid = Pid::from_raw(i32::try_from(pid).expect("a process number"));
        return match handover.map_or(Ok(()), |handover| handover.await_end(pid)) {
            Err(_) if handover.is_some_and(|handover| !handover.is_possible()) => {
                fork_with(signal_of_end, keep, None, body)
            }
            taken => taken.map(|()| pid),
        };
    }
    if let Some(handover) = handover {
        handover.take(keep);
    }
    nursery::open();
    let closed = close_all_but(keep);
    let status = catch_unwind(AssertUnwindSafe(|| body(closed))).unwrap_or(101);
    // SAFETY: _exit ends the process here, without the parent's atexit handlers and buffers.
    unsafe { libc::_exit(i32::from(status)) }
}

/// The same fork for who has few descriptors and no [`Subservers`](crate::children::Subservers), by which servers fork;
/// SIGCHLD tells of the child's end.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`: no process can be had now; the parent goes on.
///
/// # Panics
/// In debug builds, when this process has more than one thread.
pub fn fork_keeping(keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> Result<Pid, Errno> {
    fork_with(libc::SIGCHLD, keep, None, body)
}
