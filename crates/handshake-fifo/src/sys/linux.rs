//! What only Linux has. Each item names the POSIX way, for whoever carries the project elsewhere.

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

/// Lets two names in a directory change places in one step (renameat2(2), `RENAME_EXCHANGE`), so that neither is
/// ever missing. POSIX: rename(2), which replaces as well in one step but destroys what was there unseen.
///
/// # Errors
/// `ENOENT`: one of them does not exist. Where the system [cannot do it](is_unsupported), another error says so.
pub fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

/// Moves `from` to the name `to`, if nothing has that name (renameat2(2), `RENAME_NOREPLACE`). Where the
/// system [cannot do it](is_unsupported), a look and rename(2) do nearly the same: what comes to that name
/// between the two is lost. POSIX: link(2), then unlink(2) of the old name.
///
/// # Errors
/// `EEXIST`: something has that name.
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

/// Moves `from` to the name `to`, whatever has that name (rename(2), which POSIX has).
///
/// # Errors
/// Those of rename(2).
pub fn rename_over(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat(AT_FDCWD, from, AT_FDCWD, to)
}

/// Whether an error of renameat2(2) says that a flag, or the whole call, is not to be had here. File systems
/// say `EINVAL` (NFS, FUSE, 9p, gVisor), old kernels `ENOSYS`, sandboxes any of these.
pub fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// Closes every descriptor of this process but 0, 1, 2 and those in `keep` (close_range(2), or one by one where there is no such
/// call: before Linux 5.9, or in a sandbox).
/// POSIX: close(2) in a loop up to the limit, or over /dev/fd.
///
/// For a child just forked, whose memory still holds the parent's `OwnedFd`s but will never drop them.
///
/// # Errors
/// Those of opendir(3) for /proc/self/fd, where it must be looked up.
pub(super) fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let raw = keep.iter().map(|fd| fd.cast_unsigned());
    let mut kept: Vec<u32> = [0, 1, 2].into_iter().chain(raw).collect();
    kept.sort_unstable();
    kept.dedup();
    let gaps = kept.windows(2).map(|pair| (pair[0] + 1, pair[1] - 1)).filter(|(first, last)| first <= last);
    for (first, last) in gaps.chain([(kept[kept.len() - 1] + 1, u32::MAX)]) {
        // SAFETY: takes integers. The descriptors closed belong to values of the parent that this child
        // neither uses nor drops (sys::fork never returns in the child).
        let closed = Errno::result(unsafe { libc::close_range(first, last, 0) });
        if closed.is_err() {
            return close_one_by_one_all_but(&kept);
        }
    }
    Ok(())
}

fn close_one_by_one_all_but(kept: &[u32]) -> Result<(), Errno> {
    let open = fs::read_dir("/proc/self/fd").map_err(|error| errno_of(&error))?;
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // To the end first: the list is one of them, and has closed itself then.
    let numbers: Vec<u32> = numbers.filter(|number| !kept.contains(number)).collect();
    for number in numbers {
        let _ = close(number.cast_signed());
    }
    Ok(())
}

/// Keeps from programs that this process starts whatever else than 0, 1 and 2 it has itself been given (close_range(2),
/// `CLOSE_RANGE_CLOEXEC`): to be called before anything is opened that they are to have.
/// POSIX: fcntl(2) with `FD_CLOEXEC` in a loop up to the limit, or over /dev/fd.
pub fn keep_inherited_to_ourselves() {
    let keep = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: takes integers, and closes nothing. Before Linux 5.11 it is in vain, and they inherit as always.
    let _ = unsafe { libc::close_range(3, u32::MAX, keep) };
}

/// Has the kernel send this process `signal` when its parent dies (prctl(2), `PR_SET_PDEATHSIG`). The parent
/// may have died before: look at getppid(2) afterwards.
/// POSIX: an unnamed pipe whose writing end only the parent holds; its end of file tells.
///
/// # Errors
/// `EINVAL`: no such signal.
pub fn end_with_parent(signal: Signal) -> Result<(), Errno> {
    prctl::set_pdeathsig(signal)
}

/// Has a program that is about to be started get `signal` when this process dies, as subservers do: so what a
/// killed one had started does not live on.
/// POSIX: as for subservers.
pub fn ends_with_us(command: &mut Command, signal: Signal) {
    let us = getpid();
    // In the child, between fork and exec: two system calls, no memory. The wish outlives the exec (prctl(2)).
    let tie = move || {
        end_with_parent(signal)?;
        // This process may have died before the wish was heard.
        if getppid() == us { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: `tie` calls prctl and getppid only, which are async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(tie) };
}

/// Has the kernel end this thread's sleeps when they are due, and not up to 50 microseconds later (prctl(2),
/// `PR_SET_TIMERSLACK`), until the last of these is dropped. POSIX: that is for the system to choose.
#[derive(Debug)]
pub struct Punctual(());

thread_local! {
    /// How many [`Punctual`]s this thread has, and its slack before the first, in nanoseconds, if the kernel
    /// told.
    static SLACK: Cell<(usize, Option<u64>)> = const { Cell::new((0, None)) };
}

impl Punctual {
    /// From now on, until this is dropped.
    pub fn begin() -> Self {
        let (users, mut before) = SLACK.get();
        if users == 0 {
            before = prctl::get_timerslack().ok().and_then(|slack| u64::try_from(slack).ok());
            // In vain, sleeps are longer, and nothing else.
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

/// Has a program that is about to be started get the default dispositions of SIGHUP, SIGINT, SIGQUIT,
/// SIGTERM and SIGPIPE, and an empty signal mask. exec(2) keeps an ignored signal ignored. nohup(1) ignores
/// SIGHUP, and a shell without job control ignores SIGINT and SIGQUIT in its background jobs. [`Command`]
/// by itself resets SIGPIPE and the mask only.
/// POSIX: as here.
pub fn with_default_signals(command: &mut Command) {
    // In the child, between fork and exec.
    let reset = || {
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE] {
            // SAFETY: SIG_DFL is no handler of ours, so no code runs by it.
            unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: `reset` calls sigaction and pthread_sigmask only, which are async-signal-safe.
    unsafe { command.pre_exec(reset) };
}

/// Lets a pipe hold as many bytes (fcntl(2), `F_SETPIPE_SZ`), if it may: an ordinary user's pipes together are limited
/// (pipe(7), pipe-user-pages-soft), and one that stays as it is does the same, slower. POSIX: no such thing.
pub fn enlarge(pipe: impl AsFd, bytes: i32) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(bytes));
}

/// How many bytes there are in a pipe that nobody has read yet, seen from either end (ioctl(2), `FIONREAD`, which POSIX
/// knows of other files only). POSIX: none; who must not write a second record before the first was read, pauses.
///
/// # Errors
/// `ENOTTY`: no pipe.
pub fn unread(pipe: impl AsFd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: on a pipe FIONREAD writes one int through the pointer, and `bytes` is one.
    Errno::result(unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(bytes.cast_unsigned() as usize)
}

/// How many bytes a pipe takes when it is empty (fcntl(2), `F_GETPIPE_SZ`). POSIX: PIPE_BUF for certain.
///
/// # Errors
/// `EBADF`: no pipe.
pub fn capacity(pipe: impl AsFd) -> Result<usize, Errno> {
    Ok(fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?.cast_unsigned() as usize)
}

/// Keeps others who ask the same off an open file, until [`let_others_in`] or the last close of this opening of it (fcntl(2),
/// `F_OFD_SETLK`). It knows nothing of [`try_lock`](super::try_lock)'s locks. POSIX: the same since 2024; before that
/// `F_SETLK`, for a whole process.
///
/// # Errors
/// `EAGAIN`, `EACCES`: somebody else does. Others: the file system has no such locks.
pub fn keep_others_off(file: impl AsFd) -> Result<(), Errno> {
    set_lock(file, libc::F_WRLCK)
}

/// The end of [`keep_others_off`].
pub fn let_others_in(file: impl AsFd) {
    // Giving a lock back cannot fail.
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

/// How many threads this process has (/proc/self/task); 1, if that cannot be read.
pub(super) fn tasks() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.flatten().count().max(1))
}

/// Waits for many descriptors at a cost that does not grow with their number (epoll(7)).
/// POSIX: poll(2) over all of them.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// A poller that watches nothing yet. It holds one descriptor, closed on exec.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Watches `fd`; what it shows is reported with `token`. With `interest` empty, only errors and hang-ups are.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already. `ENOSPC`, `ENOMEM`: one too many.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: EpollFlags) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(interest, token))
    }

    /// Watches `fd`, which is watched already, for something else.
    ///
    /// # Errors
    /// `ENOENT`: it is not watched.
    pub fn change(&self, fd: impl AsFd, token: u64, interest: EpollFlags) -> Result<(), Errno> {
        self.epoll.modify(fd, &mut EpollEvent::new(interest, token))
    }

    /// Watches `fd` no more. Needed before it is closed, if another process holds a copy of it.
    ///
    /// # Errors
    /// `ENOENT`: it is not watched.
    pub fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        self.epoll.delete(fd)
    }

    /// Waits until something is to be seen, at most `milliseconds` (-1: for ever), under the signal mask `mask`.
    /// Returns how many of `events` were filled in.
    ///
    /// # Errors
    /// `EINTR`: a signal that `mask` lets through came.
    pub fn wait(&self, events: &mut [EpollEvent], milliseconds: i32, mask: &SigSet) -> Result<usize, Errno> {
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: `events` is writable for `room` entries (EpollEvent is repr(transparent) over epoll_event), and
        // `mask` is a signal set for the whole call.
        let count = unsafe {
            libc::epoll_pwait(
                self.epoll.0.as_raw_fd(),
                events.as_mut_ptr().cast(),
                room,
                milliseconds,
                std::ptr::from_ref(mask.as_ref()),
            )
        };
        Errno::result(count).map(i32::cast_unsigned).map(|count| count as usize)
    }
}

/// It shows POLLIN while something it watches shows something: so ppoll(2), which counts in nanoseconds, can wait for it.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
