//! Threads and processes: how they are born, become other programs, and end.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use super::names;
use super::pending::{Kind, PendingCall};
use super::state::{Process, Task, Tracer};
use super::table::Files;
use crate::event::{Call, monotonic_ns};
use crate::look::stat;
use crate::sys::{self, Resume};

impl Tracer<'_> {
    /// A thread has started another one, or a process.
    pub(super) fn born(&mut self, parent: i32) {
        let ns = monotonic_ns();
        let Ok(child) = sys::event_message(parent).map(|child| child as i32) else {
            return self.resume(parent, Resume::Run, 0);
        };
        let call = self.tasks.get_mut(&parent).and_then(|task| task.call.take());
        let (flags, event) = match call {
            Some(PendingCall { kind: Kind::Clone { flags }, event, .. }) => (flags, Some(event)),
            _ => (0, None),
        };
        if !self.has_gone(child) {
            self.add_child(parent, child, flags);
        }
        let is_process = flags & libc::CLONE_THREAD as u64 == 0;
        if let Some(mut event) = event.filter(|_| is_process) {
            event.took = Some(ns.saturating_sub(event.ns));
            event.ret = Some(i64::from(child));
            event.peer = Some(child as u32);
            event.ends = self.tasks.get(&child).map(|task| task.files.borrow().ends()).unwrap_or_default();
            self.log.add(event);
        }
        if let Some(at) = self.early.iter().position(|early| *early == child) {
            self.early.swap_remove(at);
            self.resume(child, Resume::Run, 0);
        }
        self.resume(parent, Resume::Run, 0);
        self.check_limits();
    }

    /// Whether a child has ended before its birth was reported. Another one may have its PID.
    fn has_gone(&mut self, child: i32) -> bool {
        let tracer = |pid: i32| stat::status(&format!("/proc/{pid}")).and_then(|status| status.tracer);
        self.gone.remove(&child) && tracer(child) != Some(std::process::id())
    }

    fn add_child(&mut self, parent: i32, child: i32, flags: u64) {
        let Some(task) = self.tasks.get(&parent) else { return };
        let has = |flag: i32| flags & flag as u64 != 0;
        let files = if has(libc::CLONE_FILES) {
            Rc::clone(&task.files)
        } else {
            Rc::new(RefCell::new(task.files.borrow().clone()))
        };
        let pid = if has(libc::CLONE_THREAD) { task.pid } else { child };
        let name = self.processes.get(&task.pid).map(|process| process.name.clone()).unwrap_or_default();
        self.add(child, pid, files, name);
    }

    fn add(&mut self, tid: i32, pid: i32, files: Files, name: String) {
        if let Some(known) = self.tasks.get_mut(&tid).filter(|known| known.pid == pid) {
            // It was adopted; its parent's stop came later.
            known.is_adopted = false;
            return;
        }
        self.tasks.insert(tid, Task::new(pid, files));
        if pid == tid {
            self.processes.insert(pid, Process::new(name));
            self.summary.processes += 1;
            self.starts += 1;
        } else if let Some(process) = self.processes.get_mut(&pid) {
            process.threads += 1;
        }
    }

    /// A parent that was killed at the birth of its child will not report it.
    pub(super) fn adopt_early(&mut self) {
        for tid in std::mem::take(&mut self.early) {
            let status = stat::text(&format!("/proc/{tid}/status")).unwrap_or_default();
            let number = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i32>().ok())
            };
            let pid = number("Tgid:").unwrap_or(tid);
            let files = self.tasks.values().find(|task| task.pid == pid && pid != tid);
            let files = files.map(|task| Rc::clone(&task.files)).unwrap_or_default();
            files.borrow_mut().refresh(tid, &mut self.pipes);
            let name = stat::text(&format!("/proc/{tid}/comm")).unwrap_or_default();
            self.add(tid, pid, files, name.trim_end().to_owned());
            self.tasks.entry(tid).and_modify(|task| task.is_adopted = true);
            self.resume(tid, Resume::Run, 0);
        }
    }

    /// A process runs another program. It has one thread now, whose ID is the process's.
    pub(super) fn became(&mut self, pid: i32) {
        let ns = monotonic_ns();
        let former = sys::event_message(pid).map_or(pid, |former| former as i32);
        let Some(task) = self.tasks.remove(&former) else { return self.resume(pid, Resume::Run, 0) };
        self.tasks.retain(|_, other| other.pid != pid);
        // The new program has a table of its own, without the descriptors that close at exec.
        let mut table = task.files.borrow().clone();
        table.refresh(pid, &mut self.pipes);
        let ends = table.ends();
        self.tasks.insert(pid, Task::new(pid, Rc::new(RefCell::new(table))));
        self.has_begun = true;
        self.starts += 1;
        let event = task.call.map(|call| call.event);
        let path = event.as_ref().and_then(|event| event.path.clone()).unwrap_or_default();
        let process = self.processes.entry(pid).or_insert_with(|| Process::new(String::new()));
        process.threads = 1;
        process.not_found = None;
        process.name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let name = process.name.clone();
        if let Some(mut event) = event {
            event.took = Some(ns.saturating_sub(event.ns));
            event.tid = None;
            event.who = Some(name.clone());
            event.ret = Some(0);
            event.text = command_line(pid);
            event.ends = ends;
            self.log.add(event);
        }
        self.warn_of(pid, &name);
        self.resume(pid, Resume::Run, 0);
        self.check_limits();
    }

    /// Warns of programs that behave otherwise than without the tracer, or are not traced.
    fn warn_of(&mut self, pid: i32, name: &str) {
        let path = format!("/proc/{pid}/exe");
        let mut head = [0; 5];
        let is_read = File::open(&path).and_then(|mut file| file.read_exact(&mut head)).is_ok();
        if is_read && head == *b"\x7fELF\x01" {
            self.warn(format!("{name} is a 32-bit program: its system calls are not traced"));
        }
        let (Ok(file), Some(process)) = (fs::metadata(&path), stat::status(&format!("/proc/{pid}"))) else {
            return;
        };
        let rights = [
            (file.mode() & libc::S_ISUID != 0 && process.user != file.uid(), "is a set-user-ID program"),
            // For root, these are nothing special.
            (process.user != 0 && file.mode() & libc::S_ISGID != 0, "is a set-group-ID program"),
            (process.user != 0 && has_capabilities(&path), "has file capabilities"),
        ];
        if let Some((_, what)) = rights.iter().find(|(has, _)| *has) {
            self.warn(format!("{name} {what}: while it is traced it has no special rights"));
        }
    }

    /// A thread is about to end. Its descriptors are still open.
    pub(super) fn exiting(&mut self, tid: i32, status: i32) {
        let ns = monotonic_ns();
        self.finish(tid, libc::WIFSIGNALED(status));
        self.adopt_early();
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        if std::mem::replace(&mut task.has_ended, true) {
            return;
        }
        task.files = Files::default();
        let pid = task.pid;
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.threads = process.threads.saturating_sub(1);
        if process.threads > 0 {
            return;
        }
        if let Some(event) = process.not_found.take() {
            self.log.add(event);
        }
        if self.has_begun {
            let mut event = self.event(pid, ns, Call::Exit);
            match libc::WTERMSIG(status) {
                0 => event.ret = Some(i64::from(libc::WEXITSTATUS(status))),
                signal => event.signal = Some(names::signal(signal)),
            }
            self.log.add(event);
        }
        self.processes.remove(&pid);
    }

    /// A thread has ended.
    pub(super) fn ended(&mut self, tid: i32, status: i32) {
        self.exiting(tid, status);
        if self.tasks.remove(&tid).is_none_or(|task| task.is_adopted) {
            self.gone.insert(tid);
        }
        if tid == self.main.pid && self.status.is_none() {
            self.status = Some(status);
        }
    }
}

/// The command line of a process: its first 4 KiB.
fn command_line(pid: i32) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/cmdline")).ok()?.take(4096).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\0').replace('\0', " "))
}

/// Whether a program's file has capabilities (capabilities(7)).
fn has_capabilities(path: &str) -> bool {
    rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok()
}
