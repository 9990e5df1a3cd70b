//! The only fork: an ordinary child, whose exit the kernel reports with SIGCHLD.

use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use libc::{c_int, c_long};
use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

use super::linux::{close_all_but, tasks};

/// Forks. The child keeps 0, 1, 2 and `keep`, and closes all other file descriptors. It runs `body` with the
/// result of closing them, and exits with the status that `body` returns, or with 101 if `body` panics. The
/// child never returns from here. No destructor of the parent's values therefore runs a second time.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`: the kernel can make no process now; the parent goes on. `EDEADLK`: this process has
/// other [threads]. Only the forking thread lives on in a child, and a lock that another thread held would
/// never be released.
pub fn fork(keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> Result<Pid, Errno> {
    if threads() > 1 {
        return Err(Errno::EDEADLK);
    }
    let child = if HAS_BARE_CLONE { clone(libc::SIGCHLD)? } else { fork_by_libc()? };
    child.map_or_else(|| run_child(keep, body), Ok)
}

/// Whether [`clone`] may be used. The order of its arguments differs between architectures. musl caches the
/// thread ID for raise(3), and only its own fork renews that.
pub(super) const HAS_BARE_CLONE: bool =
    cfg!(all(target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")));

/// Forks by fork(3). Returns `None` in the child.
fn fork_by_libc() -> Result<Option<Pid>, Errno> {
    #[expect(clippy::disallowed_methods, reason = "this is the one fork")]
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Forks by the system call itself, with these flags and the signal for the child's exit (clone(2)). Returns
/// `None` in the child. The C library's fork(3) prepares the child for threads that it will never have, and
/// so copies three pages for each child. The caller must have checked that there is one thread.
pub(super) fn clone(flags: c_int) -> Result<Option<Pid>, Errno> {
    let none: c_long = 0;
    // SAFETY: this process has one thread, so the child may do whatever the parent may. With CLONE_FILES the
    // child changes no file descriptor before close_range(2) has given it a table of its own
    // (`SharedTable::take`).
    let pid = Errno::result(unsafe {
        libc::syscall(libc::SYS_clone, c_long::from(flags), none, none, none, none)
    })?;
    Ok((pid != 0).then(|| Pid::from_raw(i32::try_from(pid).expect("a process number"))))
}

/// Runs the whole life of a child.
pub(super) fn run_child(keep: &[RawFd], body: impl FnOnce(Result<(), Errno>) -> u8) -> ! {
    let closed = close_all_but(keep);
    let status = catch_unwind(AssertUnwindSafe(|| body(closed))).unwrap_or(101);
    // SAFETY: _exit ends the process here, without the parent's atexit handlers and buffers.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Returns how many threads this process has. Asks the C library first (`__libc_single_threaded`, glibc
/// 2.32), because under user-mode emulation the kernel also counts threads of the emulator. Otherwise asks
/// the kernel.
pub fn threads() -> usize {
    // Looked up once: a look-up writes to several pages, which each child would then have to itself.
    static SINGLE: OnceLock<usize> = OnceLock::new();
    let single = *SINGLE.get_or_init(|| {
        let name = c"__libc_single_threaded";
        // SAFETY: looks up a name, and returns null if the library does not have it.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.expose_provenance()
    });
    let single = std::ptr::with_exposed_provenance::<u8>(single);
    // SAFETY: if it exists, it is a variable of one byte that lives as long as the process.
    let is_single = !single.is_null() && unsafe { single.read_volatile() } != 0;
    if is_single { 1 } else { tasks() }
}
