//! Waits: calls that could not go on at once, and the event that let them.

use super::{Hold, Timeline};
use crate::event::{Call, Event, Source};
use crate::look::Access;

/// A call that may wait, and takes that long, has waited.
const LONG_NS: u64 = 1_000_000;
/// An open that takes that long has waited for a process that is not in the trace.
const UNSEEN_NS: u64 = 100_000_000;

/// A call that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The event.
    pub event: usize,
    /// How long it took, until the end of its process if it did not return; `None` if it still waited when
    /// the trace ended.
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
    if the.source == Source::Program && the.call != Call::Poll {
        return own_wait(timeline, event);
    }
    if !can_wait(the) {
        return None;
    }
    let has_returned = the.took.is_some() || the.ret.is_some() || the.errno.is_some();
    if !has_returned {
        // The end of its process ends the call.
        let exit = timeline.lanes[timeline.lane_of[event]].exit.filter(|exit| *exit > event);
        let took = exit.map(|exit| timeline.events[exit].ns.saturating_sub(the.ns));
        let pipe = timeline.pipe_of[event];
        return (the.source == Source::Trace).then_some(Wait { event, took, pipe, ended_by: exit });
    }
    let ended_by = ender(timeline, event).filter(|_| must_wait(timeline, event));
    let long = match the.call {
        Call::Open => UNSEEN_NS,
        _ => LONG_NS,
    };
    let is_long = the.took.is_some_and(|took| took >= long) && must_wait(timeline, event);
    let pipe = timeline.pipe_of[event].or_else(|| timeline.pipe_of[ended_by?]);
    (ended_by.is_some() || is_long).then_some(Wait { event, took: the.took, pipe, ended_by })
}

/// The wait of a program's own event that took time: for what its next event is about.
fn own_wait(timeline: &Timeline, event: usize) -> Option<Wait> {
    let took = timeline.events[event].took.filter(|took| *took > 0)?;
    let lane = timeline.lane_of[event];
    let next = (event + 1..timeline.events.len()).find(|next| timeline.lane_of[*next] == lane)?;
    let pipe = timeline.pipe_of[next];
    let makes =
        |other: &usize| timeline.events[*other].call == Call::Mkfifo && timeline.pipe_of[*other] == pipe;
    let sender = timeline.arrows_to(next).map(|arrow| arrow.from).filter(|from| *from > event).min();
    let ended_by = sender.or_else(|| (event + 1..next).find(makes));
    (ended_by.is_some() || took >= LONG_NS).then_some(Wait { event, took: Some(took), pipe, ended_by })
}

/// Whether the pipe, as it was when the call began, lets the call wait: a write needs a pipe without room,
/// and an open one without the other end.
fn must_wait(timeline: &Timeline, event: usize) -> bool {
    let the = &timeline.events[event];
    match the.call {
        Call::Write => timeline.is_full.contains(&event),
        Call::Open => {
            let access = the.access.unwrap_or(Access::Read);
            let holds = timeline.pipe_of[event].map_or(&[][..], |pipe| &timeline.pipes[pipe].holds);
            let is_open = |hold: &Hold| hold.from < event && hold.to.is_none_or(|to| to > event);
            access != Access::Both
                && !holds.iter().any(|hold| is_open(hold) && is_other_end(access, hold.access))
        }
        _ => true,
    }
}

/// Whether an open of the first kind waits for one of the second.
fn is_other_end(access: Access, other: Access) -> bool {
    if access == Access::Read { other.writes() } else { other.reads() }
}

/// Whether the call may wait.
fn can_wait(event: &Event) -> bool {
    let may =
        matches!(event.call, Call::Open | Call::Read | Call::Write | Call::Splice | Call::Poll | Call::Wait);
    may && !event.nonblocking
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
    let is_partial = the.call == Call::Write
        && the.ret.zip(the.asked).is_some_and(|(ret, asked)| ret.unsigned_abs() < asked);
    if the.errno.as_deref() == Some("EINTR") || is_partial {
        // The kernel interrupts the call, and delivers the signal then.
        let own = |other: &usize| timeline.lane_of[*other] == timeline.lane_of[event];
        let next = (until..timeline.events.len()).find(own);
        let signal =
            others.filter(own).chain(next).find(|other| timeline.events[*other].call == Call::Signal);
        if signal.is_some() || !is_partial {
            return signal;
        }
    }
    let at_pipe = |other: &usize| pipe.is_some() && timeline.pipe_of[*other] == pipe;
    match the.call {
        Call::Open => {
            let access = the.access.unwrap_or(Access::Read);
            let fits = |other: &Event| {
                let opens = other.access.is_some_and(|other| is_other_end(access, other));
                other.call == Call::Open && other.errno.is_none() && opens
            };
            // The first of them, and the others are in reverse order.
            of_others.rfind(|other| at_pipe(other) && fits(&timeline.events[*other]))
        }
        Call::Read | Call::Splice if the.ret == Some(0) => {
            of_others.find(|other| closes(timeline, *other, pipe, Access::writes))
        }
        Call::Read | Call::Splice => timeline.arrows_to(event).map(|arrow| arrow.from).filter(during).min(),
        Call::Write if the.errno.as_deref() == Some("EPIPE") => {
            of_others.find(|other| closes(timeline, *other, pipe, Access::reads))
        }
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
            (is_ours && acts) || pipe.is_some() && closes(timeline, *other, pipe, Access::writes)
        }),
        _ => None,
    }
}

/// Whether the event closed an end of this pipe of this kind.
fn closes(timeline: &Timeline, event: usize, pipe: Option<usize>, is_kind: fn(Access) -> bool) -> bool {
    let Some(pipe) = pipe else { return false };
    timeline.pipes[pipe].holds.iter().any(|hold| hold.to == Some(event) && is_kind(hold.access))
}

/// Whether the process of this event has an end of the pipe.
fn has(timeline: &Timeline, event: usize, pipe: usize) -> bool {
    let lane = timeline.lane_of[event];
    timeline.pipes[pipe].holds.iter().any(|hold| hold.lane == lane && hold.from < event)
}
