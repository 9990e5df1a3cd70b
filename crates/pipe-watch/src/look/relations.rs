//! Which processes of a snapshot have to do with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::index::{Index, Openers};
use super::model::{Access, PipeId, Process, Snapshot, State, Target, Thread, Wait};

impl Snapshot {
    /// Makes the index again, after what the threads wait for has changed.
    pub(super) fn index(&mut self) {
        let mut index = Index::default();
        // The processes that hold or await a FIFO, by its directory.
        let mut places: BTreeMap<&Path, BTreeSet<u32>> = BTreeMap::new();
        for process in self.processes.values() {
            let mut is_at = |id: &PipeId| {
                if let Some(place) = self.place(id) {
                    places.entry(place).or_default().insert(process.pid);
                }
            };
            for end in &process.ends {
                is_at(&end.pipe);
                index.ends.entry(end.pipe).or_default().push((process.pid, end.fd, end.access));
            }
            for thread in &process.threads {
                if let Wait::Open { target: Target::Fifo(id), access, .. } = thread.wait {
                    is_at(&id);
                    index.opening.insert(thread.tid, (id, access));
                    let openers = index.openings.entry((id, access)).or_default();
                    openers.threads.push((process.pid, thread.tid));
                }
            }
        }
        // Those that may open a FIFO of a directory; in a crowd, each client's FIFO is in the same one.
        let mut near: BTreeMap<Option<&Path>, Vec<u32>> = BTreeMap::new();
        for ((id, _), openers) in &mut index.openings {
            let place = self.place(id);
            let near = near.entry(place).or_insert_with(|| {
                let there = place.and_then(|place| places.get(place)).into_iter().flatten();
                let concerned: BTreeSet<u32> = self.chosen.iter().chain(there).copied().collect();
                concerned.into_iter().filter(|pid| self.is_read(*pid)).collect()
            });
            let opens = |pid: u32| openers.threads.binary_search_by_key(&pid, |(pid, _)| *pid).is_ok();
            openers.candidates = near.iter().copied().filter(|pid| !opens(*pid)).collect();
        }
        self.index = index;
    }

    /// The directory of a FIFO.
    fn place(&self, id: &PipeId) -> Option<&Path> {
        self.pipes.get(id)?.path.as_deref()?.parent()
    }

    fn is_read(&self, pid: u32) -> bool {
        self.processes.get(&pid).is_some_and(|process| !process.threads.is_empty())
    }

    /// The processes that hold the other side of a pipe: its writers for `Read`, its readers for `Write`,
    /// each with its file descriptors. The process that waits may be among them.
    pub fn partners(&self, pipe: PipeId, waits_to: Access) -> Vec<(u32, Vec<u32>)> {
        let mut partners: Vec<(u32, Vec<u32>)> = Vec::new();
        for (pid, fd, access) in self.index.ends.get(&pipe).into_iter().flatten() {
            if waits_to.reads() && access.writes() || waits_to.writes() && access.reads() {
                match partners.last_mut().filter(|(last, _)| last == pid) {
                    Some((_, fds)) => fds.push(*fd),
                    None => partners.push((*pid, vec![*fd])),
                }
            }
        }
        partners
    }

    /// The living children of a process: all, or this one.
    pub(super) fn children(&self, parent: u32, only: Option<u32>) -> Vec<u32> {
        let children = self.processes.values().filter(|child| {
            child.parent == parent
                && child.state != State::Zombie
                && only.is_none_or(|only| only == child.pid)
        });
        children.map(|child| child.pid).collect()
    }

    /// The other processes that have to do with the FIFO of an open(2) that waits, or with its directory:
    /// one of them may open the other end. None if the FIFO has no name any more.
    pub(super) fn openers(&self, process: &Process, thread: &Thread) -> Vec<u32> {
        let Wait::Open { target, .. } = &thread.wait else { return Vec::new() };
        if *target == Target::Missing || !self.holders_of_newer(thread.tid).is_empty() {
            return Vec::new();
        }
        let parents = self.parents_in_wait(process);
        let is_other = |pid: &u32| *pid != process.pid && !parents.contains(pid);
        match self.openers_like(thread.tid) {
            Some(openers) => openers.candidates.iter().copied().filter(is_other).collect(),
            None => {
                let chosen = self.chosen.iter().copied();
                chosen.filter(|pid| is_other(pid) && self.is_read(*pid)).collect()
            }
        }
    }

    /// The ancestors that wait for their child, as a shell does.
    fn parents_in_wait(&self, process: &Process) -> BTreeSet<u32> {
        let (mut seen, mut next) = (BTreeSet::new(), process.parent);
        // A PID that is used again could make a circle.
        while let Some(ancestor) = self.processes.get(&next).filter(|ancestor| seen.insert(ancestor.pid)) {
            next = ancestor.parent;
        }
        let waits = |pid: &u32| {
            let mut threads = self.processes[pid].threads.iter();
            threads.all(|thread| matches!(thread.wait, Wait::Child { .. }))
        };
        seen.retain(waits);
        seen
    }

    /// The processes that hold the other side of the FIFO at the path where this thread waits in open(2).
    ///
    /// If there are any, the thread waits at an older FIFO of that name: the kernel wakes it as soon as its
    /// own FIFO has both sides (fifo(7)).
    pub fn holders_of_newer(&self, tid: u32) -> Vec<u32> {
        match self.index.opening.get(&tid) {
            Some((id, Some(access))) => self.partners(*id, *access).into_iter().map(|(pid, _)| pid).collect(),
            _ => Vec::new(),
        }
    }

    /// The other processes that wait to open the FIFO of this thread, and in the same way.
    pub fn rivals(&self, tid: u32) -> Vec<u32> {
        let threads = self.openers_like(tid).map_or(&[][..], |openers| &openers.threads);
        let others = threads.iter().filter(|(_, other)| *other != tid);
        let mut pids: Vec<u32> = others.map(|(pid, _)| *pid).collect();
        pids.dedup();
        pids
    }

    /// The threads that wait for the same as this one, which is among them.
    fn openers_like(&self, tid: u32) -> Option<&Openers> {
        self.index.openings.get(self.index.opening.get(&tid)?)
    }
}
