//! Waits for several descriptors: poll(2), select(2), epoll_wait(2) and their variants.

use std::collections::HashSet;
use std::time::Duration;

use super::numbers as nr;
use super::pending::{Begun, Entry, Kind, Polling};
use super::state::Tracer;
use crate::event::{Call, Event, HeldEnd};
use crate::look::memory::Memory;
use crate::look::{Access, calls::watched};

/// The most pipe ends that an event keeps.
pub(super) const ENDS_MAX: usize = 64;

impl Tracer<'_> {
    pub(super) fn enter_poll(&mut self, entry: &Entry) -> Begun {
        let [a, b, c, d, e, _] = entry.arguments;
        let memory = entry.memory();
        let is_zero = |limit: Option<Duration>| limit == Some(Duration::ZERO);
        let (polled, polling, at_once) = match entry.number {
            nr::POLL => (array(memory.pollfds(a, b)), Polling::Array(a, b), c as i32 == 0),
            nr::PPOLL => (array(memory.pollfds(a, b)), Polling::Array(a, b), is_zero(memory.time(c, 1))),
            nr::SELECT | nr::PSELECT6 => {
                (sets(&memory, (a, b, c)), Polling::Sets(a, b, c), is_zero(memory.time(e, 1)))
            }
            nr::EPOLL_PWAIT2 => (epoll(entry.tid, a), Polling::Epoll, is_zero(memory.time(d, 1))),
            _ => (epoll(entry.tid, a), Polling::Epoll, d as i32 == 0),
        };
        let count = polled.len();
        // Of an event that is only counted, one end says that it is about pipes.
        let most = if self.log.is_full() { 1 } else { usize::MAX };
        let held = |(fd, access)| Some(HeldEnd { fd, pipe: self.end(entry.tid, fd)?.pipe, access });
        let ends: Vec<HeldEnd> = polled.into_iter().filter_map(held).take(most).collect();
        let first = *ends.first()?;
        let mut event = self.event(entry.tid, entry.ns, Call::Poll);
        if count == 1 {
            self.points_at(&mut event, first);
        }
        event.ends = ends;
        event.nonblocking = at_once;
        Some((event, Kind::Poll(polling)))
    }

    /// The event names a pipe that became ready. A look that found nothing is none: the process did not wait.
    pub(super) fn leave_poll(&mut self, tid: i32, mut event: Event, polling: &Polling) {
        if event.nonblocking && event.ret == Some(0) {
            return;
        }
        if self.log.is_full() {
            return self.log.add(event);
        }
        let memory = Memory::of_traced(tid);
        let ready: HashSet<i32> = match (event.ret, polling) {
            (Some(1..), Polling::Array(address, count)) => {
                let polled = memory.ready_pollfds(*address, *count).unwrap_or_default();
                polled.into_iter().filter(|(_, events)| *events != 0).map(|(fd, _)| fd).collect()
            }
            (Some(1..), Polling::Sets(count, read, write)) => {
                sets(&memory, (*count, *read, *write)).into_iter().map(|(fd, _)| fd).collect()
            }
            _ => HashSet::new(),
        };
        if let Some(end) = event.ends.iter().copied().find(|end| ready.contains(&end.fd)) {
            self.points_at(&mut event, end);
        }
        if event.ends.len() > ENDS_MAX {
            event.ends.sort_by_key(|end| !ready.contains(&end.fd));
            event.ends.truncate(ENDS_MAX);
            event.ends.shrink_to_fit();
        }
        self.log.add(event);
    }

    fn points_at(&self, event: &mut Event, end: HeldEnd) {
        event.fd = Some(end.fd);
        event.pipe = Some(end.pipe);
        event.access = Some(end.access);
        event.path = self.pipes.path(end.pipe);
    }
}

fn array(polled: Option<Vec<(i32, i16)>>) -> Vec<(i32, Access)> {
    let access = |events: i16| if events & libc::POLLIN != 0 { Access::Read } else { Access::Write };
    let polled = polled.unwrap_or_default().into_iter().filter(|(fd, _)| *fd >= 0);
    polled.map(|(fd, events)| (fd, access(events))).collect()
}

fn sets(memory: &Memory, (count, read, write): (u64, u64, u64)) -> Vec<(i32, Access)> {
    let set = |address, access| {
        let fds = memory.fd_set(address, count).unwrap_or_default();
        fds.into_iter().map(move |fd| (fd as i32, access))
    };
    set(read, Access::Read).chain(set(write, Access::Write)).collect()
}

fn epoll(tid: i32, epoll: u64) -> Vec<(i32, Access)> {
    let watched = watched(&format!("/proc/{tid}"), epoll);
    watched.into_iter().map(|(fd, access)| (fd as i32, access)).collect()
}
