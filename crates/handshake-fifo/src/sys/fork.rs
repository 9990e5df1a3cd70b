//! The one fork: an ordinary child, whose end SIGCHLD tells.

use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{c_int, c_long};
use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use super::linux::{close_all_but, tasks};

/// Forks. The child holds 0, 1, 2 and `keep`. It runs `body`, which is told whether closing all
/// other descriptors failed, and leaves with the status that `body` returns, or with 101 when `body` panics.
/// The child never returns from here, so no destructor of the parent's values runs a second time.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`: no process can be had now; the parent goes on. `EDEADLK`: this process has other
/// [threads]. Only the forking thread lives on in a child, and a lock that another thread held would never be released.
pub fn fork(keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> Result<Pid, Errno> {
    if threads() > 1 {
        return Err(Errno::EDEADLK);
    }
    let child = if HAS_BARE_CLONE { clone(libc::SIGCHLD)? } else { by_library()? };
    child.map_or_else(|| live(keep, body), Ok)
}

/// Whether [`clone`] may be used: the order of its arguments differs between architectures, and musl keeps the number of
/// the thread, for raise(3), where only its own fork renews it.
pub(super) const HAS_BARE_CLONE: bool =
    cfg!(all(target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")));

/// fork(3); `None` in the child.
fn by_library() -> Result<Option<Pid>, Errno> {
    #[expect(clippy::disallowed_methods, reason = "this is the one fork")]
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// The system call itself, with these flags and the signal that tells of the child's end (clone(2)); `None` in
/// the child. The C library's fork(3) prepares the child for threads that it will never have, and so makes
/// three pages of each child its own. The caller has seen to it that there is one thread.
pub(super) fn clone(flags: c_int) -> Result<Option<Pid>, Errno> {
    let none: c_long = 0;
    // SAFETY: this process has one thread, so the child may do whatever the parent may. With CLONE_FILES it changes no
    // descriptor before close_range(2) has given it a table of its own (`Handover::take`).
    let pid = Errno::result(unsafe {
        libc::syscall(libc::SYS_clone, c_long::from(flags), none, none, none, none)
    })?;
    Ok((pid != 0).then(|| Pid::from_raw(i32::try_from(pid).expect("a process number"))))
}

/// The whole life of a child.
pub(super) fn live(keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> ! {
    let closed = close_all_but(keep);
    let status = catch_unwind(AssertUnwindSafe(|| body(closed))).unwrap_or(101);
    // SAFETY: _exit ends the process here, without the parent's atexit handlers and buffers.
    unsafe { libc::_exit(i32::from(status)) }
}

/// How many threads this process has. The C library's word is taken first, where it gives one: under
/// user-mode emulation the kernel also counts threads of the emulator (`__libc_single_threaded`, glibc 2.32).
/// Else the kernel is asked.
pub fn threads() -> usize {
    let name = c"__libc_single_threaded";
    // SAFETY: looks a name up, and returns null for a library that does not have it.
    let single: *const u8 = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast();
    // SAFETY: where it exists, it is a variable of one byte, which lives as long as the process.
    let is_single = !single.is_null() && unsafe { single.read_volatile() } != 0;
    if is_single { 1 } else { tasks() }
}
