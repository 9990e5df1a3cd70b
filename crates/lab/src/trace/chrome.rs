//! The trace format of Chrome, which <https://ui.perfetto.dev> opens: a slice for each event, and a flow for
//! each arrow.

use std::collections::HashMap;

use pipe_watch::event::Event;
use pipe_watch::timeline::{Timeline, Wait};
use serde_json::{Value, json};

use super::details;
use super::view::{Row, View, word_of};

/// The shortest slice, in nanoseconds. A flow must begin and end inside a slice.
const SHORTEST: u64 = 1_000;

/// The most slices: about 60 MB.
const MOST: usize = 200_000;

/// All events that are shown, floods unfolded: a viewer of traces can zoom.
pub(super) fn file(view: &View<'_>) -> String {
    let timeline = view.timeline;
    let mut all = Vec::new();
    for (order, lane) in view.lanes().into_iter().enumerate() {
        let (pid, name) = (timeline.lanes[lane].pid, &timeline.lanes[lane].title);
        all.push(json!({ "ph": "M", "name": "process_name", "pid": pid, "args": { "name": name } }));
        all.push(
            json!({ "ph": "M", "name": "process_sort_index", "pid": pid, "args": { "sort_index": order } }),
        );
    }
    let took = lengths(timeline);
    let mut timed: Vec<(u64, u8, Value)> = Vec::new();
    let is_shown = |event: usize| view.row_of[event].is_some();
    for event in (0..timeline.events.len()).filter(|event| is_shown(*event)).take(MOST) {
        let the = &timeline.events[event];
        let mut slice = json!({
            "ph": "X", "cat": word_of(the.call), "name": view.words(Row::Event(event)),
            "pid": the.pid, "tid": tid(the), "ts": microseconds(the.ns - timeline.start_ns()),
            "dur": microseconds(took[event]),
            "args": { "event": the.seq, "details": details::facts(view, event).join("; ") },
        });
        if timeline.is_error(event) {
            slice["cname"] = json!("terrible");
        }
        timed.push((the.ns, 0, slice));
    }
    let shown = timeline.arrows.iter().filter(|arrow| is_shown(arrow.from) && is_shown(arrow.to));
    for (id, arrow) in (1..).zip(shown) {
        let (from, to) = (&timeline.events[arrow.from], &timeline.events[arrow.to]);
        let name = &timeline.pipes[arrow.pipe].label;
        // A slice does not contain its own end.
        let arrival = (to.ns + took[arrow.to] - 1).max(from.ns);
        let end = |ph: &str, ns: u64, event: &Event| {
            let mut end = json!({
                "ph": ph, "cat": "bytes", "name": name, "id": id, "pid": event.pid, "tid": tid(event),
                "ts": microseconds(ns - timeline.start_ns()),
            });
            if ph == "f" {
                end["bp"] = json!("e");
            }
            end
        };
        timed.push((from.ns, 1, end("s", from.ns, from)));
        timed.push((arrival, 2, end("f", arrival, to)));
    }
    timed.sort_by_key(|(ns, order, _)| (*ns, *order));
    all.extend(timed.into_iter().map(|(_, _, value)| value));
    json!({ "displayTimeUnit": "ns", "otherData": { "title": view.title }, "traceEvents": all }).to_string()
}

/// How long each slice is: slices of one thread may not overlap. A call that did not return lasts until its
/// process ends, or the trace.
fn lengths(timeline: &Timeline) -> Vec<u64> {
    let events = &timeline.events;
    let end = events.iter().map(Event::end_ns).max().unwrap_or(0);
    let mut next: HashMap<(u32, u32), u64> = HashMap::new();
    let mut lengths = vec![0; events.len()];
    for (at, event) in events.iter().enumerate().rev() {
        let until = |wait: &Wait| wait.took.unwrap_or(end.saturating_sub(event.ns));
        let own = event.took.or_else(|| timeline.wait_of(at).map(until)).unwrap_or(0).max(SHORTEST);
        let room = next.insert((event.pid, tid(event)), event.ns).map(|next| next.saturating_sub(event.ns));
        lengths[at] = own.min(room.unwrap_or(own)).max(1);
    }
    lengths
}

fn tid(event: &Event) -> u32 {
    event.tid.unwrap_or(event.pid)
}

fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}
