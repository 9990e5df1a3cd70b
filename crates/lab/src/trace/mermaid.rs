//! A sequence diagram for Mermaid. It knows no pipes, therefore an arrow is a message, and all else a note.

use std::fmt::Write;

use pipe_watch::event::Call;

use super::escape::mermaid;
use super::layout::lane_title;
use super::view::{Row, View};

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
    if left_out > 0
        && let (Some(first), Some(last)) = (view.lanes().first(), view.lanes().last())
    {
        let _ = writeln!(text, "    Note over p{first},p{last}: {left_out} later events are not shown");
    }
    text
}

/// A write that was read is an arrow, a fork another one; the rest are notes. A read is an arrow's head.
fn line(view: &View<'_>, event: usize, row: Row) -> Option<String> {
    let timeline = view.timeline;
    let the = &timeline.events[event];
    let lane = timeline.lane_of[event];
    let step = the.step.map(|step| format!(" (step {step})")).unwrap_or_default();
    let words = mermaid(&format!("#{} {}{step}", the.seq, view.words(row)));
    let shown = |other: usize| view.row_of[other].is_some();
    let to = timeline.arrows_from(event).map(|arrow| arrow.to).find(|to| shown(*to));
    if let Some(to) = to.map(|to| timeline.lane_of[to]) {
        return Some(format!("    p{lane}->>p{to}: {words}\n"));
    }
    let comes = timeline.arrows_to(event).any(|arrow| shown(arrow.from));
    if comes && the.call == Call::Read && matches!(row, Row::Event(_)) {
        return None;
    }
    let child = timeline.lanes.iter().position(|lane| lane.fork == Some(event));
    if let Some(child) = child.filter(|child| view.lanes().contains(child)) {
        return Some(format!("    p{lane}-->>p{child}: {words}\n"));
    }
    let waited = view.wait_words(event).map(|waited| mermaid(&format!("; {waited}"))).unwrap_or_default();
    Some(format!("    Note over p{lane}: {words}{waited}\n"))
}
