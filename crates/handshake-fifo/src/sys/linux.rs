//! System calls that only Linux has. Each item names the POSIX way, for ports to other systems.

use std::cell::Cell;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, RenameFlags, fcntl, renameat, renameat2};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::sys::stat::lstat;
use nix::unistd::{close, getpid, getppid};

use crate::errno::errno_of;

/// Exchanges two names in a directory in one step (renameat2(2), `RENAME_EXCHANGE`). Neither name is ever
/// missing. POSIX: rename(2), which also replaces in one step, but removes the former file unseen.
///
/// # Errors
/// `ENOENT`: one of them does not exist. If the system [does not support it](is_unsupported), another error.
pub fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

/// Moves `from` to the name `to`, if that name is free (renameat2(2), `RENAME_NOREPLACE`). If the system
/// [does not support it](is_unsupported), calls lstat(2) and rename(2). A file that appears at that name
/// between the two calls is lost. POSIX: link(2), then unlink(2) of the old name.
///
/// # Errors
/// `EEXIST`: the name `to` is taken.
pub fn move_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(errno) if is_unsupported(errno) => match lstat(to) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => rename_over(from, to),
            Err(errno) => Err(errno),
        },
        moved => moved,
    }
}

/// Moves `from` to the name `to`, and replaces a file of that name (rename(2), which POSIX has).
///
/// # Errors
/// Those of rename(2).
pub fn rename_over(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat(AT_FDCWD, from, AT_FDCWD, to)
}

/// Returns whether an error of renameat2(2) means that a flag, or the whole call, is not supported here. File
/// systems return `EINVAL` (NFS, FUSE, 9p, gVisor), old kernels `ENOSYS`, sandboxes any of these.
pub fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// Closes every file descriptor of this process except 0, 1, 2 and those in `keep`, by close_range(2). Closes
/// them one by one if that call does not exist: before Linux 5.9, or in a sandbox. POSIX: close(2) in a loop
/// up to the limit, or over /dev/fd.
///
/// For a child just forked, whose memory still holds the parent's `OwnedFd`s but will never drop them.
///
/// # Errors
/// Those of opendir(3) for /proc/self/fd, if close_range(2) fails.
pub(super) fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut first: RawFd = 3;
    loop {
        let kept = keep.iter().copied().filter(|fd| *fd >= first).min();
        let last = kept.map_or(RawFd::MAX, |kept| kept - 1);
        // SAFETY: takes integers. The file descriptors closed belong to values of the parent, which this
        // child neither uses nor drops (sys::fork never returns in the child).
        let close_range = |first: RawFd, last: RawFd| unsafe {
            libc::close_range(first.cast_unsigned(), last.cast_unsigned(), 0)
        };
        if first <= last && close_range(first, last) != 0 {
            return close_one_by_one_all_but(keep);
        }
        let Some(kept) = kept else { return Ok(()) };
        first = kept + 1;
    }
}

fn close_one_by_one_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let open = fs::read_dir("/proc/self/fd").map_err(|error| errno_of(&error))?;
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // Reads the list completely first: its own file descriptor is one of them, and is closed after that.
    let numbers: Vec<RawFd> = numbers.filter(|number| *number >= 3 && !keep.contains(number)).collect();
    for number in numbers {
        let _ = close(number);
    }
    Ok(())
}

/// Keeps inherited file descriptors other than 0, 1 and 2 from the programs that this process starts
/// (close_range(2), `CLOSE_RANGE_CLOEXEC`). Call it before opening file descriptors that those programs
/// should inherit. POSIX: fcntl(2) with `FD_CLOEXEC` in a loop up to the limit, or over /dev/fd.
pub fn keep_inherited_to_ourselves() {
    let keep = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: takes integers, and closes nothing. Before Linux 5.11 the call fails, and programs inherit as
    // usual.
    let _ = unsafe { libc::close_range(3, u32::MAX, keep) };
}

/// Makes the kernel send this process `signal` when its parent dies (prctl(2), `PR_SET_PDEATHSIG`). The
/// parent may have died before: check getppid(2) afterwards. POSIX: an unnamed pipe whose writing end only
/// the parent holds; its EOF shows the parent's death.
///
/// # Errors
/// `EINVAL`: no such signal.
pub fn end_with_parent(signal: Signal) -> Result<(), Errno> {
    prctl::set_pdeathsig(signal)
}

/// Makes the kernel send `signal` to a program about to be started when this process dies, as for subservers.
/// What a killed process had started then ends too. POSIX: an unnamed pipe, as for [`end_with_parent`].
pub fn ends_with_us(command: &mut Command, signal: Signal) {
    let us = getpid();
    // In the child, between fork and exec: two system calls, no memory. The setting survives the exec
    // (prctl(2)).
    let tie = move || {
        end_with_parent(signal)?;
        // This process may have died before prctl(2) took effect.
        if getppid() == us { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: `tie` calls prctl and getppid only, which are async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(tie) };
}

/// Makes the kernel end this thread's sleeps on time, and not up to 50 microseconds late (prctl(2),
/// `PR_SET_TIMERSLACK`), until the last `Punctual` is dropped. POSIX: the system chooses.
#[derive(Debug)]
pub struct Punctual(());

thread_local! {
    /// How many [`Punctual`]s this thread has, and its slack before the first, in nanoseconds. `None` if the
    /// kernel did not report the slack.
    static SLACK: Cell<(usize, Option<u64>)> = const { Cell::new((0, None)) };
}

impl Punctual {
    /// Begins precise sleeps, until the value is dropped.
    pub fn begin() -> Self {
        let (users, mut before) = SLACK.get();
        if users == 0 {
            before = prctl::get_timerslack().ok().and_then(|slack| u64::try_from(slack).ok());
            // If this fails, sleeps are longer, and nothing else changes.
            let _ = prctl::set_timerslack(1);
        }
        SLACK.set((users + 1, before));
        Self(())
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        let (users, before) = SLACK.get();
        SLACK.set((users - 1, before));
        if users == 1 {
            let _ = before.map(prctl::set_timerslack);
        }
    }
}

/// Gives a program about to be started the default dispositions of SIGHUP, SIGINT, SIGQUIT, SIGTERM and
/// SIGPIPE, and an empty signal mask. exec(2) keeps an ignored signal ignored. nohup(1) ignores SIGHUP, and a
/// shell without job control ignores SIGINT and SIGQUIT in its background jobs. [`Command`] by itself resets
/// SIGPIPE and the mask only. POSIX: as here.
pub fn with_default_signals(command: &mut Command) {
    // In the child, between fork and exec.
    let reset = || {
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE] {
            // SAFETY: SIG_DFL is no handler of ours, so it runs none of our code.
            unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: `reset` calls sigaction and pthread_sigmask only, which are async-signal-safe.
    unsafe { command.pre_exec(reset) };
}

/// Sets a pipe's capacity to `bytes` (fcntl(2), `F_SETPIPE_SZ`), if the kernel allows that. An ordinary
/// user's pipes together are limited (pipe(7), pipe-user-pages-soft). A pipe of the usual capacity works as
/// well, but slower. POSIX: none.
pub fn enlarge(pipe: impl AsFd, bytes: i32) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(bytes));
}

/// Returns how many unread bytes a pipe holds, seen from either end (ioctl(2), `FIONREAD`, which POSIX
/// defines for other files only). POSIX: none; a writer that must not write a second record before the first
/// was read pauses instead.
///
/// # Errors
/// `ENOTTY`: no pipe.
pub fn unread(pipe: impl AsFd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: on a pipe FIONREAD writes one int through the pointer, and `bytes` is one.
    Errno::result(unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(bytes.cast_unsigned() as usize)
}

/// Returns how many bytes an empty pipe takes (fcntl(2), `F_GETPIPE_SZ`). POSIX: at least PIPE_BUF.
///
/// # Errors
/// `EBADF`: no pipe.
pub fn capacity(pipe: impl AsFd) -> Result<usize, Errno> {
    Ok(fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?.cast_unsigned() as usize)
}

/// Takes an exclusive lock on an open file (fcntl(2), `F_OFD_SETLK`). It lasts until [`unlock`], or
/// until the last close of this open file description. It is independent of [`try_lock`](super::try_lock)'s
/// locks. POSIX: available since 2024; before that `F_SETLK`, which is for a whole process.
///
/// # Errors
/// `EAGAIN`, `EACCES`: another open file description holds the lock. Others: the file system has no such
/// locks.
pub fn lock_exclusively(file: impl AsFd) -> Result<(), Errno> {
    set_lock(file, libc::F_WRLCK)
}

/// Releases the lock of [`lock_exclusively`].
pub fn unlock(file: impl AsFd) {
    // Releasing a lock cannot fail.
    let _ = set_lock(file, libc::F_UNLCK);
}

fn set_lock(file: impl AsFd, lock: libc::c_int) -> Result<(), Errno> {
    let whole = libc::flock {
        l_type: lock as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop)
}

/// Returns how many threads this process has (/proc/self/task), or 1 if that cannot be read.
pub(super) fn tasks() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.flatten().count().max(1))
}

/// Waits for many file descriptors at a cost that does not grow with their number (epoll(7)). POSIX: poll(2)
/// over all of them.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// Makes a poller that watches nothing yet. It holds one file descriptor, closed on exec.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Watches `fd`, and reports its events with `token`. With an empty `interest`, reports only errors and
    /// hang-ups.
    ///
    /// # Errors
    /// `EEXIST`: it is already watched. `ENOSPC`, `ENOMEM`: too many are watched.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: EpollFlags) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(interest, token))
    }

    /// Changes the events for which `fd` is watched.
    ///
    /// # Errors
    /// `ENOENT`: it is not watched.
    pub fn change(&self, fd: impl AsFd, token: u64, interest: EpollFlags) -> Result<(), Errno> {
        self.epoll.modify(fd, &mut EpollEvent::new(interest, token))
    }

    /// Stops watching `fd`. Needed before `fd` is closed, if another process holds a copy of it.
    ///
    /// # Errors
    /// `ENOENT`: it is not watched.
    pub fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        self.epoll.delete(fd)
    }

    /// Waits for events, at most `milliseconds` (-1: forever), under the signal mask `mask`, or the thread's
    /// own. Returns how many of `events` were filled in.
    ///
    /// # Errors
    /// `EINTR`: a signal that the mask does not block arrived.
    pub fn wait(
        &self,
        events: &mut [EpollEvent],
        milliseconds: i32,
        mask: Option<&SigSet>,
    ) -> Result<usize, Errno> {
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: `events` is writable for `room` entries (EpollEvent is repr(transparent) over epoll_event),
        // and `mask` is null or a signal set for the whole call.
        let count = unsafe {
            libc::epoll_pwait(
                self.epoll.0.as_raw_fd(),
                events.as_mut_ptr().cast(),
                room,
                milliseconds,
                mask.map_or(std::ptr::null(), |mask| std::ptr::from_ref(mask.as_ref())),
            )
        };
        Errno::result(count).map(i32::cast_unsigned).map(|count| count as usize)
    }
}

/// It reports POLLIN while a watched file descriptor is ready. ppoll(2), which counts in nanoseconds, can
/// therefore wait for it.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
