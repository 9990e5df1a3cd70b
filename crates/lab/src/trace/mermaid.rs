//! A sequence diagram for Mermaid. It knows no pipes, therefore an arrow is a message, and all else a note.

use std::collections::BTreeSet;
use std::fmt::Write;

use pipe_watch::event::Call;

use super::escape::mermaid;
use super::layout::label;
use super::view::{Row, View, lane_title};

/// Mermaid refuses texts of more than 50,000 characters (`maxTextSize`).
const LONGEST: usize = 45_000;

/// The diagram, and how many rows it has no room for.
pub(super) fn file(view: &View<'_>) -> String {
    let timeline = view.timeline;
    let mut text = String::from("sequenceDiagram\n");
    let _ = writeln!(text, "    %% {}", mermaid(&view.title));
    for lane in view.lanes() {
        let _ = writeln!(text, "    participant p{lane} as {}", mermaid(&lane_title(timeline, lane)));
    }
    let mut left_out = view.left_out;
    for (event, row) in view.shown() {
        match line(view, event, row) {
            Some(line) if text.len() + line.len() > LONGEST => left_out += 1,
            Some(line) if left_out == view.left_out => text += &line,
            Some(_) => left_out += 1,
            None => {}
        }
    }
    if let (Some(first), Some(last)) = (view.lanes().first(), view.lanes().last()) {
        let mut note = |words: String| {
            let _ = writeln!(text, "    Note over p{first},p{last}: {}", mermaid(&words));
        };
        if left_out > 0 {
            note(format!("{left_out} later events are not shown"));
        }
        timeline.pipes.iter().filter(|pipe| pipe.left > 0).take(20).for_each(|pipe| note(label(pipe)));
    }
    text
}

/// A write that was read is an arrow to each process that read of it, a fork another one; the rest are notes.
/// A read is an arrow's head, and a note if it waited.
fn line(view: &View<'_>, event: usize, row: Row) -> Option<String> {
    let timeline = view.timeline;
    let the = &timeline.events[event];
    let lane = timeline.lane_of[event];
    let step = the.step.map(|step| format!(" (step {step})")).unwrap_or_default();
    let words = mermaid(&format!("#{} {}{step}", the.seq, view.words(row)));
    let shown = |other: usize| view.row_of[other].is_some();
    let readers = timeline.arrows_from(event).map(|arrow| arrow.to).filter(|to| shown(*to));
    let readers: BTreeSet<usize> = readers.map(|to| timeline.lane_of[to]).collect();
    if !readers.is_empty() {
        return Some(readers.iter().map(|to| format!("    p{lane}->>p{to}: {words}\n")).collect());
    }
    let is_event = matches!(row, Row::Event(_));
    let waited = view.wait_words(event).filter(|_| is_event);
    let comes = timeline.arrows_to(event).any(|arrow| shown(arrow.from));
    if comes && the.call == Call::Read && is_event {
        return waited.map(|waited| {
            format!("    Note over p{lane}: {}\n", mermaid(&format!("#{} read: {waited}", the.seq)))
        });
    }
    let child = timeline.lanes.iter().position(|lane| lane.fork == Some(event));
    if let Some(child) = child.filter(|child| view.lanes().contains(child)) {
        return Some(format!("    p{lane}-->>p{child}: {words}\n"));
    }
    let waited = waited.map(|waited| mermaid(&format!("; {waited}"))).unwrap_or_default();
    Some(format!("    Note over p{lane}: {words}{waited}\n"))
}
