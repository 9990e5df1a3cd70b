//! What a stop of a traced thread means, and how the thread goes on.

use super::Refusal;
use super::names;
use super::numbers as nr;
use super::pending::Entry;
use super::state::Tracer;
use crate::event::{Call, Event, Source, monotonic_ns};
use crate::look::stat;
use crate::sys::{self, Resume, SyscallStop};

/// The stop of a thread at a new child, a stop by a signal, or the end of a group stop.
const EVENT_STOP: i32 = libc::PTRACE_EVENT_STOP;
/// The stop signal of a call that returns (`PTRACE_O_TRACESYSGOOD`).
const RETURNED: i32 = libc::SIGTRAP | 0x80;
/// The kernel's own errors of calls that a signal interrupted: they go on, or return EINTR.
const INTERRUPTED: std::ops::RangeInclusive<i64> = -516..=-512;

impl Tracer<'_> {
    /// Handles a stop or an end.
    pub(super) fn handle(&mut self, tid: i32, status: i32) {
        if !libc::WIFSTOPPED(status) {
            return self.ended(tid, status);
        }
        if self.is_killing() {
            // A thread that was born after the others were killed.
            sys::send(tid, libc::SIGKILL);
            return self.resume(tid, Resume::Run, 0);
        }
        if !self.tasks.contains_key(&tid) {
            return self.early.push(tid);
        }
        match (status >> 16, libc::WSTOPSIG(status)) {
            (0, RETURNED) => self.returned(tid),
            (0, signal) => self.signalled(tid, signal),
            (libc::PTRACE_EVENT_SECCOMP, _) => self.entered(tid),
            (libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE, _) => {
                self.born(tid);
            }
            (libc::PTRACE_EVENT_EXEC, _) => self.became(tid),
            (libc::PTRACE_EVENT_EXIT, _) => {
                let status = sys::event_message(tid).unwrap_or(0) as i32;
                self.exiting(tid, status);
                self.resume(tid, Resume::Run, 0);
            }
            (EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
                self.resume(tid, Resume::Listen, 0);
            }
            _ => self.go_on(tid, 0),
        }
    }

    /// Lets a thread go on: until its call returns, if it is in one that is reported.
    pub(super) fn go_on(&self, tid: i32, signal: i32) {
        let is_in_call = self.tasks.get(&tid).is_some_and(|task| task.call.is_some());
        self.resume(tid, if is_in_call { Resume::UntilReturn } else { Resume::Run }, signal);
    }

    /// A thread that was killed meanwhile (ESRCH) will report its end.
    pub(super) fn resume(&self, tid: i32, how: Resume, signal: i32) {
        let _ = sys::resume(tid, how, signal);
    }

    /// A system call of the filter begins.
    fn entered(&mut self, tid: i32) {
        let ns = monotonic_ns();
        match sys::syscall_stop(tid) {
            Ok(SyscallStop::Enter { number: nr::SIGRETURN, .. }) => {
                // Its return says what becomes of an interrupted call.
                let waits = self.tasks.get(&tid).is_some_and(|task| task.interrupted.is_some());
                return self.resume(tid, if waits { Resume::UntilReturn } else { Resume::Run }, 0);
            }
            Ok(SyscallStop::Enter { number, arguments }) => {
                let Some(task) = self.tasks.get(&tid) else { return };
                let entry = Entry { tid, pid: task.pid, number, arguments, ns };
                if !self.rejoin(&entry) {
                    let call = self.enter(&entry);
                    if let Some(task) = self.tasks.get_mut(&tid) {
                        task.call = call;
                    }
                }
            }
            Ok(_) => {}
            // The thread was killed.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(_) if !self.has_begun => self.refusal = Some(Refusal::OldKernel),
            Err(error) => self.warn(format!("calls are missing: PTRACE_GET_SYSCALL_INFO: {error}")),
        }
        self.go_on(tid, 0);
    }

    /// Whether this is the call that a signal had interrupted. In a signal's handler, or after siglongjmp(3)
    /// out of it, it is not.
    fn rejoin(&mut self, entry: &Entry) -> bool {
        let Some(task) = self.tasks.get_mut(&entry.tid) else { return false };
        let Some(call) = task.interrupted.take_if(|call| call.handlers == 0) else { return false };
        if call.is_continued_by(entry) {
            task.call = Some(call);
            return true;
        }
        self.interrupted(call);
        false
    }

    /// A signal's handler has returned. After the last one, an interrupted call goes on or has failed.
    fn handled(&mut self, tid: i32, value: i64) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let Some(call) = &mut task.interrupted else { return };
        call.handlers = call.handlers.saturating_sub(1);
        if call.handlers == 0
            && value == -i64::from(libc::EINTR)
            && let Some(call) = task.interrupted.take()
        {
            self.interrupted(call);
        }
    }

    /// A system call returns.
    fn returned(&mut self, tid: i32) {
        let ns = monotonic_ns();
        let returned = sys::syscall_stop(tid);
        if let (Ok(SyscallStop::Return(value)), Some(task)) = (returned, self.tasks.get_mut(&tid)) {
            match task.call.take() {
                None => self.handled(tid, value),
                Some(mut call) if INTERRUPTED.contains(&value) => {
                    call.interrupted_at = ns;
                    call.handlers = 0;
                    if let Some(earlier) = task.interrupted.replace(call) {
                        self.interrupted(earlier);
                    }
                }
                Some(call) => self.leave(tid, call, value, ns),
            }
        }
        self.go_on(tid, 0);
    }

    /// A signal is about to be delivered.
    fn signalled(&mut self, tid: i32, signal: i32) {
        let ns = monotonic_ns();
        let sender = sys::sender(tid);
        let (is_caught, has_effect) = effect(tid, signal);
        if let Some(call) = self.tasks.get_mut(&tid).and_then(|task| task.interrupted.as_mut()) {
            call.handlers += u32::from(is_caught);
        }
        if self.has_begun && has_effect {
            let mut event = self.event(tid, ns, Call::Signal);
            event.signal = Some(names::signal(signal));
            let is_sent =
                |code| matches!(code, libc::SI_USER | libc::SI_QUEUE | libc::SI_MESGQ | libc::SI_TKILL);
            let has_sender = |code: i32| is_sent(code) || (signal == libc::SIGCHLD && code > 0);
            event.peer = sender
                .ok()
                .filter(|sender| has_sender(sender.code) && sender.pid > 0)
                .map(|sender| sender.pid as u32);
            self.log.add(event);
        }
        self.go_on(tid, signal);
    }

    /// A new event of a thread, that begins now.
    pub(super) fn event(&mut self, tid: i32, ns: u64, call: Call) -> Event {
        let pid = self.tasks.get(&tid).map_or(tid, |task| task.pid);
        let mut event = Event::new(self.log.number(), ns, pid as u32, call, Source::Trace);
        event.tid = (tid != pid).then_some(tid as u32);
        event.who = self.processes.get(&pid).map(|process| process.name.clone());
        event
    }
}

/// Whether a signal is caught; and whether it does anything: it is caught, or its default is not to be
/// ignored.
fn effect(tid: i32, signal: i32) -> (bool, bool) {
    let status = stat::text(&format!("/proc/{tid}/status")).unwrap_or_default();
    let is_in = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let mask = value.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        mask >> (signal - 1) & 1 == 1
    };
    let is_ignored_by_default = matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
    let is_caught = is_in("SigCgt:");
    (is_caught, is_caught || !(is_in("SigIgn:") || is_ignored_by_default))
}
