//! The table of the system calls of a session: how each of them can fail, and which cannot.

use super::Lasts::{self, ForGood, Once};

/// A row of the table. It is about the calls of these names whose line in the trace contains a certain text.
#[derive(Debug)]
pub struct Row {
    /// The call's names: they differ between machines.
    pub names: &'static [&'static str],
    /// The text in its line of the trace.
    pub having: &'static str,
    /// The errors that the call can end with. If there are none, the call is left out.
    pub fails: &'static [Failure],
    /// The reason for these errors, or for none.
    pub why: &'static str,
}

/// An error, and whether it can last.
pub type Failure = (&'static str, &'static [Lasts]);

const BOTH: &[Lasts] = &[Once, ForGood];
/// An error that lasted would contradict poll(2): a program could only try for ever.
const NOW_AND_THEN: &[Lasts] = &[Once];

/// Each call that a program makes in a session has a row here. The test `every_system_call_has_a_row` checks
/// that.
pub const TABLE: &[Row] = &[
    swept(OPEN, "", &[("EMFILE", BOTH), ("ENFILE", BOTH), ("ENOMEM", BOTH)], "descriptors, and memory"),
    swept(OPEN, "O_CREAT", &[("ENOSPC", BOTH)], "the open makes the lock file or the event log"),
    swept(
        &["mknodat", "mknod"],
        "",
        &[("ENOSPC", BOTH), ("ENOMEM", BOTH), ("EIO", BOTH)],
        "the disk, and memory",
    ),
    swept(
        &["renameat2"],
        "",
        &[("ENOSPC", BOTH), ("ENOMEM", BOTH), ("EIO", BOTH)],
        "the disk, which may need room for the directory's new entry, and memory",
    ),
    swept(&["unlink", "unlinkat"], "", &[("ENOMEM", BOTH), ("EIO", BOTH)], "the disk, and memory"),
    swept(
        &["newfstatat", "fstat", "lstat", "statx"],
        "",
        &[("ENOMEM", BOTH), ("EIO", BOTH)],
        "the disk, and memory",
    ),
    swept(&["getdents64"], "", &[("EIO", BOTH)], "the disk"),
    swept(&["getcwd"], "", &[("ENOENT", BOTH), ("ENOMEM", BOTH)], "the directory was removed; memory"),
    left_out(&["read"], ", 1) = ", "the gate, at which these tests hold a process"),
    swept(
        &["read"],
        "",
        &[("EAGAIN", NOW_AND_THEN), ("EIO", BOTH)],
        "an empty pipe; EIO stands for any other error of a file system",
    ),
    swept(
        &["write"],
        "",
        &[("EAGAIN", NOW_AND_THEN), ("ENOMEM", BOTH)],
        "a full pipe, and memory for a pipe's pages; no program could detect a false EPIPE, so other \
         tests kill the readers",
    ),
    swept(
        &["write"],
        "/log/",
        &[("ENOSPC", BOTH), ("EIO", BOTH), ("EPIPE", BOTH)],
        "the event log, stdout and stderr may be files, or pipes with an unknown reader",
    ),
    swept(
        &["ppoll", "poll"],
        "",
        &[("EINTR", NOW_AND_THEN), ("ENOMEM", BOTH)],
        "a signal, or a stop by a debugger; memory for the list",
    ),
    swept(
        &["epoll_pwait", "epoll_pwait2"],
        "",
        &[("EINTR", NOW_AND_THEN), ("ENOMEM", BOTH)],
        "as ppoll; ENOMEM stands for any error of a later kernel",
    ),
    swept(
        &["epoll_create1"],
        "",
        &[("EMFILE", BOTH), ("ENFILE", BOTH), ("ENOMEM", BOTH)],
        "descriptors, and memory",
    ),
    left_out(&["epoll_ctl"], "EPOLL_CTL_DEL", "fails only for a descriptor that is not registered"),
    swept(&["epoll_ctl"], "", &[("ENOMEM", BOTH), ("ENOSPC", BOTH)], "memory, and fs.epoll.max_user_watches"),
    swept(&["pipe2"], "", &[("EMFILE", BOTH), ("ENFILE", BOTH)], "descriptors"),
    swept(
        &["clone", "clone3", "fork"],
        "",
        &[("EAGAIN", BOTH), ("ENOMEM", BOTH)],
        "the processes that a user may have, and memory",
    ),
    swept(&["fcntl"], "F_DUPFD", &[("EMFILE", BOTH)], "descriptors"),
    left_out(
        &["fcntl"],
        "F_GETFD",
        "fails only for a closed descriptor (the standard library asks before each close)",
    ),
    left_out(&["fcntl"], "F_SETFD", "fails only for a closed descriptor"),
    swept(
        &["close_range"],
        "",
        &[("ENOMEM", BOTH), ("ENOSYS", BOTH), ("EPERM", BOTH)],
        "the table of descriptors needs memory; there is no such call in an old kernel, or in a sandbox",
    ),
    swept(&["prctl"], "", &[("EPERM", BOTH)], "a sandbox (seccomp) may refuse it"),
    left_out(&["flock"], "LOCK_UN", "releasing a lock needs no resource"),
    swept(
        &["flock"],
        "",
        &[("EAGAIN", BOTH), ("ENOLCK", BOTH)],
        "another process holds it; memory for the lock, or no such lock on this file system",
    ),
    swept(
        &["getrandom"],
        ", 0)",
        &[("ENOSYS", BOTH)],
        "not in an old kernel or a sandbox: /dev/urandom is left",
    ),
    swept(&["getrandom"], "GRND_INSECURE", &[("ENOSYS", BOTH)], "the standard library tests that, too"),
    left_out(&["getrandom"], "GRND_NONBLOCK", "the C library calls it, and can do without"),
    swept(&["prlimit64"], "", &[("EPERM", BOTH)], "a sandbox may refuse it"),
    swept(&["wait4", "waitid"], "", &[("EINTR", NOW_AND_THEN)], "a stop by a debugger"),
    left_out(&["close"], "", "closes in any case; but a call that strace fails is not made at all"),
    left_out(&["dup2", "dup3"], "", "fails only for wrong numbers"),
    left_out(&["ioctl"], "", "asks whether stderr is a terminal: an error means no"),
    left_out(&["rt_sigaction", "rt_sigprocmask"], "", "fail only for wrong numbers"),
    left_out(&["getpid", "getppid", "geteuid", "gettid", "sched_yield"], "", "cannot fail"),
    left_out(&["clock_gettime"], "", "cannot fail"),
    left_out(&["futex"], "", "the caller checks its condition again after any error"),
    left_out(&["rt_sigtimedwait"], "", "does not wait here: EAGAIN means that no signal is pending"),
    left_out(&["kill"], "", "fails only for a missing process, or another user's"),
    left_out(
        &["brk", "mmap", "mremap", "munmap", "madvise"],
        "",
        "the program's own memory: Rust ends a program that gets none",
    ),
    left_out(&["set_robust_list", "sigaltstack", "rt_sigreturn", "restart_syscall"], "", "the runtime's own"),
    left_out(&["exit_group"], "", "cannot fail"),
];

const OPEN: &[&str] = &["openat", "open"];

const fn swept(
    names: &'static [&'static str],
    having: &'static str,
    fails: &'static [Failure],
    why: &'static str,
) -> Row {
    Row { names, having, fails, why }
}

const fn left_out(names: &'static [&'static str], having: &'static str, why: &'static str) -> Row {
    Row { names, having, fails: &[], why }
}

/// The rows for a call, by its name and its line in the trace.
fn rows<'a>(name: &'a str, line: &'a str) -> impl Iterator<Item = &'static Row> + 'a {
    TABLE.iter().filter(move |row| row.names.contains(&name) && line.contains(row.having))
}

/// Whether the table has a row for this call.
pub fn is_known(name: &str, line: &str) -> bool {
    rows(name, line).next().is_some()
}

/// The ways in which this call can fail: none if the call is left out.
pub fn failures(name: &str, line: &str) -> Vec<Failure> {
    if rows(name, line).any(|row| row.fails.is_empty()) {
        return Vec::new();
    }
    rows(name, line).flat_map(|row| row.fails).copied().collect()
}
