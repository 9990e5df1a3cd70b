//! Why a call waits, or fails: which processes have the other end of its pipe.

use std::collections::BTreeSet;

use super::{Hold, Timeline};
use crate::event::{Call, Event};
use crate::look::Access;

/// The most processes and pipes that a sentence names.
const MOST: usize = 4;

impl Timeline {
    /// Why a call that never returned waits, and why a write found no reader.
    pub fn cause(&self, event: usize) -> Option<String> {
        let the = &self.events[event];
        if the.errno.as_deref() == Some("EPIPE") {
            let holds = &self.pipes[self.pipe_of[event]?].holds;
            let closes = holds.iter().filter(|hold| hold.access.reads()).filter_map(|hold| hold.to);
            let last = closes.filter(|close| self.began[*close] < self.ended[event]).max()?;
            return Some(format!("no reader since #{}", self.events[last].seq));
        }
        let end = self.stuck_until(event)?;
        let lane = self.lane_of[event];
        let words = match the.call {
            Call::Open => {
                let access = the.access.unwrap_or(Access::Read);
                let other = if access == Access::Read { "a writer" } else { "a reader" };
                let name = match (self.pipe_of[event], the.path.as_deref()) {
                    (Some(pipe), _) => self.pipes[pipe].label.clone(),
                    (None, path) => super::short_name(path.unwrap_or("a pipe")),
                };
                let has = match self.pipe_of[event].map(|pipe| self.holders(pipe, end, lane, |_| true)) {
                    Some(holders) if !holders.is_empty() => format!("it is open in {holders}"),
                    _ => "no process has it open".to_owned(),
                };
                format!("waits for {other} of {name}; {has}")
            }
            Call::Read | Call::Splice => format!("reads {}", self.other_end(event, Access::Read, end)?),
            Call::Write => format!("writes {}", self.other_end(event, Access::Write, end)?),
            Call::Wait => {
                let children = self.children(event, end);
                let titles: Vec<&str> =
                    children.iter().take(MOST).map(|child| self.lanes[*child].title.as_str()).collect();
                match titles.as_slice() {
                    [] => "waits for a child".to_owned(),
                    [one] => format!("waits for {one}, which has not ended"),
                    all => format!("waits for one of {}, which have not ended", all.join(", ")),
                }
            }
            Call::Poll => {
                let pipes = the.ends.iter().take(MOST).filter_map(|awaited| {
                    let pipe = *self.place_of.get(&awaited.pipe)?;
                    Some(self.end_words(pipe, awaited.access, end, lane))
                });
                let pipes: Vec<String> = pipes.collect();
                let all = if pipes.is_empty() { "a pipe".to_owned() } else { pipes.join(", and ") };
                format!("waits for {all}")
            }
            _ => return None,
        };
        Some(words)
    }

    /// Pairs of processes that wait for each other when the trace ends: each for what only the other can do.
    pub fn deadlocks(&self) -> Vec<(usize, usize)> {
        let waits = self.waits.iter().map(|wait| wait.event).filter(|event| self.is_stuck_at_end(*event));
        let stuck: Vec<(usize, BTreeSet<usize>)> =
            waits.filter_map(|event| Some((self.lane_of[event], self.awaited(event)?))).collect();
        let mut pairs = Vec::new();
        for (at, (one, awaits)) in stuck.iter().enumerate() {
            let is_mutual = |(other, back): &&(usize, BTreeSet<usize>)| {
                one != other && awaits.contains(other) && back.contains(one)
            };
            pairs.extend(stuck[at + 1..].iter().filter(is_mutual).map(|(other, _)| (*one, *other)));
        }
        pairs
    }

    /// The processes that can end this wait at the end of the trace.
    fn awaited(&self, event: usize) -> Option<BTreeSet<usize>> {
        let end = self.stuck_until(event)?;
        let at = |access: Access| {
            let holds = self.pipe_of[event].map_or(&[][..], |pipe| &self.pipes[pipe].holds);
            let open = holds.iter().filter(|hold| is_open(hold, end) && is_other(access, hold.access));
            open.map(|hold| hold.lane).collect()
        };
        Some(match self.events[event].call {
            Call::Read | Call::Splice | Call::Poll => at(Access::Read),
            Call::Write => at(Access::Write),
            Call::Wait => self.children(event, end).into_iter().collect(),
            _ => BTreeSet::new(),
        })
    }

    /// Until which event a call that never returned waited. Processes that are killed together wait until the
    /// first of them ends.
    fn stuck_until(&self, event: usize) -> Option<usize> {
        let wait = self.wait_of(event)?;
        let is_own = |by: usize| self.lane_of[by] == self.lane_of[event];
        let end = match wait.ended_by {
            None if wait.took.is_none() => self.events.len(),
            Some(by) if self.events[by].call == Call::Exit && is_own(by) => by,
            // A signal that ends the program as well, as that of Ctrl-C does.
            Some(by) if self.events[by].call == Call::Signal && is_own(by) && self.is_over(by) => by,
            _ => return None,
        };
        let is_end = |at: &usize| matches!(self.events[*at].call, Call::Exit | Call::Signal);
        Some((event + 1..end).rev().take_while(is_end).last().unwrap_or(end))
    }

    /// Whether the call waited until the trace, or all that was still running, ended.
    pub fn is_stuck_at_end(&self, event: usize) -> bool {
        self.stuck_until(event).is_some_and(|end| self.is_over(end))
    }

    /// Whether processes only end from this event on.
    fn is_over(&self, from: usize) -> bool {
        let is_end = |event: &Event| {
            matches!(event.call, Call::Exit | Call::Signal | Call::Kill | Call::Wait | Call::Close)
        };
        self.events[from..].iter().all(is_end)
    }

    /// The event's pipe, and which processes have its other end.
    fn other_end(&self, event: usize, access: Access, end: usize) -> Option<String> {
        Some(self.end_words(self.pipe_of[event]?, access, end, self.lane_of[event]))
    }

    fn end_words(&self, pipe: usize, access: Access, end: usize, lane: usize) -> String {
        let name = &self.pipes[pipe].label;
        let (full, other) = if access == Access::Write { (", which is full", "read") } else { ("", "write") };
        let holders = self.holders(pipe, end, lane, |other| is_other(access, other));
        match holders.as_str() {
            "" => format!("{name}{full}; no process of the trace has its {other} end open"),
            holders => format!("{name}{full}; its {other} end is open in {holders}"),
        }
    }

    /// The processes that have ends of this kind open, with their file descriptors.
    fn holders(&self, pipe: usize, end: usize, lane: usize, is_kind: impl Fn(Access) -> bool) -> String {
        let holds = self.pipes[pipe].holds.iter();
        let all: Vec<String> = holds
            .filter(|hold| is_open(hold, end) && is_kind(hold.access))
            .map(|hold| {
                let own = if hold.lane == lane { " itself" } else { "" };
                format!("{} (fd {}){own}", self.lanes[hold.lane].title, hold.fd)
            })
            .collect();
        match all.len() {
            count if count > MOST => format!("{}, and {} more", all[..MOST].join(", "), count - MOST),
            _ => all.join(", "),
        }
    }

    /// The children that a wait can reap.
    fn children(&self, event: usize, end: usize) -> Vec<usize> {
        let (the, lane) = (&self.events[event], self.lane_of[event]);
        let is_awaited = |child: &usize| {
            let child = &self.lanes[*child];
            child.fork.is_some_and(|fork| self.lane_of[fork] == lane && fork < end)
                && child.exit.is_none_or(|exit| exit >= end)
                && the.peer.is_none_or(|peer| peer == child.pid)
        };
        (0..self.lanes.len()).filter(is_awaited).collect()
    }
}

/// Whether this end is open just before this event.
fn is_open(hold: &Hold, end: usize) -> bool {
    hold.from < end && hold.to.is_none_or(|to| to >= end)
}

/// Whether a process with the second end can end a wait for the first one.
fn is_other(access: Access, other: Access) -> bool {
    if access == Access::Write { other.reads() } else { other.writes() }
}
