//! The numbers of the system calls at which the tracer stops a program (syscalls(2)).

pub(super) use libc::{
    SYS_clone as CLONE, SYS_clone3 as CLONE3, SYS_close as CLOSE, SYS_close_range as CLOSE_RANGE,
    SYS_dup as DUP, SYS_dup3 as DUP3, SYS_epoll_pwait as EPOLL_PWAIT, SYS_epoll_pwait2 as EPOLL_PWAIT2,
    SYS_execve as EXECVE, SYS_execveat as EXECVEAT, SYS_fcntl as FCNTL, SYS_ioctl as IOCTL, SYS_kill as KILL,
    SYS_mknodat as MKNODAT, SYS_openat as OPENAT, SYS_openat2 as OPENAT2,
    SYS_pidfd_send_signal as PIDFD_SEND_SIGNAL, SYS_pipe2 as PIPE2, SYS_ppoll as PPOLL,
    SYS_preadv2 as PREADV2, SYS_pselect6 as PSELECT6, SYS_pwritev2 as PWRITEV2, SYS_read as READ,
    SYS_readv as READV, SYS_renameat as RENAMEAT, SYS_renameat2 as RENAMEAT2, SYS_restart_syscall as RESTART,
    SYS_rt_sigqueueinfo as SIGQUEUE, SYS_rt_sigreturn as SIGRETURN, SYS_rt_tgsigqueueinfo as TGSIGQUEUE,
    SYS_sendfile as SENDFILE, SYS_splice as SPLICE, SYS_tee as TEE, SYS_tgkill as TGKILL, SYS_tkill as TKILL,
    SYS_unlinkat as UNLINKAT, SYS_unshare as UNSHARE, SYS_vmsplice as VMSPLICE, SYS_wait4 as WAIT4,
    SYS_waitid as WAITID, SYS_write as WRITE, SYS_writev as WRITEV,
};

/// Calls that only older machines have.
#[cfg(target_arch = "x86_64")]
mod older {
    pub(crate) use libc::{
        SYS_creat as CREAT, SYS_dup2 as DUP2, SYS_epoll_wait as EPOLL_WAIT, SYS_fork as FORK,
        SYS_mknod as MKNOD, SYS_open as OPEN, SYS_pipe as PIPE, SYS_poll as POLL, SYS_rename as RENAME,
        SYS_select as SELECT, SYS_unlink as UNLINK, SYS_vfork as VFORK,
    };
}

/// Numbers that the kernel never reports.
#[cfg(not(target_arch = "x86_64"))]
mod older {
    pub(crate) const CREAT: i64 = -10;
    pub(crate) const DUP2: i64 = -11;
    pub(crate) const EPOLL_WAIT: i64 = -12;
    pub(crate) const FORK: i64 = -13;
    pub(crate) const MKNOD: i64 = -14;
    pub(crate) const OPEN: i64 = -15;
    pub(crate) const PIPE: i64 = -16;
    pub(crate) const POLL: i64 = -17;
    pub(crate) const RENAME: i64 = -18;
    pub(crate) const SELECT: i64 = -19;
    pub(crate) const UNLINK: i64 = -20;
    pub(crate) const VFORK: i64 = -21;
}

pub(super) use older::*;

/// All that always stop; the most frequent ones first. The filter has those that depend on an argument.
/// copy_file_range(2) is not among them: it refuses pipes.
pub(super) const STOPPED: [i64; 51] = [
    READ,
    WRITE,
    CLOSE,
    OPENAT,
    PPOLL,
    READV,
    WRITEV,
    OPEN,
    POLL,
    EPOLL_WAIT,
    EPOLL_PWAIT,
    EPOLL_PWAIT2,
    SELECT,
    PSELECT6,
    SPLICE,
    TEE,
    VMSPLICE,
    SENDFILE,
    PREADV2,
    PWRITEV2,
    OPENAT2,
    CREAT,
    MKNOD,
    MKNODAT,
    PIPE,
    PIPE2,
    CLOSE_RANGE,
    DUP,
    DUP2,
    DUP3,
    UNLINK,
    UNLINKAT,
    RENAME,
    RENAMEAT,
    RENAMEAT2,
    FORK,
    VFORK,
    CLONE3,
    EXECVE,
    EXECVEAT,
    KILL,
    TKILL,
    TGKILL,
    SIGQUEUE,
    TGSIGQUEUE,
    PIDFD_SEND_SIGNAL,
    WAIT4,
    WAITID,
    UNSHARE,
    RESTART,
    SIGRETURN,
];
