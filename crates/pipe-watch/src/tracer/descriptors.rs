//! Calls that make, copy and close descriptors: pipe(2), dup(2), fcntl(2), close(2), close_range(2),
//! unshare(2).

use std::cell::RefCell;
use std::rc::Rc;

use super::pending::{Begun, Copied, Entry, Kind};
use super::state::{Task, Tracer};
use super::table::Description;
use crate::event::{Call, Event};
use crate::look::memory::Memory;
use crate::look::{Access, ends};

impl Tracer<'_> {
    /// The pipe end behind a thread's descriptor.
    pub(super) fn end(&mut self, tid: i32, fd: i32) -> Option<Rc<Description>> {
        let task = self.tasks.get(&tid)?;
        task.files.borrow_mut().end(tid, fd, &mut self.pipes)
    }

    /// Says which end an event is about.
    pub(super) fn describe(&self, event: &mut Event, fd: i32, end: &Description) {
        event.fd = Some(fd);
        event.pipe = Some(end.pipe);
        event.access = Some(end.access);
        event.path = self.pipes.path(end.pipe);
    }

    /// close(2) closes always, whatever it returns. Therefore the tracer does not wait for its return.
    pub(super) fn enter_close(&mut self, entry: &Entry, fd: i32) -> Begun {
        let end = self.tasks.get(&entry.tid)?.files.borrow_mut().remove(fd)?;
        self.add_close(entry, fd, &end);
        None
    }

    pub(super) fn enter_close_range(&mut self, entry: &Entry) -> Begun {
        let [first, last, flags, ..] = entry.arguments;
        let (first, last) = (first as u32, last as u32);
        if flags & u64::from(libc::CLOSE_RANGE_CLOEXEC) != 0 || first > last {
            return None;
        }
        if flags & u64::from(libc::CLOSE_RANGE_UNSHARE) != 0 {
            self.unshare(entry.tid);
        }
        let bound = |fd: u32| fd.min(i32::MAX as u32) as i32;
        let task = self.tasks.get(&entry.tid)?;
        let closed = task.files.borrow_mut().remove_range(bound(first), bound(last));
        for (fd, end) in closed {
            self.add_close(entry, fd, &end);
        }
        None
    }

    /// Other processes that share the table have lost the end as well.
    fn add_close(&mut self, entry: &Entry, fd: i32, end: &Description) {
        let event = self.close_event(entry, fd, end);
        self.log.add(event);
        let Some(task) = self.tasks.get(&entry.tid) else { return };
        let threads = self.processes.get(&task.pid).map_or(1, |process| process.threads);
        if Rc::strong_count(&task.files) > threads {
            let shares = |other: &Task| other.pid != entry.pid && Rc::ptr_eq(&other.files, &task.files);
            let mut sharers: Vec<i32> =
                self.tasks.values().filter(|other| shares(other)).map(|other| other.pid).collect();
            sharers.sort_unstable();
            sharers.dedup();
            for pid in sharers {
                let event = self.close_event(&Entry { tid: pid, pid, ..*entry }, fd, end);
                self.log.add(event);
            }
        }
    }

    fn close_event(&mut self, entry: &Entry, fd: i32, end: &Description) -> Event {
        let mut event = self.event(entry.tid, entry.ns, Call::Close);
        self.describe(&mut event, fd, end);
        event.ret = Some(0);
        event
    }

    /// dup(2) and fcntl(2) take a free descriptor, dup2(2) and dup3(2) close one that is in use.
    pub(super) fn enter_copy(&mut self, entry: &Entry, onto: Option<i32>) -> Begun {
        let fd = entry.arguments[0] as i32;
        if onto == Some(fd) {
            return None;
        }
        let end = self.end(entry.tid, fd);
        let files = Rc::clone(&self.tasks.get(&entry.tid)?.files);
        let target = onto.and_then(|onto| Some((onto, Rc::clone(files.borrow().known(onto)?))));
        if end.is_none() && target.is_none() {
            // What the new descriptor is, the table learns when it is used.
            onto.map(|onto| files.borrow_mut().remove(onto));
            return None;
        }
        let closed = target.map(|(fd, end)| self.close_event(entry, fd, &end));
        let mut event = self.event(entry.tid, entry.ns, Call::Dup);
        if let Some(end) = &end {
            self.describe(&mut event, fd, end);
        }
        event.fd_to = onto;
        Some((event, Kind::Copy(Box::new(Copied { end, closed }))))
    }

    pub(super) fn leave_copy(&mut self, tid: i32, mut event: Event, copied: Box<Copied>) {
        if let (Some(fd), Some(task)) = (event.ret, self.tasks.get(&tid)) {
            event.fd_to = Some(fd as i32);
            task.files.borrow_mut().set(fd as i32, copied.end.clone());
            if let Some(closed) = copied.closed {
                self.log.add(closed);
            }
        }
        if copied.end.is_some() {
            self.log.add(event);
        }
    }

    /// `F_SETFL` of fcntl(2), `FIONBIO` of ioctl(2).
    pub(super) fn set_nonblocking(&mut self, entry: &Entry, on: bool) -> Begun {
        self.end(entry.tid, entry.arguments[0] as i32)?.is_nonblocking.set(on);
        None
    }

    pub(super) fn enter_pipe(&mut self, entry: &Entry, flags: i32) -> Begun {
        let event = self.event(entry.tid, entry.ns, Call::Pipe);
        Some((event, Kind::Pipe { address: entry.arguments[0], flags }))
    }

    pub(super) fn leave_pipe(&mut self, tid: i32, mut event: Event, address: u64, flags: i32) {
        let fds = Memory::of_traced(tid).bytes(address, 8).filter(|_| event.ret.is_some());
        let fds = fds.and_then(|bytes| {
            let fd = |at: usize| bytes.get(at..)?.first_chunk().map(|fd| i32::from_ne_bytes(*fd));
            Some((fd(0)?, fd(4)?))
        });
        let pipe = fds.and_then(|(read, write)| Some((read, write, ends::pipe(tid, read)?.0)));
        if let (Some((read, write, id)), Some(task)) = (pipe, self.tasks.get(&tid)) {
            let mut table = task.files.borrow_mut();
            let end = self.pipes.open(id, Access::Read, flags);
            (event.fd, event.fd_to, event.pipe) = (Some(read), Some(write), Some(end.pipe));
            table.set(read, Some(end));
            table.set(write, Some(self.pipes.open(id, Access::Write, flags)));
        }
        event.nonblocking = flags & libc::O_NONBLOCK != 0;
        self.log.add(event);
    }

    pub(super) fn enter_unshare(&mut self, entry: &Entry) -> Begun {
        let flags = entry.arguments[0];
        // The event is never handed on.
        let event = || Event::new(0, entry.ns, entry.pid as u32, Call::Close, crate::event::Source::Trace);
        (flags & libc::CLONE_FILES as u64 != 0).then(|| (event(), Kind::Unshare))
    }

    pub(super) fn leave_unshare(&mut self, tid: i32, event: &Event) {
        if event.ret == Some(0) {
            self.unshare(tid);
        }
    }

    /// The thread has a table of its own now.
    fn unshare(&mut self, tid: i32) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            let own = task.files.borrow().clone();
            task.files = Rc::new(RefCell::new(own));
        }
    }
}
