//! Which processes of a snapshot have to do with each other.

use std::path::Path;

use super::model::{Access, End, PipeId, Process, Snapshot, State, Target, Thread, Wait};

impl Snapshot {
    /// The processes that hold the other side of a pipe: its writers for `Read`, its readers for `Write`,
    /// each with its file descriptors. The process that waits may be among them.
    pub fn partners(&self, pipe: PipeId, waits_to: Access) -> Vec<(u32, Vec<u32>)> {
        let is_partner = |end: &&End| {
            end.pipe == pipe
                && (waits_to.reads() && end.access.writes() || waits_to.writes() && end.access.reads())
        };
        let holding = self.processes.values().map(|process| {
            (process.pid, process.ends.iter().filter(is_partner).map(|end| end.fd).collect::<Vec<_>>())
        });
        holding.filter(|(_, fds)| !fds.is_empty()).collect()
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
        let place = match target {
            Target::Fifo(id) => {
                self.pipes.get(id).and_then(|pipe| pipe.path.as_deref()).and_then(Path::parent)
            }
            _ => None,
        };
        let is_near = |id: &PipeId| {
            place.is_some() && self.pipes.get(id).and_then(|pipe| pipe.path.as_deref()?.parent()) == place
        };
        let rivals = self.rivals(thread.tid);
        let others = self.processes.values().filter(|other| {
            let opens = other.threads.iter().any(|thread| match &thread.wait {
                Wait::Open { target: Target::Fifo(id), .. } => is_near(id),
                _ => false,
            });
            let is_concerned =
                self.chosen.contains(&other.pid) || opens || other.ends.iter().any(|end| is_near(&end.pipe));
            is_concerned
                && other.pid != process.pid
                && !rivals.contains(&other.pid)
                && !other.threads.is_empty()
                && !self.is_parent_in_wait(other, process)
        });
        others.map(|other| other.pid).collect()
    }

    /// Whether this is an ancestor that waits for its child, as a shell does.
    fn is_parent_in_wait(&self, other: &Process, process: &Process) -> bool {
        let mut parent = process.parent;
        while let Some(ancestor) =
            self.processes.get(&parent).filter(|ancestor| ancestor.pid != ancestor.parent)
        {
            if ancestor.pid == other.pid {
                return other.threads.iter().all(|thread| matches!(thread.wait, Wait::Child { .. }));
            }
            parent = ancestor.parent;
        }
        false
    }

    /// The processes that hold the other side of the FIFO at the path where this thread waits in open(2).
    ///
    /// If there are any, the thread waits at an older FIFO of that name: the kernel wakes it as soon as its
    /// own FIFO has both sides (fifo(7)).
    pub fn holders_of_newer(&self, tid: u32) -> Vec<u32> {
        match self.opening(tid) {
            Some((id, Some(access))) => self.partners(id, access).into_iter().map(|(pid, _)| pid).collect(),
            _ => Vec::new(),
        }
    }

    /// The other processes that wait to open the FIFO of this thread, and in the same way.
    pub fn rivals(&self, tid: u32) -> Vec<u32> {
        let Some(own) = self.opening(tid) else { return Vec::new() };
        let is_rival = |thread: &Thread| thread.tid != tid && self.opening(thread.tid) == Some(own);
        let rivals = self.processes.values().filter(|other| other.threads.iter().any(is_rival));
        rivals.map(|other| other.pid).collect()
    }

    /// The FIFO at the path where a thread waits in open(2), and how it opens it.
    fn opening(&self, tid: u32) -> Option<(PipeId, Option<Access>)> {
        let mut threads = self.processes.values().flat_map(|process| &process.threads);
        match threads.find(|thread| thread.tid == tid)?.wait {
            Wait::Open { target: Target::Fifo(id), access, .. } => Some((id, access)),
            _ => None,
        }
    }
}
