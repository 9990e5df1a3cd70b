//! The system calls of a session: how each of them can fail, and which cannot.

use super::Lasts::{self, ForGood, Once};

/// What is said of a call, or of those calls of one name whose line in the trace has a certain part.
#[derive(Debug)]
pub struct Row {
    /// Its names: machines differ.
    pub names: &'static [&'static str],
    /// What its line in the trace has.
    pub having: &'static str,
    /// The errors that it can end with; none: it is left out.
    pub fails: &'static [Failure],
    /// Why these, or why none.
    pub why: &'static str,
}

/// An error, and whether it can only happen now and then or also for good.
pub type Failure = (&'static str, &'static [Lasts]);

const BOTH: &[Lasts] = &[Once, ForGood];
/// For good, it would contradict what poll(2) says: no program could do anything but try for ever.
const NOW_AND_THEN: &[Lasts] = &[Once];

/// Each call that a program makes in a session has a row here: `every_call_has_its_row` of the suite sees to it.
pub const TABLE: &[Row] = &[
    swept(OPEN, "", &[("EMFILE", BOTH), ("ENFILE", BOTH), ("ENOMEM", BOTH)], "descriptors, and memory"),
    swept(OPEN, "O_CREAT", &[("ENOSPC", BOTH)], "it makes the lock file, or the record"),
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
        "an empty pipe; EIO stands for whatever else a file system may say",
    ),
    swept(
        &["write"],
        "",
        &[("EAGAIN", NOW_AND_THEN), ("ENOMEM", BOTH)],
        "a full pipe, and a pipe's pages need memory; EPIPE while the reader is there would be a lie that nobody could \
         see through: where readers leave, they are really killed",
    ),
    swept(
        &["write"],
        "/log/",
        &[("ENOSPC", BOTH), ("EIO", BOTH), ("EPIPE", BOTH)],
        "the record, stdout and stderr may be files, or pipes of which nobody here knows the reader",
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
        "as ppoll; its ENOMEM stands for whatever a later kernel may say",
    ),
    swept(
        &["epoll_create1"],
        "",
        &[("EMFILE", BOTH), ("ENFILE", BOTH), ("ENOMEM", BOTH)],
        "descriptors, and memory",
    ),
    left_out(&["epoll_ctl"], "EPOLL_CTL_DEL", "fails only for what is not watched"),
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
        "fails only for what is not open (the standard library asks before each close)",
    ),
    left_out(&["fcntl"], "F_SETFD", "fails only for what is not open"),
    swept(
        &["close_range"],
        "",
        &[("ENOMEM", BOTH), ("ENOSYS", BOTH), ("EPERM", BOTH)],
        "the table of descriptors needs memory; there is no such call in an old kernel, or in a sandbox",
    ),
    swept(&["prctl"], "", &[("EPERM", BOTH)], "a sandbox (seccomp) may refuse it"),
    left_out(&["flock"], "LOCK_UN", "giving a lock back needs nothing"),
    swept(
        &["flock"],
        "",
        &[("EAGAIN", BOTH), ("ENOLCK", BOTH)],
        "somebody else holds it; memory for the lock, or no such lock on this file system",
    ),
    swept(
        &["getrandom"],
        "(\"\", 0",
        &[("ENOSYS", BOTH)],
        "the first question, whether there is such a call: not in an old kernel or a sandbox; /dev/urandom is left",
    ),
    swept(&["getrandom"], "GRND_INSECURE", &[("ENOSYS", BOTH)], "the same question of the standard library"),
    left_out(
        &["getrandom"],
        ", 8, 0)",
        "once it has answered the first time, it gives so few bytes for ever",
    ),
    left_out(&["getrandom"], "GRND_NONBLOCK", "the C library's, which can do without"),
    swept(&["prlimit64"], "", &[("EPERM", BOTH)], "a sandbox may refuse it"),
    swept(&["wait4", "waitid"], "", &[("EINTR", NOW_AND_THEN)], "a stop by a debugger"),
    left_out(&["close"], "", "has closed, whatever it says; a call that strace lets fail is not made at all"),
    left_out(&["dup2", "dup3"], "", "fails only for wrong numbers"),
    left_out(&["ioctl"], "", "asks whether stderr is a terminal: no is an answer"),
    left_out(&["rt_sigaction", "rt_sigprocmask"], "", "fail only for wrong numbers"),
    left_out(&["getpid", "getppid", "geteuid", "gettid", "sched_yield"], "", "cannot fail"),
    left_out(&["clock_gettime"], "", "cannot fail"),
    left_out(&["futex"], "", "whatever it says, what it waits for is looked at again"),
    left_out(&["rt_sigtimedwait"], "", "does not wait here; that there is no more is an answer"),
    left_out(&["kill"], "", "fails only for who is not there, or another user's"),
    left_out(
        &["brk", "mmap", "mremap", "munmap", "madvise"],
        "",
        "memory of our own: without it Rust ends a program",
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

/// The rows of a call, by its name and its line in the trace.
fn rows<'a>(name: &'a str, line: &'a str) -> impl Iterator<Item = &'static Row> + 'a {
    TABLE.iter().filter(move |row| row.names.contains(&name) && line.contains(row.having))
}

/// Whether the table has a word on this call.
pub fn is_known(name: &str, line: &str) -> bool {
    rows(name, line).next().is_some()
}

/// How this call can fail; not at all, if it is left out.
pub fn failures(name: &str, line: &str) -> Vec<Failure> {
    if rows(name, line).any(|row| row.fails.is_empty()) {
        return Vec::new();
    }
    rows(name, line).flat_map(|row| row.fails).copied().collect()
}
