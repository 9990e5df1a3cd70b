//! The timeline as JSON, and its events as JSON lines. Events are named by their numbers.

use pipe_watch::event::{Event, Header};
use pipe_watch::timeline::Timeline;
use serde_json::{Value, json};

/// The timeline: everything, folded and unfolded.
pub(super) fn timeline(timeline: &Timeline) -> String {
    let seq = |event: usize| timeline.events[event].seq;
    let some = |event: Option<usize>| event.map(seq);
    let lane = |lane: usize| timeline.lanes[lane].title.as_str();
    let pipe = |pipe: usize| timeline.pipes[pipe].label.as_str();
    let lanes = timeline.lanes.iter().map(|lane| {
        json!({
            "title": lane.title, "pid": lane.pid, "names": lane.names,
            "first": seq(lane.first), "last": seq(lane.last),
            "fork": some(lane.fork), "exit": some(lane.exit), "reaped": some(lane.reaped),
        })
    });
    let pipes = timeline.pipes.iter().map(|pipe| {
        let hold = |hold: &pipe_watch::timeline::Hold| {
            json!({
                "process": lane(hold.lane), "fd": hold.fd, "access": hold.access,
                "from": seq(hold.from), "to": some(hold.to),
            })
        };
        json!({
            "label": pipe.label, "id": pipe.key, "names": pipe.names, "first": seq(pipe.first),
            "made": some(pipe.made), "unlinked": some(pipe.unlinked), "last_close": some(pipe.last_close),
            "bytes_in": pipe.bytes_in, "bytes_out": pipe.bytes_out, "left": pipe.left,
            "ends": pipe.holds.iter().map(hold).collect::<Vec<_>>(),
        })
    });
    let arrows = timeline.arrows.iter().map(|arrow| {
        let late = timeline.events[arrow.to].end_ns().saturating_sub(timeline.events[arrow.from].ns);
        json!({
            "from": seq(arrow.from), "to": seq(arrow.to), "pipe": pipe(arrow.pipe), "bytes": arrow.bytes,
            "late_ns": late,
        })
    });
    let waits = timeline.waits.iter().map(|wait| {
        json!({
            "event": seq(wait.event), "took_ns": wait.took, "pipe": wait.pipe.map(pipe),
            "ended_by": some(wait.ended_by),
        })
    });
    let folds = timeline.folds.iter().map(|fold| {
        let events: Vec<u64> = fold.events.iter().map(|event| seq(*event)).collect();
        json!({ "process": lane(fold.lane), "times": fold.times, "period": fold.period, "events": events })
    });
    let whole: Value = json!({
        "format": "pipe-timeline", "version": 1,
        "processes": lanes.collect::<Vec<_>>(), "pipes": pipes.collect::<Vec<_>>(),
        "arrows": arrows.collect::<Vec<_>>(), "waits": waits.collect::<Vec<_>>(),
        "floods": folds.collect::<Vec<_>>(), "events": timeline.events,
    });
    whole.to_string() + "\n"
}

/// The file that `--from` reads.
pub(super) fn lines(header: &Header, events: &[Event]) -> String {
    let mut text = serde_json::to_string(header).expect("a header is plain data") + "\n";
    for event in events {
        text += &serde_json::to_string(event).expect("an event is plain data");
        text.push('\n');
    }
    text
}
