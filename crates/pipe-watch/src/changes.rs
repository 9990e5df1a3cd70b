//! Events from a series of looks: what has changed from one look to the next. This takes the place of a
//! trace where ptrace(2) is not allowed. What begins and ends between two looks is missing, and so are the
//! bytes.
//!
//! ```
//! use pipe_watch::changes::Changes;
//! use pipe_watch::look::{Scope, look};
//!
//! # fn main() -> Result<(), pipe_watch::look::Error> {
//! let scope = Scope::Trees(vec![std::process::id()]);
//! let mut changes = Changes::default();
//! let mut events = changes.add(&look(&scope)?);
//! events.extend(changes.add(&look(&scope)?));
//! events.extend(changes.end());
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Call, Event, HeldEnd, PipeKey, Source, monotonic_ns};
use crate::look::{End, Ending, PipeId, Process, Snapshot, State, Thread, Wait};
use crate::tracer::names;

/// Compares each look with the one before it.
#[derive(Debug, Default)]
pub struct Changes {
    events: u64,
    /// Each pipe that was ever seen: its generation, and whether the last look saw it.
    pipes: BTreeMap<PipeId, (u32, bool)>,
    /// The processes of the last look.
    processes: BTreeMap<u32, Known>,
    /// The waits that have not ended, by thread.
    waits: BTreeMap<u32, (Wait, Event)>,
    /// How processes ended, as far as the caller knows.
    endings: BTreeMap<u32, Ending>,
}

/// A process as the last look saw it.
#[derive(Debug, Default)]
struct Known {
    name: String,
    parent: u32,
    has_ended: bool,
    ends: BTreeMap<u32, End>,
}

impl Changes {
    /// The events of what a look found that the one before it had not.
    pub fn add(&mut self, snapshot: &Snapshot) -> Vec<Event> {
        let ns = monotonic_ns();
        for (id, (generation, is_there)) in &mut self.pipes {
            let is_again = snapshot.pipes.contains_key(id);
            *generation += u32::from(is_again && !*is_there);
            *is_there = is_again;
        }
        for id in snapshot.pipes.keys() {
            self.pipes.entry(*id).or_insert((0, true));
        }
        let mut events = Vec::new();
        let chosen = snapshot.chosen.iter().filter_map(|pid| snapshot.processes.get(pid));
        for process in chosen {
            self.compare(process, snapshot, ns, &mut events);
        }
        self.end_processes(&snapshot.chosen, ns, &mut events);
        let threads = snapshot.processes.values().flat_map(|process| &process.threads);
        self.end_waits(&threads.map(|thread| thread.tid).collect(), ns, &mut events);
        events
    }

    /// Says how a process has ended, which the caller knows from wait(2). A look finds only that it is gone.
    pub fn ended(&mut self, pid: u32, ending: Ending) {
        self.endings.insert(pid, ending);
    }

    /// The last events, when all processes have ended since the last look.
    pub fn end(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.end_processes(&BTreeSet::new(), monotonic_ns(), &mut events);
        self.end_waits(&BTreeSet::new(), monotonic_ns(), &mut events);
        events
    }

    fn compare(&mut self, process: &Process, snapshot: &Snapshot, ns: u64, events: &mut Vec<Event>) {
        let pid = process.pid;
        if !self.processes.contains_key(&pid) && self.processes.contains_key(&process.parent) {
            let mut event = self.event(ns, process.parent, Call::Fork);
            event.peer = Some(pid);
            event.ends = process.ends.iter().map(|end| self.held(end)).collect();
            events.push(event);
            let ends = process.ends.iter().map(|end| (end.fd, *end)).collect();
            self.processes.insert(pid, Known { ends, ..Known::default() });
        }
        let mut known = self.processes.remove(&pid).unwrap_or_default();
        known.parent = process.parent;
        if known.name != process.name {
            let mut event = self.event(ns, pid, Call::Exec);
            event.path = Some(process.name.clone());
            event.ends = process.ends.iter().map(|end| self.held(end)).collect();
            event.ret = Some(0);
            events.push(event);
            known.name.clone_from(&process.name);
        }
        self.compare_ends(&mut known, process, snapshot, ns, events);
        if process.state == State::Zombie && !known.has_ended {
            known.has_ended = true;
            events.push(self.exit(ns, pid, process.ending));
        }
        self.processes.insert(pid, known);
        for thread in &process.threads {
            self.compare_wait(pid, thread, ns, events);
        }
    }

    fn compare_ends(
        &mut self,
        known: &mut Known,
        process: &Process,
        snapshot: &Snapshot,
        ns: u64,
        events: &mut Vec<Event>,
    ) {
        let ends: BTreeMap<u32, End> = process.ends.iter().map(|end| (end.fd, *end)).collect();
        let is_same = |one: &End, other: Option<&End>| other.is_some_and(|other| one.pipe == other.pipe);
        let closed = known.ends.values().filter(|end| !is_same(end, ends.get(&end.fd)));
        let opened = ends.values().filter(|end| !is_same(end, known.ends.get(&end.fd)));
        let calls = closed.map(|end| (Call::Close, end)).chain(opened.map(|end| (Call::Open, end)));
        for (call, end) in calls.collect::<Vec<_>>() {
            let mut event = self.event(ns, process.pid, call);
            let path = snapshot.pipes.get(&end.pipe).and_then(|pipe| pipe.path.as_ref());
            event.path = path.map(|path| path.to_string_lossy().into_owned());
            event.fd = i32::try_from(end.fd).ok();
            event.pipe = Some(self.key(end.pipe));
            event.access = Some(end.access);
            event.nonblocking = end.is_nonblocking;
            event.ret = Some(0);
            events.push(event);
        }
        known.ends = ends;
    }

    /// A wait is one event, whose end the next look sees.
    fn compare_wait(&mut self, pid: u32, thread: &Thread, ns: u64, events: &mut Vec<Event>) {
        if self.waits.get(&thread.tid).is_some_and(|(wait, _)| *wait == thread.wait) {
            return;
        }
        events.extend(self.end_wait(thread.tid, ns));
        if !matches!(thread.wait, Wait::Open { .. } | Wait::Pipes(_) | Wait::Child { .. }) {
            return;
        }
        let mut event = self.event(ns, pid, Call::Poll);
        match &thread.wait {
            Wait::Open { path, access, .. } => {
                event.call = Call::Open;
                event.path = path.as_ref().map(|path| path.to_string_lossy().into_owned());
                event.access = *access;
            }
            Wait::Pipes(wait) => {
                let Some(need) = wait.needs.first() else { return };
                event.call = match (wait.call, need.access) {
                    ("read" | "readv", _) => Call::Read,
                    ("write" | "writev", _) => Call::Write,
                    _ => Call::Poll,
                };
                event.fd = i32::try_from(need.fd).ok();
                event.pipe = Some(self.key(need.pipe));
                event.access = Some(need.access);
                event.asked = wait.bytes;
            }
            Wait::Child { pid, .. } => {
                event.call = Call::Wait;
                event.peer = *pid;
            }
            _ => return,
        }
        event.tid = (thread.tid != pid).then_some(thread.tid);
        self.waits.insert(thread.tid, (thread.wait.clone(), event));
    }

    fn end_wait(&mut self, tid: u32, ns: u64) -> Option<Event> {
        let (_, mut event) = self.waits.remove(&tid)?;
        event.took = Some(ns.saturating_sub(event.ns));
        Some(event)
    }

    /// Processes that are not there any more have ended, and were reaped.
    fn end_processes(&mut self, there: &BTreeSet<u32>, ns: u64, events: &mut Vec<Event>) {
        for pid in self.processes.keys().copied().filter(|pid| !there.contains(pid)).collect::<Vec<_>>() {
            let Some(known) = self.processes.remove(&pid) else { continue };
            if !known.has_ended {
                events.push(self.exit(ns, pid, None));
            }
            if self.processes.contains_key(&known.parent) {
                let mut event = self.event(ns, known.parent, Call::Wait);
                event.peer = Some(pid);
                event.ret = Some(i64::from(pid));
                events.push(event);
            }
        }
    }

    /// The waits of threads that are not there any more have ended.
    fn end_waits(&mut self, there: &BTreeSet<u32>, ns: u64, events: &mut Vec<Event>) {
        for tid in self.waits.keys().copied().filter(|tid| !there.contains(tid)).collect::<Vec<_>>() {
            events.extend(self.end_wait(tid, ns));
        }
    }

    fn exit(&mut self, ns: u64, pid: u32, seen: Option<Ending>) -> Event {
        let mut event = self.event(ns, pid, Call::Exit);
        match seen.or(self.endings.remove(&pid)) {
            Some(Ending::Exited(status)) => event.ret = Some(i64::from(status)),
            Some(Ending::Killed(signal)) => event.signal = Some(names::signal(signal.into())),
            None => {}
        }
        event
    }

    fn event(&mut self, ns: u64, pid: u32, call: Call) -> Event {
        self.events += 1;
        Event::new(self.events, ns, pid, call, Source::Look)
    }

    fn key(&self, id: PipeId) -> PipeKey {
        let generation = self.pipes.get(&id).map_or(0, |(generation, _)| *generation);
        PipeKey { device: id.device, inode: id.inode, generation }
    }

    fn held(&self, end: &End) -> HeldEnd {
        let fd = i32::try_from(end.fd).unwrap_or(i32::MAX);
        HeldEnd { fd, pipe: self.key(end.pipe), access: end.access }
    }
}
