//! Takes a snapshot: reads all visible processes' pipe ends, and the threads of those that matter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::calls;
use super::index::Index;
use super::limit::Limit;
use super::model::{Pipe, PipeId, Process, Snapshot, State, Target, Visibility, Wait};
use super::threads::{absolute, is_of_32_bits, living_thread, state_of, thread};
use super::{Error, Scope, ends, fill, stat};

/// A snapshot in the making.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) processes: BTreeMap<u32, Process>,
    pipes: BTreeMap<PipeId, Pipe>,
    /// The lines of /proc/PID/task/TID/syscall, to be compared at the end.
    lines: BTreeMap<u32, Option<String>>,
    hidden: usize,
    /// The processes of more than one thread.
    threaded: BTreeSet<u32>,
    examined: BTreeSet<u32>,
    /// The processes that hold each pipe.
    holders: BTreeMap<PipeId, BTreeSet<u32>>,
    /// The pipes and directories whose processes are due already.
    followed: BTreeSet<PipeId>,
    places: BTreeSet<PathBuf>,
}

pub(super) fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let mut gathered = Gathered::default();
    for pid in stat::pids().map_err(Error::NoProc)? {
        gathered.process(pid);
    }
    gathered.examine_all(gathered.in_open());
    let chosen = gathered.chosen(scope)?;
    gathered.examine_all(chosen.clone());
    gathered.measure(&chosen);
    gathered.confirm();
    let limits = gathered.limits(&chosen);
    let Gathered { processes, pipes, .. } = gathered;
    let mut snapshot =
        Snapshot { processes, pipes, chosen, limits, at: Instant::now(), index: Index::default() };
    snapshot.index();
    Ok(snapshot)
}

impl Gathered {
    /// Reads a process, without its threads; those of the kernel are left out.
    fn process(&mut self, pid: u32) {
        let Some(stat) = stat::stat(&format!("/proc/{pid}")).filter(|stat| !stat.is_kernel) else { return };
        let (mut visibility, mut held) = (Visibility::All, Vec::new());
        // The first thread has ended, but not the process: another thread shows what they share.
        let living = if stat.state == State::Zombie { living_thread(pid) } else { None };
        let state = if living.is_some() { State::Sleeping } else { stat.state };
        self.threaded.extend((stat.threads > 1).then_some(pid));
        match ends::of(living.unwrap_or(pid)) {
            Ok(ends) => {
                for (end, pipe) in ends {
                    held.push(end);
                    self.holders.entry(pipe.id).or_default().insert(pid);
                    self.pipes.entry(pipe.id).or_insert(pipe);
                }
            }
            // A zombie holds nothing. Its descriptors are hidden, too.
            Err(_) if state == State::Zombie => {}
            Err(_) => {
                visibility = Visibility::Existence;
                self.hidden += 1;
            }
        }
        let process = Process {
            pid,
            inner_pid: None,
            parent: stat.parent,
            name: stat.name,
            start: stat.start,
            state,
            ending: stat.ending,
            tracer: None,
            visibility,
            ends: held,
            threads: Vec::new(),
        };
        self.processes.insert(pid, process);
    }

    /// The directory of a FIFO.
    pub(super) fn directory_of(&self, id: &PipeId) -> Option<&Path> {
        self.pipes.get(id)?.path.as_deref()?.parent()
    }

    /// The processes of which a thread waits in an open(2): no file descriptor shows what it waits for.
    fn in_open(&self) -> BTreeSet<u32> {
        let is_open =
            |tid: &u32| stat::syscall(&format!("/proc/{tid}")).is_some_and(|line| calls::is_open(&line));
        let in_open = |pid: &u32| match self.threaded.contains(pid) {
            true => stat::tids(*pid).is_ok_and(|tids| tids.iter().any(is_open)),
            false => is_open(pid),
        };
        let is_visible = |process: &&Process| process.visibility == Visibility::All;
        self.processes.values().filter(is_visible).map(|process| process.pid).filter(in_open).collect()
    }

    /// Examines these processes, and those that they wait for, directly or not.
    fn examine_all(&mut self, mut due: BTreeSet<u32>) {
        while let Some(pid) = due.pop_first() {
            if self.examined.insert(pid) {
                self.examine(pid);
                let awaited = self.awaited(pid);
                due.extend(awaited.difference(&self.examined));
            }
        }
    }

    /// The processes that can end a wait of this process, without those that are due already.
    fn awaited(&mut self, pid: u32) -> BTreeSet<u32> {
        let Some(process) = self.processes.get(&pid) else { return BTreeSet::new() };
        if process.state == State::Zombie {
            return BTreeSet::from([process.parent]);
        }
        let (mut pipes, mut awaited) = (Vec::new(), BTreeSet::new());
        for thread in &process.threads {
            match &thread.wait {
                Wait::Pipes(wait) => pipes.extend(wait.needs.iter().map(|need| need.pipe)),
                // A process with another FIFO of the same directory may be about to open this one.
                Wait::Open { target: Target::Fifo(id), .. } => {
                    pipes.push(*id);
                    let place = self.directory_of(id).map(Path::to_owned);
                    if let Some(place) = place.filter(|place| !self.places.contains(place)) {
                        pipes.extend(self.pipes.keys().filter(|id| self.directory_of(id) == Some(&place)));
                        self.places.insert(place);
                    }
                }
                Wait::Child { .. } => {
                    let children = self.processes.values().filter(|one| one.parent == pid);
                    awaited.extend(children.map(|one| one.pid));
                }
                _ => {}
            }
        }
        for id in pipes {
            if self.followed.insert(id) {
                awaited.extend(self.holders.get(&id).into_iter().flatten());
            }
        }
        awaited
    }

    /// Reads the threads of a process, and its pipe ends again: those must be of the same moment.
    fn examine(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let Some(status) = stat::status(&format!("/proc/{pid}")) else { return };
        (process.inner_pid, process.tracer) = (status.inner_pid, status.tracer);
        if process.state == State::Zombie {
            let may_know = [0, status.user].contains(&rustix::process::geteuid().as_raw());
            process.ending = process.ending.filter(|_| may_know);
            return;
        }
        let has_our_calls = !is_of_32_bits(pid);
        let directory = |tid| format!("/proc/{pid}/task/{tid}");
        let tids = stat::tids(pid).unwrap_or_default().into_iter();
        let states = tids.filter_map(|tid| Some((tid, state_of(&directory(tid))?)));
        let states: Vec<_> = states.filter(|(_, (stat, _))| stat.state != State::Zombie).collect();
        if let Ok(held) = ends::of(states.first().map_or(pid, |(tid, _)| *tid)) {
            process.ends = held.iter().map(|(end, _)| *end).collect();
            for (_, pipe) in held {
                self.holders.entry(pipe.id).or_default().insert(pid);
                self.pipes.insert(pipe.id, pipe);
            }
        }
        for (tid, state) in states {
            let line = stat::syscall(&directory(tid));
            if line.is_none() && process.visibility == Visibility::All {
                process.visibility = Visibility::Descriptors;
            }
            let known = line.as_deref().filter(|_| has_our_calls);
            process.threads.push(thread(tid, state, &directory(tid), &process.ends, known));
            self.lines.insert(tid, line);
        }
        for thread in &process.threads {
            if let Wait::Open { target: Target::Fifo(id), path: Some(path), .. } = &thread.wait {
                let path = absolute(&directory(thread.tid), path);
                let pipe = Pipe { id: *id, path: Some(path), is_named: true, fill: None };
                self.pipes.entry(*id).or_insert(pipe);
            }
        }
    }

    /// Asks how full the pipes are that chosen processes wait at.
    fn measure(&mut self, chosen: &BTreeSet<u32>) {
        let asked = chosen.iter().filter_map(|pid| self.processes.get(pid)).flat_map(|process| {
            let waits = process.threads.iter().filter_map(|thread| match &thread.wait {
                Wait::Pipes(wait) => Some(wait.needs.iter()),
                _ => None,
            });
            waits.flatten().map(|need| (process.pid, need.fd, need.pipe))
        });
        for (pid, fd, id) in asked {
            if let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.fill.is_none()) {
                pipe.fill = fill::of(pid, fd);
            }
        }
    }

    /// Looks at each thread again: one that ran meanwhile may have changed what was read before.
    fn confirm(&mut self) {
        for process in self.processes.values_mut().filter(|process| !process.threads.is_empty()) {
            for thread in &mut process.threads {
                let directory = format!("/proc/{}/task/{}", process.pid, thread.tid);
                let is_same = stat::status(&directory).is_some_and(|status| status.sleeps == thread.sleeps)
                    && self.lines.get(&thread.tid) == Some(&stat::syscall(&directory));
                if !is_same && !matches!(thread.wait, Wait::Stopped | Wait::Traced) {
                    thread.wait = Wait::Nothing;
                }
            }
        }
    }

    fn limits(&self, chosen: &BTreeSet<u32>) -> Vec<Limit> {
        let is_blind =
            |pid: &&u32| self.processes.get(pid).is_some_and(|one| one.visibility == Visibility::Descriptors);
        let pids: Vec<u32> = chosen.iter().filter(is_blind).copied().collect();
        let calls = (!pids.is_empty()).then(|| Limit::HiddenCalls { pids, yama: stat::yama() });
        let is_unread = |pid: &&u32| {
            self.processes.get(pid).is_some_and(|one| one.state != State::Zombie && one.threads.is_empty())
                && living_thread(**pid).is_some()
        };
        let unread: Vec<u32> = chosen.iter().filter(is_unread).copied().collect();
        let unread = (!unread.is_empty()).then_some(Limit::UnreadProcesses(unread));
        let hidden = (self.hidden > 0).then_some(Limit::HiddenProcesses(self.hidden));
        let users = stat::hides_users().then_some(Limit::HiddenUsers);
        calls.into_iter().chain(unread).chain(hidden).chain(users).collect()
    }
}
