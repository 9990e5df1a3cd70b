//! Floods: the same few calls of one process, many times in a row.

use std::collections::HashMap;

use super::Timeline;
use crate::event::Call;
use crate::look::Access;

/// From that many repetitions on, they are a flood.
const TIMES: usize = 4;
/// The most calls that are repeated together: read, process, write, and what stands between.
const PERIOD: usize = 4;

/// Calls that repeat those just before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The lane.
    pub lane: usize,
    /// The calls, in order: none of them was the first of its kind.
    pub events: Vec<usize>,
    /// How many calls repeat together.
    pub period: usize,
    /// How often the calls were repeated.
    pub times: usize,
}

/// What makes calls alike: the call, its pipe and how it is open, its error, and whether it found nothing.
type Key<'t> = (Call, Option<usize>, Option<Access>, Option<i32>, Option<&'t str>, bool);

/// Finds the floods of each lane. The first occurrence stays outside: it shows what repeats.
pub(super) fn of(timeline: &Timeline) -> Vec<Fold> {
    let mut of_lane: HashMap<usize, Vec<usize>> = HashMap::new();
    for (event, lane) in timeline.lane_of.iter().enumerate() {
        of_lane.entry(*lane).or_default().push(event);
    }
    let mut folds: Vec<Fold> =
        of_lane.into_iter().flat_map(|(lane, events)| of_one(timeline, lane, &events)).collect();
    folds.sort_by_key(|fold| fold.events[0]);
    folds
}

fn of_one(timeline: &Timeline, lane: usize, events: &[usize]) -> Vec<Fold> {
    let keys: Vec<Key<'_>> = events.iter().map(|event| key(timeline, *event)).collect();
    let mut folds = Vec::new();
    let mut at = 0;
    while at < events.len() {
        let found = (1..=PERIOD).find_map(|period| {
            let alike = (at + period..events.len()).take_while(|next| keys[*next] == keys[next - period]);
            let times = alike.count() / period;
            (times + 1 >= TIMES).then_some((period, times))
        });
        let Some((period, times)) = found else {
            at += 1;
            continue;
        };
        let end = at + period * (times + 1);
        let repeated = events[at + period..end].to_vec();
        if !repeated.iter().any(|event| is_kept(timeline.events[*event].call)) {
            folds.push(Fold { lane, events: repeated, period, times });
        }
        at = end;
    }
    folds
}

/// Whether each of these calls is worth a row: it concerns another process, or ends something.
fn is_kept(call: Call) -> bool {
    matches!(
        call,
        Call::Fork | Call::Exec | Call::Exit | Call::Kill | Call::Signal | Call::Wait | Call::Close
    )
}

fn key(timeline: &Timeline, event: usize) -> Key<'_> {
    let the = &timeline.events[event];
    (the.call, timeline.pipe_of[event], the.access, the.fd_to, the.errno.as_deref(), the.ret == Some(0))
}
