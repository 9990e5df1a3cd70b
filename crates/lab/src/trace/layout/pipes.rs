//! Where the pipes stand, and their colours.

use std::collections::HashSet;

use super::{SMALL, label, width};
use crate::trace::view::View;

/// How many colours pipes have.
pub(in crate::trace) const COLOURS: usize = 8;

/// The least distance of two lines of pipes.
const APART: f64 = 20.0;

#[derive(Debug)]
pub(in crate::trace) struct PipePlace {
    pub(in crate::trace) pipe: usize,
    pub(in crate::trace) x: f64,
    pub(in crate::trace) from: f64,
    /// Until when it has a name.
    pub(in crate::trace) named_to: f64,
    pub(in crate::trace) to: f64,
    /// Whether it existed when the trace ended; `None` if that is not known.
    pub(in crate::trace) goes_on: Option<bool>,
    pub(in crate::trace) colour: usize,
    pub(super) label_width: f64,
}

/// The places of the pipes that are shown.
pub(super) fn of(view: &View<'_>, y: &[f64], bottom: f64, left: f64) -> Vec<PipePlace> {
    let timeline = view.timeline;
    let mut places: Vec<PipePlace> = Vec::new();
    let shown: Vec<usize> = view.shown().map(|(event, _)| event).collect();
    let used: HashSet<usize> = shown
        .iter()
        .flat_map(|event| [timeline.pipe_of[*event], timeline.pipe_to_of(*event)])
        .flatten()
        .collect();
    let row = |event: usize| view.row_of[event].map(|row| y[row]);
    // A row that is not shown lies at the next one that is.
    let near = |event: usize| {
        let next = shown.partition_point(|shown| *shown < event);
        row(event).or_else(|| shown.get(next).and_then(|event| row(*event))).unwrap_or(bottom)
    };
    for (at, pipe) in timeline.pipes.iter().enumerate() {
        if !used.contains(&at) {
            continue;
        }
        let end = pipe.end();
        let (from, to) = (near(pipe.made.unwrap_or(pipe.first)), end.map_or(bottom, near));
        let named_to = if pipe.names.is_empty() { from } else { pipe.unlinked.map_or(to, near).min(to) };
        let label_width = width(&label(pipe), SMALL) + 10.0;
        let is_known = !pipe.holds.is_empty() || end.is_none() || end == pipe.unlinked;
        let goes_on = is_known.then_some(end.is_none());
        let mut place = PipePlace { pipe: at, x: left, from, named_to, to, goes_on, colour: 0, label_width };
        while places.iter().any(|other| collide(&place, other)) {
            place.x += APART;
        }
        let is_taken = |colour: &usize| {
            places.iter().any(|other| other.colour == *colour && other.to >= place.from - 12.0)
        };
        // The next one, unless a pipe that still exists has it.
        let next = places.len();
        place.colour = (next..next + COLOURS)
            .map(|colour| colour % COLOURS)
            .find(|colour| !is_taken(colour))
            .unwrap_or(next % COLOURS);
        places.push(place);
    }
    places
}

/// Whether two pipes' lines or labels would lie on each other.
fn collide(one: &PipePlace, other: &PipePlace) -> bool {
    let at_once = one.from - 12.0 <= other.to && other.from - 12.0 <= one.to;
    let lines = at_once && (one.x - other.x).abs() < APART;
    let crosses = |line: &PipePlace, label: &PipePlace| {
        let (top, bottom) = (label.from - 12.0, label.from + 12.0);
        let is_beside = line.x > label.x - 4.0 && line.x < label.x + label.label_width + 4.0;
        is_beside && line.from <= bottom && line.to >= top
    };
    let labels = (one.from - other.from).abs() < 18.0
        && one.x < other.x + other.label_width + 6.0
        && other.x < one.x + one.label_width + 6.0;
    lines || crosses(one, other) || crosses(other, one) || labels
}
