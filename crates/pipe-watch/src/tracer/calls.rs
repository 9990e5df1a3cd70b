//! The calls of the filter: each is taken apart when it begins, and its event is complete when it returns.

use super::names;
use super::numbers as nr;
use super::pending::{Entry, Kind, PendingCall};
use super::polls;
use super::state::Tracer;
use crate::event::{Call, Event};

impl Tracer<'_> {
    /// Takes a call apart. `None`: nothing about it is reported when it returns.
    pub(super) fn enter(&mut self, entry: &Entry) -> Option<PendingCall> {
        if !self.has_begun && !matches!(entry.number, nr::EXECVE | nr::EXECVEAT) {
            return None;
        }
        let [a, b, c, d, e, _] = entry.arguments;
        let fd = |value: u64| value as i32;
        let begun = match entry.number {
            nr::READ => self.enter_transfer(entry, Call::Read, |_| vec![(b, c)]),
            nr::WRITE => self.enter_transfer(entry, Call::Write, |_| vec![(b, c)]),
            nr::READV | nr::PREADV2 => self.enter_transfer(entry, Call::Read, |m| m.iovecs(b, c)),
            nr::WRITEV | nr::PWRITEV2 => self.enter_transfer(entry, Call::Write, |m| m.iovecs(b, c)),
            nr::SPLICE => self.enter_splice(entry, Some(fd(a)), Some(fd(c)), e),
            nr::TEE => self.enter_tee(entry),
            nr::SENDFILE => self.enter_splice(entry, Some(fd(b)), Some(fd(a)), d),
            nr::VMSPLICE => self.enter_vmsplice(entry),
            nr::CLOSE => self.enter_close(entry, fd(a)),
            nr::CLOSE_RANGE => self.enter_close_range(entry),
            nr::DUP => self.enter_copy(entry, None),
            nr::DUP2 | nr::DUP3 => self.enter_copy(entry, Some(fd(b))),
            nr::FCNTL if b as i32 == libc::F_SETFL => {
                self.set_nonblocking(entry, c as i32 & libc::O_NONBLOCK != 0)
            }
            nr::FCNTL => self.enter_copy(entry, None),
            nr::IOCTL => {
                let on = entry.memory().bytes(c, 4).is_some_and(|on| on.iter().any(|byte| *byte != 0));
                self.set_nonblocking(entry, on)
            }
            nr::PIPE => self.enter_pipe(entry, 0),
            nr::PIPE2 => self.enter_pipe(entry, b as i32),
            nr::OPEN => self.enter_open(entry, None, a, b as i32),
            nr::CREAT => self.enter_open(entry, None, a, libc::O_CREAT | libc::O_WRONLY),
            nr::OPENAT => self.enter_open(entry, Some(fd(a)), b, c as i32),
            nr::OPENAT2 => {
                let [flags] = entry.memory().words(c).unwrap_or_default();
                self.enter_open(entry, Some(fd(a)), b, flags as i32)
            }
            nr::MKNOD => self.enter_mkfifo(entry, None, a, b),
            nr::MKNODAT => self.enter_mkfifo(entry, Some(fd(a)), b, c),
            nr::UNLINK => self.enter_unlink(entry, None, a),
            nr::UNLINKAT => self.enter_unlink(entry, Some(fd(a)), b),
            nr::RENAME => self.enter_rename(entry, (None, a), (None, b), 0),
            nr::RENAMEAT => self.enter_rename(entry, (Some(fd(a)), b), (Some(fd(c)), d), 0),
            nr::RENAMEAT2 => self.enter_rename(entry, (Some(fd(a)), b), (Some(fd(c)), d), e),
            nr::POLL
            | nr::PPOLL
            | nr::SELECT
            | nr::PSELECT6
            | nr::EPOLL_WAIT
            | nr::EPOLL_PWAIT
            | nr::EPOLL_PWAIT2 => self.enter_poll(entry),
            nr::FORK | nr::VFORK => self.enter_clone(entry, 0),
            nr::CLONE => self.enter_clone(entry, a),
            nr::CLONE3 => self.enter_clone3(entry),
            nr::EXECVE => self.enter_exec(entry, None, a),
            nr::EXECVEAT => self.enter_exec(entry, Some(fd(a)), b),
            nr::UNSHARE => self.enter_unshare(entry),
            nr::KILL | nr::SIGQUEUE | nr::TKILL => self.enter_kill(entry, fd(a), fd(b)),
            nr::TGKILL | nr::TGSIGQUEUE => self.enter_kill(entry, fd(b), fd(c)),
            nr::PIDFD_SEND_SIGNAL => self.enter_pidfd_kill(entry),
            nr::WAIT4 => self.enter_wait(entry, c as i32, 0),
            nr::WAITID => self.enter_wait(entry, d as i32, c),
            _ => None,
        };
        let (event, kind) = begun?;
        let Entry { number, arguments, .. } = *entry;
        Some(PendingCall { number, arguments, interrupted_at: 0, handlers: 0, event, kind })
    }

    /// Completes a call that has returned this value.
    pub(super) fn leave(&mut self, tid: i32, call: PendingCall, value: i64, ns: u64) {
        let PendingCall { mut event, kind, .. } = call;
        event.took = Some(ns.saturating_sub(event.ns));
        let error = (-4095..0).contains(&value).then(|| names::errno(-value));
        event.ret = error.is_none().then_some(value);
        event.errno = error;
        match kind {
            Kind::Read(buffers) => self.leave_read(tid, event, &buffers),
            Kind::Write(data) => self.leave_write(event, data),
            Kind::Splice | Kind::Kill => self.log.add(event),
            Kind::Copy(copied) => self.leave_copy(tid, event, copied),
            Kind::Pipe { address, flags } => self.leave_pipe(tid, event, address, flags),
            Kind::Open(opening) => self.leave_open(tid, event, opening),
            Kind::Mkfifo(at) => self.leave_mkfifo(event, &at),
            Kind::Unlink(at, id) => self.leave_unlink(event, &at, id),
            Kind::Rename(renaming) => self.leave_rename(event, renaming),
            Kind::Poll(polling) => self.leave_poll(tid, event, &polling),
            Kind::Exec => self.leave_exec(tid, event),
            Kind::Clone { flags } => self.leave_clone(event, flags),
            Kind::Unshare => self.leave_unshare(tid, &event),
            Kind::Wait(info) => self.leave_wait(tid, event, info),
        }
    }

    /// Completes a call that returned EINTR, after a signal had interrupted it.
    pub(super) fn interrupted(&mut self, call: PendingCall) {
        let PendingCall { mut event, kind, interrupted_at, .. } = call;
        event.took = Some(interrupted_at.saturating_sub(event.ns));
        event.errno = Some(names::errno(i64::from(libc::EINTR)));
        self.add_incomplete(event, &kind);
    }

    /// Completes what a thread will not complete any more. If a signal killed it, an interrupted call has
    /// not returned.
    pub(super) fn finish(&mut self, tid: i32, was_killed: bool) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let (interrupted, call) = (task.interrupted.take(), task.call.take());
        match interrupted {
            Some(PendingCall { event, kind, .. }) if was_killed => self.add_incomplete(event, &kind),
            Some(call) => self.interrupted(call),
            None => {}
        }
        if let Some(PendingCall { event, kind, .. }) = call {
            self.add_incomplete(event, &kind);
        }
    }

    /// Completes what no thread will complete any more.
    pub(super) fn finish_all(&mut self) {
        let mut tids: Vec<i32> = self.tasks.keys().copied().collect();
        tids.sort_unstable();
        tids.into_iter().for_each(|tid| self.finish(tid, true));
    }

    /// A call without a result, unless it is of interest only with one.
    fn add_incomplete(&mut self, mut event: Event, kind: &Kind) {
        let is_of_interest = match kind {
            Kind::Open(opening) => opening.is_fifo(),
            Kind::Unshare | Kind::Exec => false,
            _ => true,
        };
        if let Kind::Poll(_) = kind {
            event.ends.truncate(polls::ENDS_MAX);
        }
        if is_of_interest && self.has_begun {
            self.log.add(event);
        }
    }
}
