//! Waits: calls that could not go on at once, and the event that let them.

use super::Timeline;
use crate::event::{Call, Event, Source};
use crate::look::Access;

/// A call that takes that long has waited, whatever for.
const LONG_NS: u64 = 1_000_000;

/// A call that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The event.
    pub event: usize,
    /// How long it took; `None` if it had not returned when the trace ended.
    pub took: Option<u64>,
    /// The pipe that it waited at, if that is known.
    pub pipe: Option<usize>,
    /// The event that ended it, if that is known.
    pub ended_by: Option<usize>,
}

/// Finds the waits.
pub(super) fn of(timeline: &Timeline) -> Vec<Wait> {
    (0..timeline.events.len()).filter_map(|event| wait(timeline, event)).collect()
}

fn wait(timeline: &Timeline, event: usize) -> Option<Wait> {
    let the = &timeline.events[event];
    if !can_wait(the) {
        return None;
    }
    let has_returned = the.took.is_some() || the.ret.is_some() || the.errno.is_some();
    let ended_by = if has_returned { ender(timeline, event) } else { None };
    let is_long = the.took.is_some_and(|took| took >= LONG_NS);
    let is_wait = ended_by.is_some() || is_long || (!has_returned && the.source == Source::Trace);
    let pipe = timeline.pipe_of[event].or_else(|| timeline.pipe_of[ended_by?]);
    is_wait.then_some(Wait { event, took: the.took, pipe, ended_by })
}

/// Whether the call may wait. Own events take no time, but those that say so.
fn can_wait(event: &Event) -> bool {
    let may =
        matches!(event.call, Call::Open | Call::Read | Call::Write | Call::Splice | Call::Poll | Call::Wait);
    may && !event.nonblocking && (event.source != Source::Program || event.call == Call::Poll)
}

/// The last event that began while the call waited, and that can have ended it.
fn ender(timeline: &Timeline, event: usize) -> Option<usize> {
    let (the, pipe) = (&timeline.events[event], timeline.pipe_of[event]);
    let (from, to) = (timeline.began[event], timeline.ended[event]);
    let during = |other: &usize| timeline.began[*other] > from && timeline.began[*other] < to;
    // Events are in the order in which they began.
    let until = timeline.began.partition_point(|began| *began < to);
    let others = (event + 1..until).rev().filter(during);
    let mut of_others = others.clone().filter(|other| timeline.lane_of[*other] != timeline.lane_of[event]);
    if the.errno.as_deref() == Some("EINTR") {
        // The kernel interrupts the call, and delivers the signal then.
        let own = |other: &usize| timeline.lane_of[*other] == timeline.lane_of[event];
        let next = (until..timeline.events.len()).find(own);
        return others.filter(own).chain(next).find(|other| timeline.events[*other].call == Call::Signal);
    }
    let at_pipe = |other: &usize| pipe.is_some() && timeline.pipe_of[*other] == pipe;
    match the.call {
        Call::Open => {
            let access = the.access.unwrap_or(Access::Read);
            let fits = |other: &Event| {
                let opens = other.access.is_some_and(|other| {
                    if access == Access::Read { other != Access::Read } else { other != Access::Write }
                });
                other.call == Call::Open && other.errno.is_none() && opens
            };
            of_others.find(|other| at_pipe(other) && fits(&timeline.events[*other]))
        }
        Call::Read | Call::Splice if the.ret == Some(0) => {
            of_others.find(|other| closes(timeline, *other, pipe))
        }
        Call::Read | Call::Splice => timeline.arrows_to(event).map(|arrow| arrow.from).filter(during).min(),
        Call::Write => of_others.find(|other| at_pipe(other) && timeline.events[*other].call == Call::Read),
        Call::Wait => of_others.find(|other| {
            let other = &timeline.events[*other];
            other.call == Call::Exit && the.peer.is_none_or(|peer| peer == other.pid)
        }),
        // What made a pipe ready; if it is not known which, one that the process has.
        Call::Poll if the.ret != Some(0) => of_others.find(|other| {
            let one = timeline.pipe_of[*other];
            let is_ours =
                at_pipe(other) || (pipe.is_none() && one.is_some_and(|one| has(timeline, event, one)));
            let acts = matches!(timeline.events[*other].call, Call::Open | Call::Write | Call::Splice);
            (is_ours && acts) || pipe.is_some() && closes(timeline, *other, pipe)
        }),
        _ => None,
    }
}

/// Whether the event closed the last of a process's ends that write into this pipe.
fn closes(timeline: &Timeline, event: usize, pipe: Option<usize>) -> bool {
    let Some(pipe) = pipe else { return false };
    timeline.pipes[pipe].holds.iter().any(|hold| hold.to == Some(event) && hold.access.writes())
}

/// Whether the process of this event has an end of the pipe.
fn has(timeline: &Timeline, event: usize, pipe: usize) -> bool {
    let lane = timeline.lane_of[event];
    timeline.pipes[pipe].holds.iter().any(|hold| hold.lane == lane && hold.from < event)
}
