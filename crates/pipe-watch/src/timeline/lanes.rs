//! Lanes: the processes, from birth to the parent's wait.

use std::collections::HashMap;

use super::names;
use crate::event::{Call, Event};
use crate::look::printable;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The PID. The kernel gives the PID of a process that is gone to another one; each has its own lane.
    pub pid: u32,
    /// What it is called in pictures: no other lane has this name.
    pub title: String,
    /// The names of its programs, and its roles, in order.
    pub names: Vec<String>,
    /// Its first event, or the fork that made it.
    pub first: usize,
    /// Its last event.
    pub last: usize,
    /// The fork that made it; `None` if that was not seen.
    pub fork: Option<usize>,
    /// Its end.
    pub exit: Option<usize>,
    /// The parent's wait that reaped it. It is a zombie between both.
    pub reaped: Option<usize>,
}

/// Finds the lanes, and the lane of each event.
pub(super) fn of(events: &[Event], began: &[usize], ended: &[usize]) -> (Vec<Lane>, Vec<usize>) {
    let mut lanes: Vec<Lane> = Vec::new();
    let mut of_pid: HashMap<u32, usize> = HashMap::new();
    let mut lane_of = Vec::with_capacity(events.len());
    // A wait reaps when it ends: until then the child has its PID.
    let mut reaps: Vec<(usize, u32, usize)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        reaps.retain(|(end, child, wait)| {
            let is_over = *end < began[at];
            if is_over {
                reap(&mut lanes, &mut of_pid, *child, *wait);
            }
            !is_over
        });
        let own = match of_pid.get(&event.pid) {
            Some(lane) => *lane,
            None => begin(&mut lanes, &mut of_pid, event.pid, at, None),
        };
        lane_of.push(own);
        lanes[own].last = at;
        if let Some(who) = &event.who {
            add_name(&mut lanes[own], who);
        }
        match (event.call, event.peer) {
            (Call::Fork, Some(child)) => {
                // The child's first event may be older: both processes run.
                let known = of_pid.get(&child).copied().filter(|lane| {
                    lanes[*lane].fork.is_none() && lanes[*lane].exit.is_none() && *lane != own
                });
                match known {
                    Some(lane) => lanes[lane].fork = Some(at),
                    None => drop(begin(&mut lanes, &mut of_pid, child, at, Some(at))),
                }
            }
            (Call::Exec, _) => {
                if let Some(program) = event.path.as_deref().filter(|_| event.who.is_none()) {
                    add_name(&mut lanes[own], program.rsplit('/').next().unwrap_or(program));
                }
            }
            (Call::Exit, _) => lanes[own].exit = Some(at),
            (Call::Wait, Some(child)) if event.errno.is_none() => reaps.push((ended[at], child, at)),
            _ => {}
        }
    }
    reaps.into_iter().for_each(|(_, child, wait)| reap(&mut lanes, &mut of_pid, child, wait));
    names::give_titles(&mut lanes, &lane_of);
    (lanes, lane_of)
}

fn begin(
    lanes: &mut Vec<Lane>,
    of_pid: &mut HashMap<u32, usize>,
    pid: u32,
    at: usize,
    fork: Option<usize>,
) -> usize {
    lanes.push(Lane {
        pid,
        title: String::new(),
        names: Vec::new(),
        first: at,
        last: at,
        fork,
        exit: None,
        reaped: None,
    });
    of_pid.insert(pid, lanes.len() - 1);
    lanes.len() - 1
}

fn reap(lanes: &mut [Lane], of_pid: &mut HashMap<u32, usize>, child: u32, wait: usize) {
    if let Some(lane) = of_pid.remove(&child) {
        lanes[lane].reaped = Some(wait);
    }
}

fn add_name(lane: &mut Lane, name: &str) {
    let name = printable(name);
    if lane.names.last() != Some(&name) {
        lane.names.push(name);
    }
}
