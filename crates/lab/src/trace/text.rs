//! The timeline as text, in the voice of the demo.

use pipe_watch::timeline::grouped;

use super::details;
use super::view::{Row, View, lane_title};

/// A line: what stands before the words, and the words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) first: String,
    pub(super) words: String,
}

/// A line for each event, and one for each pipe that is worth a word.
pub(super) fn lines(view: &View<'_>) -> Vec<Line> {
    let timeline = view.timeline;
    let who = view.lanes().into_iter().map(|lane| (lane, name(view, lane)));
    let who: Vec<(usize, String)> = who.collect();
    let widest = who.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
    let has_steps = view.shown().any(|(event, _)| timeline.events[event].step.is_some());
    let mut lines = Vec::new();
    for (event, row) in view.shown() {
        let the = &timeline.events[event];
        let step = the.step.map(|step| format!("step {step}")).unwrap_or_default();
        let step = if has_steps { format!("{step:<8}") } else { String::new() };
        let lane = timeline.lane_of[event];
        let name = who.iter().find(|(of, _)| *of == lane).map_or("", |(_, name)| name.as_str());
        let number = format!("#{}", the.seq);
        let first = format!("{number:>5} {:>11}  {step}{name:<widest$}  ", view.clock(event));
        let mut words = view.words(row);
        if let Row::Event(event) = row {
            words += &more(view, event);
        }
        lines.push(Line { first, words });
    }
    let plain = |words: String| Line { first: String::new(), words };
    lines.extend(view.left_out_words().map(plain));
    lines.extend(view.at_end().into_iter().map(plain));
    for pipe in timeline.pipes.iter().filter(|pipe| pipe.left > 0) {
        lines.push(plain(format!("{} bytes of {} were never read", grouped(pipe.left), pipe.label)));
    }
    for lane in timeline.lanes.iter().filter(|lane| lane.exit.is_some() && lane.reaped.is_none()) {
        let is_child = lane.fork.is_some_and(|fork| timeline.lanes[timeline.lane_of[fork]].exit.is_none());
        if is_child {
            lines
                .push(plain(format!("{} has ended, and no process has waited for it: a zombie", lane.title)));
        }
    }
    lines
}

/// A file of them.
pub(super) fn file(view: &View<'_>) -> String {
    let lines = lines(view).into_iter().map(|line| format!("{}{}\n", line.first, line.words));
    format!("{}\n\n{}", view.title, lines.collect::<String>())
}

fn name(view: &View<'_>, lane: usize) -> String {
    let title = lane_title(view.timeline, lane);
    title.split_once(" · ").map_or(title.clone(), |(name, pid)| format!("{name} [{pid}]"))
}

/// What an event waited for, and where its bytes came from.
fn more(view: &View<'_>, event: usize) -> String {
    let mut more = String::new();
    if let Some(waited) = view.wait_words(event) {
        more += &format!("; {waited}");
    }
    // The last lines have the causes of waits.
    if let Some(cause) = view.timeline.cause(event).filter(|_| view.timeline.wait_of(event).is_none()) {
        more += &format!("; {cause}");
    }
    let arrows = view.timeline.arrows_to(event);
    let from: Vec<String> = arrows.take(4).map(|arrow| details::of_bytes(view, arrow)).collect();
    if !from.is_empty() {
        more += &format!("; {}", from.join(", "));
    }
    more
}
