//! System calls that x86_64 has and newer machines lack. There, they have numbers that no call has.

#[cfg(target_arch = "x86_64")]
pub(crate) use libc::{
    SYS_creat as CREAT, SYS_dup2 as DUP2, SYS_epoll_wait as EPOLL_WAIT, SYS_fork as FORK, SYS_mknod as MKNOD,
    SYS_open as OPEN, SYS_pause as PAUSE, SYS_pipe as PIPE, SYS_poll as POLL, SYS_rename as RENAME,
    SYS_select as SELECT, SYS_unlink as UNLINK, SYS_vfork as VFORK,
};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use none::*;

#[cfg(not(target_arch = "x86_64"))]
mod none {
    pub(crate) const CREAT: i64 = -10;
    pub(crate) const DUP2: i64 = -11;
    pub(crate) const EPOLL_WAIT: i64 = -12;
    pub(crate) const FORK: i64 = -13;
    pub(crate) const MKNOD: i64 = -14;
    pub(crate) const OPEN: i64 = -15;
    pub(crate) const PAUSE: i64 = -16;
    pub(crate) const PIPE: i64 = -17;
    pub(crate) const POLL: i64 = -18;
    pub(crate) const RENAME: i64 = -19;
    pub(crate) const SELECT: i64 = -20;
    pub(crate) const UNLINK: i64 = -21;
    pub(crate) const VFORK: i64 = -22;
}
