//! The names of errors and signals: errno(3), signal(7).

/// The name of an error, as `ENXIO`.
pub(super) fn errno(number: i64) -> String {
    let name = match number as i32 {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::ENXIO => "ENXIO",
        libc::E2BIG => "E2BIG",
        libc::ENOEXEC => "ENOEXEC",
        libc::EBADF => "EBADF",
        libc::ECHILD => "ECHILD",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EXDEV => "EXDEV",
        libc::ENODEV => "ENODEV",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::EMFILE => "EMFILE",
        libc::ETXTBSY => "ETXTBSY",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::ESPIPE => "ESPIPE",
        libc::EROFS => "EROFS",
        libc::EPIPE => "EPIPE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::ELOOP => "ELOOP",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EDQUOT => "EDQUOT",
        libc::ESTALE => "ESTALE",
        number => return format!("E{number}"),
    };
    name.to_owned()
}

/// The names of the signals from 1 on; the numbers are those of x86_64 and aarch64.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The name of a signal, as `SIGPIPE`. The first real-time signal is the C library's: 34.
pub(crate) fn signal(number: i32) -> String {
    match (usize::try_from(number - 1).ok().and_then(|at| SIGNALS.get(at)), number) {
        (Some(name), _) => format!("SIG{name}"),
        (None, 34) => "SIGRTMIN".to_owned(),
        (None, 35..=64) => format!("SIGRTMIN+{}", number - 34),
        (None, number) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_errors_have_their_names() {
        let signals = [libc::SIGHUP, libc::SIGPIPE, libc::SIGSYS, 33, 34, 36].map(signal);
        assert_eq!(signals, ["SIGHUP", "SIGPIPE", "SIGSYS", "signal 33", "SIGRTMIN", "SIGRTMIN+2"]);
        assert_eq!((errno(6), errno(11), errno(4095)), ("ENXIO".into(), "EAGAIN".into(), "E4095".into()));
    }
}
