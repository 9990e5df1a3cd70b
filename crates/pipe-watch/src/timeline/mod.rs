//! What a list of events says when it is put together: lanes of processes, lives of pipes, arrows from each
//! write to the read that took its bytes, and waits.
//!
//! ```
//! use pipe_watch::event::{Call, Event, PipeKey, Source};
//! use pipe_watch::timeline::Timeline;
//!
//! let pipe = Some(PipeKey { device: 1, inode: 2, generation: 0 });
//! let event = |ns, pid, call| Event::new(0, ns, pid, call, Source::Trace);
//! let write = Event { pipe, ret: Some(5), took: Some(10), ..event(100, 7, Call::Write) };
//! let read = Event { pipe, ret: Some(5), took: Some(90), ..event(50, 8, Call::Read) };
//! let timeline = Timeline::of(vec![write, read]);
//! let arrow = &timeline.arrows[0];
//! let pids = [arrow.from, arrow.to].map(|event| timeline.events[event].pid);
//! assert_eq!((pids, arrow.bytes), ([7, 8], Some(5)));
//! ```
//!
//! All of this is a pure function of the events. Reading order: `lanes`, `pipes`, `arrows`, `waits`, `fold`;
//! then `words`, which says an event in a few words, `read`, for files of events, and `merge`, which joins a
//! trace and the programs' own events.

mod arrows;
mod bytes;
mod causes;
mod fold;
mod lanes;
mod merge;
mod names;
mod pipes;
mod read;
mod waits;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;

use std::collections::{BTreeMap, HashSet};

use crate::event::{Call, Event, PipeKey};

pub use arrows::Arrow;
pub use fold::Fold;
pub use lanes::Lane;
pub use merge::merge;
pub use names::short as short_name;
pub use pipes::{Hold, Pipe};
pub use read::{ReadError, read_events};
pub use waits::Wait;
pub use words::{Piece, duration, grouped, text_of};

/// Events, put together. Places in `events`, `lanes` and `pipes` are how the parts name each other.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// All events, in the order in which they began. Their numbers (`seq`) ascend.
    pub events: Vec<Event>,
    /// The rank of each event's beginning among all beginnings and ends.
    pub began: Vec<usize>,
    /// The rank of each event's end. It is `began`, if the end was not seen or takes no time.
    pub ended: Vec<usize>,
    /// The lane of each event.
    pub lane_of: Vec<usize>,
    /// The processes, in order of birth.
    pub lanes: Vec<Lane>,
    /// The pipe of each event.
    pub pipe_of: Vec<Option<usize>>,
    /// The pipes, in the order in which they were first seen.
    pub pipes: Vec<Pipe>,
    /// The ways of bytes, in the order in which they were read.
    pub arrows: Vec<Arrow>,
    /// The calls that waited, in order.
    pub waits: Vec<Wait>,
    /// The floods of alike calls. No two have an event in common.
    pub folds: Vec<Fold>,
    /// The place of each pipe in `pipes`.
    place_of: BTreeMap<PipeKey, usize>,
    /// The writes that had no room in their pipe when they began.
    is_full: HashSet<usize>,
    /// Places in `arrows`, sorted by the events that wrote.
    by_from: Vec<usize>,
    /// Places in `arrows`, sorted by the events that read.
    by_to: Vec<usize>,
}

impl Timeline {
    /// Puts events together. Events of several sources are sorted by time; they are numbered anew if their
    /// numbers do not ascend then.
    pub fn of(mut events: Vec<Event>) -> Self {
        events.sort_by_key(|event| (event.ns, event.seq));
        if !events.is_sorted_by(|one, next| one.seq < next.seq) {
            (1..).zip(&mut events).for_each(|(seq, event)| event.seq = seq);
        }
        let (began, ended) = ranks(&events);
        let (lanes, lane_of) = lanes::of(&events, &began, &ended);
        let (mut pipes, pipe_of) = pipes::of(&events, &lanes, &lane_of);
        let place_of = (0..).zip(&pipes).map(|(at, pipe)| (pipe.key, at)).collect();
        let (arrows, is_full) = arrows::of(&events, &began, &ended, &place_of, &mut pipes);
        let mut timeline = Self {
            events,
            began,
            ended,
            lane_of,
            lanes,
            pipe_of,
            pipes,
            arrows,
            waits: Vec::new(),
            folds: Vec::new(),
            place_of,
            is_full,
            by_from: Vec::new(),
            by_to: Vec::new(),
        };
        (timeline.by_from, timeline.by_to) =
            (timeline.sorted(|arrow| arrow.from), timeline.sorted(|arrow| arrow.to));
        timeline.waits = waits::of(&timeline);
        timeline.folds = fold::of(&timeline);
        timeline
    }

    /// When the first event began, in nanoseconds; 0 without events.
    pub fn start_ns(&self) -> u64 {
        self.events.first().map_or(0, |event| event.ns)
    }

    /// The place of the event with this number.
    pub fn at(&self, seq: u64) -> Option<usize> {
        self.events.binary_search_by_key(&seq, |event| event.seq).ok()
    }

    /// The ways of the bytes that this event wrote.
    pub fn arrows_from(&self, event: usize) -> impl Iterator<Item = &Arrow> {
        let first = self.by_from.partition_point(|at| self.arrows[*at].from < event);
        self.by_from[first..].iter().map(|at| &self.arrows[*at]).take_while(move |arrow| arrow.from == event)
    }

    /// The ways of the bytes that this event read.
    pub fn arrows_to(&self, event: usize) -> impl Iterator<Item = &Arrow> {
        let first = self.by_to.partition_point(|at| self.arrows[*at].to < event);
        self.by_to[first..].iter().map(|at| &self.arrows[*at]).take_while(move |arrow| arrow.to == event)
    }

    fn sorted(&self, key: impl Fn(&Arrow) -> usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.arrows.len()).collect();
        places.sort_by_key(|at| key(&self.arrows[*at]));
        places
    }

    /// What this event waited for.
    pub fn wait_of(&self, event: usize) -> Option<&Wait> {
        self.waits.binary_search_by_key(&event, |wait| wait.event).ok().map(|at| &self.waits[at])
    }

    /// The pipe that the event's second descriptor is.
    pub fn pipe_to_of(&self, event: usize) -> Option<usize> {
        self.place_of.get(&self.events[event].pipe_to?).copied()
    }

    /// Whether the event went wrong in a way that a reader should see. A call that was not to wait and found
    /// nothing to do, and one that a signal interrupted, did what was asked.
    pub fn is_error(&self, event: usize) -> bool {
        let event = &self.events[event];
        let is_usual = |errno: &str| matches!(errno, "EAGAIN" | "EINTR" | "ECHILD");
        match event.call {
            Call::Exit => event.signal.is_some() || event.ret.is_some_and(|status| status != 0),
            _ => event.errno.as_deref().is_some_and(|errno| !is_usual(errno)),
        }
    }
}

/// Ranks all beginnings and ends by time. At the same instant a beginning comes first: no effect is ranked
/// before its cause.
fn ranks(events: &[Event]) -> (Vec<usize>, Vec<usize>) {
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(events.len() * 2);
    for (at, event) in events.iter().enumerate() {
        moments.push((event.ns, false, at));
        if event.took.is_some_and(|took| took > 0) {
            moments.push((event.end_ns(), true, at));
        }
    }
    moments.sort_unstable();
    let mut began = vec![0; events.len()];
    let mut ended = vec![0; events.len()];
    for (rank, (_, is_end, at)) in moments.into_iter().enumerate() {
        if !is_end {
            began[at] = rank;
        }
        ended[at] = rank;
    }
    (began, ended)
}
