//! Calls about processes: fork(2), clone(2), execve(2), kill(2), wait(2).

use super::names;
use super::pending::{Begun, Entry, Kind};
use super::state::Tracer;
use crate::event::{Call, Event};
use crate::look::memory::Memory;
use crate::look::stat;
use crate::sys;

const CLONE_UNTRACED: u64 = libc::CLONE_UNTRACED as u64;

impl Tracer<'_> {
    pub(super) fn enter_clone(&mut self, entry: &Entry, flags: u64) -> Begun {
        // A thread is no process: its birth is no event.
        let event = if flags & libc::CLONE_THREAD as u64 != 0 {
            Event::new(0, entry.ns, entry.pid as u32, Call::Fork, crate::event::Source::Trace)
        } else {
            self.event(entry.tid, entry.ns, Call::Fork)
        };
        Some((event, Kind::Clone { flags }))
    }

    /// The flags of clone3(2) are the first word of a structure. A child with `CLONE_UNTRACED` would escape:
    /// the tracer removes the flag.
    pub(super) fn enter_clone3(&mut self, entry: &Entry) -> Begun {
        let address = entry.arguments[0];
        let [flags] = entry.memory().words(address)?;
        if flags & CLONE_UNTRACED != 0 {
            let _ = sys::write_word(entry.tid, address, flags & !CLONE_UNTRACED);
        }
        self.enter_clone(entry, flags)
    }

    /// It has failed: the birth of a child is reported otherwise.
    pub(super) fn leave_clone(&mut self, event: Event, flags: u64) {
        if event.errno.is_some() && flags & libc::CLONE_THREAD as u64 == 0 {
            self.log.add(event);
        }
    }

    pub(super) fn enter_exec(&mut self, entry: &Entry, directory: Option<i32>, address: u64) -> Begun {
        let mut event = self.event(entry.tid, entry.ns, Call::Exec);
        event.path = entry.memory().path(address).map(|path| path.to_string_lossy().into_owned());
        if let (Some(fd), Some("")) = (directory, event.path.as_deref()) {
            let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", entry.tid)).ok();
            event.path = link.map(|path| path.to_string_lossy().into_owned());
        }
        Some((event, Kind::Exec))
    }

    /// It has failed: success is reported otherwise.
    pub(super) fn leave_exec(&mut self, tid: i32, event: Event) {
        if !self.has_begun {
            return self.log.restart();
        }
        let pid = self.tasks.get(&tid).map_or(tid, |task| task.pid);
        match self.processes.get_mut(&pid) {
            Some(process) if event.errno.as_deref() == Some("ENOENT") => process.not_found = Some(event),
            _ => self.log.add(event),
        }
    }

    pub(super) fn enter_kill(&mut self, entry: &Entry, target: i32, signal: i32) -> Begun {
        if signal == 0 {
            return None;
        }
        let mut event = self.event(entry.tid, entry.ns, Call::Kill);
        let pid = self.tasks.get(&target).map_or(target, |task| task.pid);
        event.peer = u32::try_from(pid).ok().filter(|pid| *pid > 0);
        event.signal = Some(names::signal(signal));
        Some((event, Kind::Kill))
    }

    pub(super) fn enter_pidfd_kill(&mut self, entry: &Entry) -> Begun {
        let [fd, signal, ..] = entry.arguments;
        let info = stat::text(&format!("/proc/{}/fdinfo/{fd}", entry.tid)).unwrap_or_default();
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        self.enter_kill(entry, pid.unwrap_or(0), signal as i32)
    }

    pub(super) fn enter_wait(&mut self, entry: &Entry, options: i32, info: u64) -> Begun {
        if options & libc::WNOWAIT != 0 {
            return None;
        }
        let mut event = self.event(entry.tid, entry.ns, Call::Wait);
        event.nonblocking = options & libc::WNOHANG != 0;
        Some((event, Kind::Wait(info)))
    }

    /// A wait that found no child is no event.
    pub(super) fn leave_wait(&mut self, tid: i32, mut event: Event, info: u64) {
        event.peer = match event.ret {
            // waitid(2) has the PID in the fifth word of a `siginfo_t`.
            Some(0) if info != 0 => {
                let pid = Memory::of_traced(tid).bytes(info + 16, 4);
                pid.and_then(|pid| pid.first_chunk().map(|pid| u32::from_ne_bytes(*pid)))
            }
            ret => ret.map(|pid| pid as u32),
        };
        let found = event.peer.filter(|pid| *pid > 0);
        // A child that has only stopped, or goes on, is not reaped.
        event.peer = found.filter(|pid| !self.processes.contains_key(&pid.cast_signed()));
        if found.is_some() || event.errno.as_deref() == Some("EINTR") {
            self.log.add(event);
        }
    }
}
