//! The wait graph: which waits can end, which cannot, and which processes wait for each other.
//!
//! A process is *live* if a thread of it can go on without any of the processes that are seen: it runs, its
//! wait has a limit, or it waits for a terminal or a socket. A thread that waits for a live process may go
//! on, too. All others are stuck.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::successors;
use std::time::Duration;

use super::model::{Process, Snapshot, State, Thread, Wait};
use super::{remedy, words};

/// A wait with a longer limit counts as one without: a person calls the program hung long before.
const LONG: Duration = Duration::from_secs(60);

/// The most processes that a finding needs: in a crowd, each thread may need all others.
const NEEDS_MAX: usize = 100;

/// What one look, or two, mean.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// One finding for each thread of the chosen processes, in the order of their numbers, and one for each
    /// zombie.
    pub findings: Vec<Finding>,
    /// The groups of processes that wait for each other.
    pub deadlocks: Vec<Deadlock>,
}

/// What was found of a thread, or of a zombie.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The kind.
    pub kind: Kind,
    /// What it waits for.
    pub wait: Wait,
    /// The processes that can end the wait, as far as they are seen; of many, the first hundred.
    pub needs: Vec<u32>,
    /// All that in words. Safe to print on a terminal.
    pub sentence: String,
    /// What would most likely help.
    pub remedy: Option<String>,
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It waits, and nothing that is seen will end its wait.
    Stuck,
    /// It is stopped, by a signal or its tracer.
    Stopped,
    /// It has ended, and its parent has not reaped it.
    Zombie,
    /// It ran at both looks, and did not wait in between.
    Busy,
    /// It waits, and may go on by itself.
    Waiting,
    /// It runs.
    Running,
}

/// Processes that wait for each other in a circle.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deadlock {
    /// The processes, each before the one that it waits for.
    pub pids: Vec<u32>,
    /// The circle in words. Safe to print on a terminal.
    pub sentence: String,
    /// What would most likely help.
    pub remedy: String,
}

impl Report {
    /// Explains one snapshot. What it calls stuck may be a wait of a moment; see [`Report::since`].
    pub fn of(snapshot: &Snapshot) -> Self {
        Graph::of(snapshot).report(&BTreeSet::new())
    }

    /// Explains what has not changed between two snapshots of the same scope. A thread that ran in between
    /// counts as running. 50 ms between the two tell a hang from a wait of a moment.
    pub fn since(earlier: &Snapshot, later: &Snapshot) -> Self {
        let (mut settled, mut busy) = (later.clone(), BTreeSet::new());
        for process in settled.processes.values_mut() {
            let before = earlier.processes.get(&process.pid).filter(|before| before.start == process.start);
            if process.state == State::Zombie && before.is_none_or(|before| before.state != State::Zombie) {
                settled.chosen.remove(&process.pid);
            }
            let threads = before.map(|before| before.threads.as_slice()).unwrap_or_default();
            for thread in &mut process.threads {
                let before = threads.iter().find(|before| before.tid == thread.tid);
                let same = before.filter(|before| before.sleeps == thread.sleeps);
                // One that is ready, and gets no processor, does not compute.
                let was_running =
                    same.is_some_and(|before| before.state == State::Running && before.ticks < thread.ticks);
                if thread.state == State::Running && was_running {
                    busy.insert(thread.tid);
                }
                if same.is_none() && thread.state != State::Stopped {
                    thread.wait = Wait::Nothing;
                }
            }
        }
        settled.index();
        Graph::of(&settled).report(&busy)
    }

    /// Whether any of the processes is stuck or stopped, or a zombie.
    pub fn finds_trouble(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.is_trouble())
    }
}

impl Kind {
    /// Whether this is an answer to "why does it hang?".
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Stuck | Self::Stopped | Self::Zombie)
    }
}

/// A snapshot, and which of its processes are live.
#[derive(Debug)]
struct Graph<'a> {
    snapshot: &'a Snapshot,
    /// What each thread needs.
    needs: BTreeMap<u32, Option<Vec<u32>>>,
    live: BTreeSet<u32>,
}

impl<'a> Graph<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let threads = snapshot.processes.values().flat_map(|process| {
            process.threads.iter().map(move |thread| (thread.tid, needs(snapshot, process, thread)))
        });
        let mut graph = Self { snapshot, needs: threads.collect(), live: BTreeSet::new() };
        loop {
            let is_new = |process: &&Process| !graph.live.contains(&process.pid) && graph.is_live(process);
            let more: Vec<u32> =
                snapshot.processes.values().filter(is_new).map(|process| process.pid).collect();
            if more.is_empty() {
                return graph;
            }
            graph.live.extend(more);
        }
    }

    fn is_live(&self, process: &Process) -> bool {
        process.state != State::Zombie
            && (process.threads.is_empty() || process.threads.iter().any(|thread| self.goes_on(thread)))
    }

    /// Whether a thread may go on, as far as is known by now.
    fn goes_on(&self, thread: &Thread) -> bool {
        let needs = self.needs[&thread.tid].as_ref();
        needs.is_none_or(|pids| pids.iter().any(|pid| self.live.contains(pid)))
    }

    fn needed(&self, thread: &Thread) -> &[u32] {
        self.needs[&thread.tid].as_deref().unwrap_or_default()
    }

    fn report(&self, busy: &BTreeSet<u32>) -> Report {
        let chosen = self.snapshot.chosen.iter().filter_map(|pid| self.snapshot.processes.get(pid));
        let findings = chosen.flat_map(|process| self.findings(process, busy)).collect();
        Report { findings, deadlocks: self.deadlocks() }
    }

    fn findings(&self, process: &Process, busy: &BTreeSet<u32>) -> Vec<Finding> {
        if process.state == State::Zombie {
            return vec![Finding {
                pid: process.pid,
                tid: process.pid,
                kind: Kind::Zombie,
                wait: Wait::Nothing,
                needs: vec![process.parent],
                sentence: words::zombie(self.snapshot, process),
                remedy: Some(remedy::REAP.to_owned()),
            }];
        }
        let is_shown = |thread: &&Thread| {
            let stopped = matches!(thread.wait, Wait::Stopped | Wait::Traced);
            !stopped || thread.tid == process.threads[0].tid
        };
        let threads = process.threads.iter().filter(is_shown);
        threads.map(|thread| self.finding(process, thread, busy.contains(&thread.tid))).collect()
    }

    fn finding(&self, process: &Process, thread: &Thread, is_busy: bool) -> Finding {
        let kind = match &thread.wait {
            _ if is_busy => Kind::Busy,
            Wait::Nothing => Kind::Running,
            Wait::Stopped | Wait::Traced => Kind::Stopped,
            // A signal and time are what they wait for; only others may be stuck because of them.
            Wait::Signal { .. } | Wait::Sleep { .. } => Kind::Waiting,
            _ if self.goes_on(thread) => Kind::Waiting,
            _ => Kind::Stuck,
        };
        Finding {
            pid: process.pid,
            tid: thread.tid,
            kind,
            wait: thread.wait.clone(),
            needs: self.needed(thread).iter().take(NEEDS_MAX).copied().collect(),
            sentence: words::sentence(self.snapshot, process, thread, is_busy),
            remedy: remedy::remedy(self.snapshot, process, thread, is_busy).filter(|_| kind != Kind::Waiting),
        }
    }

    /// The circles of processes of which none is live, each circle once, the shortest first found.
    fn deadlocks(&self) -> Vec<Deadlock> {
        let is_stuck = |process: &&Process| !self.live.contains(&process.pid) && !process.threads.is_empty();
        let edges: BTreeMap<u32, BTreeSet<u32>> = self
            .snapshot
            .processes
            .values()
            .filter(is_stuck)
            .map(|process| (process.pid, self.edges(process)))
            .collect();
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        for start in edges.keys() {
            if let Some(circle) = (!known.contains(start)).then(|| circle(*start, &edges)).flatten() {
                known.extend(circle.iter().copied());
                found.push(circle);
            }
        }
        let concerns = |circle: &Vec<u32>| circle.iter().any(|pid| self.snapshot.chosen.contains(pid));
        let told = found.into_iter().filter(concerns).map(|pids| {
            let (sentence, remedy) = remedy::deadlock(self.snapshot, &pids);
            Deadlock { pids, sentence, remedy }
        });
        told.collect()
    }

    /// The other processes that a process waits for. Of an open(2) only if there is one candidate: with more,
    /// any of them may be meant.
    fn edges(&self, process: &Process) -> BTreeSet<u32> {
        let of = |thread: &Thread| {
            let needs = self.needed(thread);
            let is_clear = !matches!(thread.wait, Wait::Open { .. }) || needs.len() == 1;
            needs.iter().copied().filter(move |pid| is_clear && *pid != process.pid)
        };
        process.threads.iter().flat_map(of).collect()
    }
}

/// The processes one of which must act before the thread goes on. `None`: it needs none.
fn needs(snapshot: &Snapshot, process: &Process, thread: &Thread) -> Option<Vec<u32>> {
    let ends_by_itself = |limit: &Option<Duration>| limit.is_some_and(|limit| limit <= LONG);
    match &thread.wait {
        Wait::Nothing | Wait::File { .. } | Wait::Call { .. } | Wait::Hidden => None,
        Wait::Stopped | Wait::Traced => Some(Vec::new()),
        Wait::Open { path: None, .. } => None,
        Wait::Open { .. } => Some(snapshot.openers(process, thread)),
        Wait::Pipes(wait) if wait.others > 0 || ends_by_itself(&wait.limit) => None,
        Wait::Pipes(wait) => {
            let needs = wait.needs.iter();
            let partners = needs.flat_map(|need| snapshot.partners(need.pipe, need.access));
            let pids: BTreeSet<u32> = partners.map(|(pid, _)| pid).collect();
            // The kernel knows a partner, or the wait would be over; this user does not see it.
            (!pids.is_empty()).then(|| pids.into_iter().collect())
        }
        Wait::Child { pid, .. } => {
            let children = snapshot.children(process.pid, *pid);
            (!children.is_empty()).then_some(children)
        }
        Wait::Thread { limit } if ends_by_itself(limit) || process.threads.len() == 1 => None,
        Wait::Thread { .. } => Some(vec![process.pid]),
        Wait::Signal { limit, .. } => (!ends_by_itself(limit)).then(Vec::new),
        Wait::Sleep { length } => length.is_some_and(|length| length > LONG).then(Vec::new),
    }
}

/// The shortest way along the edges from a process back to itself.
fn circle(start: u32, edges: &BTreeMap<u32, BTreeSet<u32>>) -> Option<Vec<u32>> {
    // The process before each one that was reached.
    let (mut before, mut due) = (BTreeMap::new(), VecDeque::from([start]));
    while let Some(pid) = due.pop_front() {
        for next in edges.get(&pid).into_iter().flatten() {
            if *next == start {
                let mut circle: Vec<u32> = successors(Some(pid), |pid| before.get(pid).copied()).collect();
                circle.reverse();
                return Some(circle);
            }
            if let Entry::Vacant(way) = before.entry(*next) {
                way.insert(pid);
                due.push_back(*next);
            }
        }
    }
    None
}
