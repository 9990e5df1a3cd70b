//! The lives of pipes: names, ends, and the last close.

use std::collections::{BTreeMap, HashMap};

use super::{Lane, names};
use crate::event::{Call, Event, PipeKey, Source};
use crate::look::{Access, printable};

/// A pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// Its identity.
    pub key: PipeKey,
    /// What it is called in pictures: no other pipe has this label.
    pub label: String,
    /// The paths that it had, in order. Empty: it never had a name.
    pub names: Vec<String>,
    /// Its first event.
    pub first: usize,
    /// Its last event.
    pub last: usize,
    /// The event that made it; `None` if it is older than the trace.
    pub made: Option<usize>,
    /// The event that took its name.
    pub unlinked: Option<usize>,
    /// The event after which no process had it open. `None`: a process still has, or the closes were not
    /// seen.
    pub last_close: Option<usize>,
    /// The ends that processes had.
    pub holds: Vec<Hold>,
    /// How many bytes were written into it.
    pub bytes_in: u64,
    /// How many bytes were read from it.
    pub bytes_out: u64,
    /// How many bytes nobody read: what was written in the trace, and not read until its end.
    pub left: u64,
}

/// An end of a pipe in one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The process.
    pub lane: usize,
    /// The file descriptor.
    pub fd: i32,
    /// How it is open.
    pub access: Access,
    /// The event from which on it is open.
    pub from: usize,
    /// The event that closed it.
    pub to: Option<usize>,
}

impl Pipe {
    /// The last event of its life; `None` if it still existed when the trace ended.
    pub fn end(&self) -> Option<usize> {
        let has_name = !self.names.is_empty() && self.unlinked.is_none();
        match self.last_close {
            _ if has_name => None,
            Some(close) => Some(close.max(self.unlinked.unwrap_or(close))),
            None if self.holds.is_empty() => Some(self.last),
            None => None,
        }
    }
}

/// The state while the events are read.
struct Reader<'e> {
    events: &'e [Event],
    lanes: &'e [Lane],
    lane_of: &'e [usize],
    pipes: Vec<Pipe>,
    of_key: BTreeMap<PipeKey, usize>,
    /// The open hold of each file descriptor.
    open: HashMap<(usize, i32), (usize, usize)>,
    /// How many ends of each pipe are open.
    ends: Vec<usize>,
}

/// Finds the pipes, and the pipe of each event.
pub(super) fn of(events: &[Event], lanes: &[Lane], lane_of: &[usize]) -> (Vec<Pipe>, Vec<Option<usize>>) {
    let mut reader = Reader {
        events,
        lanes,
        lane_of,
        pipes: Vec::new(),
        of_key: BTreeMap::new(),
        open: HashMap::new(),
        ends: Vec::new(),
    };
    let pipe_of = (0..events.len()).map(|at| reader.take(at)).collect();
    names::give_labels(&mut reader.pipes);
    (reader.pipes, pipe_of)
}

impl Reader<'_> {
    fn take(&mut self, at: usize) -> Option<usize> {
        let (event, lane) = (&self.events[at], self.lane_of[at]);
        let is_done = event.errno.is_none();
        let pipe = match event.pipe {
            Some(key) => Some(self.see(key, at)),
            None if matches!(event.call, Call::Unlink | Call::Rename) => self.named(event.path.as_deref()),
            None => None,
        };
        if let Some(key) = event.pipe_to {
            self.see(key, at);
        }
        match (event.call, pipe) {
            (Call::Mkfifo, Some(pipe)) if is_done => {
                self.pipes[pipe].made.get_or_insert(at);
                self.name(pipe, event.path.as_deref());
            }
            (Call::Open, Some(pipe)) if is_done => {
                self.name(pipe, event.path.as_deref());
                if let (Some(fd), Some(access)) = (event.fd, event.access) {
                    self.hold(pipe, lane, fd, access, at);
                }
            }
            (Call::Pipe, Some(pipe)) if is_done => {
                self.pipes[pipe].made = Some(at);
                let ends = [(event.fd, Access::Read), (event.fd_to, Access::Write)];
                for (fd, access) in ends.into_iter().filter_map(|(fd, access)| Some((fd?, access))) {
                    self.hold(pipe, lane, fd, access, at);
                }
            }
            (Call::Dup, pipe) if is_done => {
                if let Some(fd) = event.fd_to {
                    let from = event.fd.and_then(|from| self.open.get(&(lane, from)).copied());
                    let access =
                        from.map(|(pipe, hold)| self.pipes[pipe].holds[hold].access).or(event.access);
                    self.release(lane, fd, at);
                    if let (Some(pipe), Some(access)) = (pipe, access) {
                        self.hold(pipe, lane, fd, access, at);
                    }
                }
            }
            (Call::Close, _) => {
                if let Some(fd) = event.fd {
                    self.release(lane, fd, at);
                }
            }
            (Call::Unlink, Some(pipe)) if is_done => {
                self.name_older(pipe, event.path.as_deref());
                self.pipes[pipe].unlinked = Some(at);
            }
            (Call::Rename, Some(pipe)) if is_done => {
                self.name_older(pipe, event.path.as_deref());
                self.name(pipe, event.path_to.as_deref());
            }
            (Call::Fork, _) => {
                let child = self.lanes.iter().position(|lane| lane.fork == Some(at));
                if let Some(child) = child {
                    self.inherit(child, at);
                }
            }
            (Call::Exec, _) if is_done => {
                let kept = |fd: i32| event.ends.iter().any(|end| end.fd == fd);
                let closed: Vec<i32> = self.fds(lane).filter(|fd| !kept(*fd)).collect();
                closed.into_iter().for_each(|fd| self.release(lane, fd, at));
                self.inherit(lane, at);
            }
            (Call::Exit, _) => {
                let all: Vec<i32> = self.fds(lane).collect();
                all.into_iter().for_each(|fd| self.release(lane, fd, at));
            }
            // The end was opened before the trace began, or came from outside.
            (Call::Read | Call::Write, Some(pipe)) if event.source == Source::Trace => {
                let access = if event.call == Call::Read { Access::Read } else { Access::Write };
                if let Some(fd) = event.fd.filter(|fd| !self.open.contains_key(&(lane, *fd))) {
                    self.hold(pipe, lane, fd, event.access.unwrap_or(access), at);
                }
                self.name(pipe, event.path.as_deref());
            }
            _ => {}
        }
        pipe
    }

    /// The pipe with this identity.
    fn see(&mut self, key: PipeKey, at: usize) -> usize {
        let pipe = *self.of_key.entry(key).or_insert(self.pipes.len());
        if pipe == self.pipes.len() {
            self.ends.push(0);
            self.pipes.push(Pipe {
                key,
                label: String::new(),
                names: Vec::new(),
                first: at,
                last: at,
                made: None,
                unlinked: None,
                last_close: None,
                holds: Vec::new(),
                bytes_in: 0,
                bytes_out: 0,
                left: 0,
            });
        }
        self.pipes[pipe].last = at;
        pipe
    }

    /// The pipe that has this name now.
    fn named(&self, path: Option<&str>) -> Option<usize> {
        let path = printable(path?);
        let has_name = |pipe: &Pipe| pipe.unlinked.is_none() && pipe.names.last() == Some(&path);
        self.pipes.iter().rposition(has_name)
    }

    fn name(&mut self, pipe: usize, path: Option<&str>) {
        let names = &mut self.pipes[pipe].names;
        if let Some(path) = path.map(printable)
            && names.last() != Some(&path)
        {
            names.push(path);
        }
    }

    /// Names a pipe that is older than the trace, and was not seen with a name before.
    fn name_older(&mut self, pipe: usize, path: Option<&str>) {
        if self.pipes[pipe].names.is_empty() {
            self.name(pipe, path);
        }
    }

    fn hold(&mut self, pipe: usize, lane: usize, fd: i32, access: Access, at: usize) {
        self.release(lane, fd, at);
        self.open.insert((lane, fd), (pipe, self.pipes[pipe].holds.len()));
        self.pipes[pipe].holds.push(Hold { lane, fd, access, from: at, to: None });
        self.pipes[pipe].last_close = None;
        self.ends[pipe] += 1;
    }

    fn release(&mut self, lane: usize, fd: i32, at: usize) {
        let Some((pipe, hold)) = self.open.remove(&(lane, fd)) else { return };
        self.pipes[pipe].holds[hold].to = Some(at);
        self.pipes[pipe].last = at;
        self.ends[pipe] -= 1;
        if self.ends[pipe] == 0 {
            self.pipes[pipe].last_close = Some(at);
        }
    }

    /// A process has these ends from its birth on, or from its program's beginning on.
    fn inherit(&mut self, lane: usize, at: usize) {
        for end in &self.events[at].ends {
            let pipe = self.see(end.pipe, at);
            if self.open.get(&(lane, end.fd)).is_none_or(|(known, _)| *known != pipe) {
                self.hold(pipe, lane, end.fd, end.access, at);
            }
        }
    }

    fn fds(&self, lane: usize) -> impl Iterator<Item = i32> {
        self.open.keys().filter(move |(of, _)| *of == lane).map(|(_, fd)| *fd)
    }
}
