//! Where things stand in the picture.

use pipe_watch::event::Source;
use pipe_watch::timeline::{Pipe, Timeline};

use super::view::{Row, View};

/// The distance of two rows.
pub(super) const ROW: f64 = 26.0;
/// The distance of a row and the end of a wait.
const END: f64 = 14.0;
/// The width of the numbers and the clock.
const GUTTER: f64 = 146.0;
/// The space above the first row.
const TOP: f64 = 138.0;
/// The space below the last row.
const BOTTOM: f64 = 26.0;
/// The distance of a line and the text beside it.
pub(super) const BESIDE: f64 = 15.0;
/// The space between two lanes.
const GAP: f64 = 26.0;
/// The widest text of a lane.
const WIDEST: f64 = 300.0;
/// The least distance of two lines of pipes.
const APART: f64 = 20.0;
/// From how many lanes on a column may have several, one after the other.
const COLUMNS: usize = 8;
/// How much longer the picture becomes by `--time clock`.
const CLOCK: f64 = 1_600.0;

/// The height of a sheet of paper in landscape, in its widths.
const SHEET: f64 = 0.64;

/// The size of the texts, in pixels.
pub(super) const SIZE: f64 = 13.0;
pub(super) const SMALL: f64 = 11.5;

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The heights of the rows.
    pub(super) y: Vec<f64>,
    /// The lanes that are shown.
    pub(super) lanes: Vec<LanePlace>,
    pub(super) pipes: Vec<PipePlace>,
    /// Where the pipes begin.
    pub(super) pipes_x: f64,
    pub(super) bottom: f64,
}

#[derive(Debug)]
pub(super) struct LanePlace {
    pub(super) lane: usize,
    pub(super) x: f64,
    /// The width of its texts, from `x` on.
    pub(super) width: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    /// Until when it is a zombie.
    reaped: f64,
}

#[derive(Debug)]
pub(super) struct PipePlace {
    pub(super) pipe: usize,
    pub(super) x: f64,
    pub(super) from: f64,
    /// Until when it has a name.
    pub(super) named_to: f64,
    pub(super) to: f64,
    /// Whether it existed when the trace ended; `None` if that is not known.
    pub(super) goes_on: Option<bool>,
    label_width: f64,
}

impl Layout {
    pub(super) fn new(view: &View<'_>, by_clock: bool) -> Self {
        let y = heights(view, by_clock);
        let bottom = y.last().map_or(TOP, |last| last + BOTTOM);
        let (lanes, pipes_x) = lanes(view, &y, bottom);
        let pipes = pipes(view, &y, bottom, pipes_x);
        let right = |pipe: &PipePlace| pipe.x + pipe.label_width + 16.0;
        let width = pipes.iter().map(right).fold(pipes_x, f64::max).max(720.0);
        Self { width, height: bottom + 12.0, y, lanes, pipes, pipes_x, bottom }
    }

    /// The picture in parts that fit a sheet of paper: their tops and heights. No row is cut.
    pub(super) fn sheets(&self) -> Vec<(f64, f64)> {
        let longest = self.width * SHEET;
        let (mut sheets, mut top, mut last) = (Vec::new(), 0.0, 0.0);
        for end in self.y.iter().skip(1).map(|y| y - ROW / 2.0).chain([self.height]) {
            if end - top > longest && last > top {
                sheets.push((top, last - top));
                top = last;
            }
            last = end;
        }
        sheets.push((top, last - top));
        sheets
    }

    pub(super) fn lane_of(&self, timeline: &Timeline, event: usize) -> Option<&LanePlace> {
        self.lanes.iter().find(|place| place.lane == timeline.lane_of[event])
    }
}

/// The heights of the rows: by order, or by the clock with a least distance.
fn heights(view: &View<'_>, by_clock: bool) -> Vec<f64> {
    let timeline = view.timeline;
    let ns = |row: &Row| match row {
        Row::Event(event) => timeline.events[*event].ns,
        Row::End(event) => timeline.events[*event].end_ns(),
        Row::Fold(fold) => timeline.events[timeline.folds[*fold].events[0]].ns,
    };
    let times: Vec<u64> = view.rows.iter().map(ns).collect();
    let whole = times.last().zip(times.first()).map_or(1, |(last, first)| last.saturating_sub(*first).max(1));
    let mut y = TOP;
    let mut heights = Vec::with_capacity(times.len());
    for (at, row) in view.rows.iter().enumerate() {
        if at > 0 {
            let after_end = matches!(view.rows[at - 1], Row::End(_));
            let least = if matches!(row, Row::End(_)) || after_end { END } else { ROW };
            let gap = times[at].saturating_sub(times[at - 1]) as f64 / whole as f64;
            y += least.max(if by_clock { gap * CLOCK } else { 0.0 });
        }
        heights.push(y);
    }
    heights
}

/// The places of the lanes, and where the last of them ends. Up to [`COLUMNS`] each lane has a column of its
/// own; of more, a new one takes the column of one that has ended.
fn lanes(view: &View<'_>, y: &[f64], bottom: f64) -> (Vec<LanePlace>, f64) {
    let shown = view.lanes();
    let mut places: Vec<LanePlace> = shown.iter().map(|lane| lane_place(view, *lane, y, bottom)).collect();
    // The width of each column, and where its last lane ends.
    let mut columns: Vec<(f64, f64)> = Vec::new();
    let mut column_of = Vec::new();
    for place in &places {
        let free = columns.iter().position(|(_, end)| end + ROW * 1.5 < place.from);
        let column = free.filter(|_| shown.len() > COLUMNS).unwrap_or(columns.len());
        if column == columns.len() {
            columns.push((0.0, 0.0));
        }
        let (width, end) = &mut columns[column];
        (*width, *end) = (width.max(place.width), place.to.max(place.reaped));
        column_of.push(column);
    }
    let mut x = GUTTER + 12.0;
    let mut xs = Vec::new();
    for (width, _) in &columns {
        xs.push(x);
        x += width + GAP;
    }
    for (place, column) in places.iter_mut().zip(column_of) {
        (place.x, place.width) = (xs[column], columns[column].0);
    }
    (places, x + 6.0)
}

/// The place of a lane, without its column.
fn lane_place(view: &View<'_>, lane: usize, y: &[f64], bottom: f64) -> LanePlace {
    let timeline = view.timeline;
    let the = &timeline.lanes[lane];
    let mut texts = width(&lane_title(timeline, lane), SIZE) * 1.06;
    for (event, row) in view.shown().filter(|(event, _)| timeline.lane_of[*event] == lane) {
        texts = texts.max(width(&view.words(row), SIZE));
        let wait = view.wait_words(event).filter(|_| matches!(row, Row::Event(_)));
        texts = texts.max(wait.map_or(0.0, |wait| width(&wait, SMALL)));
    }
    let rows = |event: usize| view.row_of[event].map(|row| y[row]);
    let ends = |event: usize| view.end_of[event].map(|row| y[row]).or_else(|| rows(event));
    // The fork may be an event that is not shown.
    let mut own = view.shown().map(|(event, _)| event).filter(|event| timeline.lane_of[*event] == lane);
    let from = the.fork.and_then(rows).or_else(|| own.next().and_then(rows)).unwrap_or(TOP);
    let reaped = the.reaped.and_then(ends);
    let is_traced = timeline.events[the.last].source == Source::Trace;
    let to = match (the.exit.and_then(rows), reaped) {
        (Some(exit), _) => exit,
        (None, Some(reaped)) => reaped,
        (None, None) if is_traced && the.exit.is_none() && the.reaped.is_none() => bottom,
        (None, None) => ends(the.last).unwrap_or(bottom),
    };
    let width = texts.min(WIDEST) + BESIDE;
    LanePlace { lane, x: 0.0, width, from, to: to.max(from), reaped: reaped.unwrap_or(0.0) }
}

fn pipes(view: &View<'_>, y: &[f64], bottom: f64, left: f64) -> Vec<PipePlace> {
    let timeline = view.timeline;
    let is_of = |event: usize, pipe: usize| {
        timeline.pipe_of[event] == Some(pipe) || timeline.pipe_to_of(event) == Some(pipe)
    };
    let mut places: Vec<PipePlace> = Vec::new();
    let shown: Vec<usize> = view.shown().map(|(event, _)| event).collect();
    let row = |event: usize| view.row_of[event].map(|row| y[row]);
    // A row that is not shown lies at the next one that is.
    let near = |event: usize| {
        let next = shown.partition_point(|shown| *shown < event);
        row(event).or_else(|| shown.get(next).and_then(|event| row(*event))).unwrap_or(bottom)
    };
    for (at, pipe) in timeline.pipes.iter().enumerate() {
        if !shown.iter().any(|event| is_of(*event, at)) {
            continue;
        }
        let end = pipe.end();
        let (from, to) = (near(pipe.made.unwrap_or(pipe.first)), end.map_or(bottom, near));
        let named_to = if pipe.names.is_empty() { from } else { pipe.unlinked.map_or(to, near).min(to) };
        let label_width = width(&label(pipe), SMALL) + 10.0;
        let is_known = !pipe.holds.is_empty() || end.is_none() || end == pipe.unlinked;
        let goes_on = is_known.then_some(end.is_none());
        let mut place = PipePlace { pipe: at, x: left, from, named_to, to, goes_on, label_width };
        while places.iter().any(|other| collide(&place, other)) {
            place.x += APART;
        }
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

/// A pipe's name, and the bytes that nobody read.
pub(super) fn label(pipe: &Pipe) -> String {
    match pipe.left {
        0 => pipe.label.clone(),
        1 => format!("{}, 1 byte left", pipe.label),
        left => format!("{}, {} bytes left", pipe.label, pipe_watch::timeline::grouped(left)),
    }
}

/// A lane's name and PID.
pub(super) fn lane_title(timeline: &Timeline, lane: usize) -> String {
    let lane = &timeline.lanes[lane];
    if lane.title.ends_with(&lane.pid.to_string()) {
        return lane.title.clone();
    }
    format!("{} · {}", lane.title, lane.pid)
}

/// How wide a text is at most, in common sans-serif fonts.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '(' | ')' | '[' | ']' => {
            0.37
        }
        'f' | 't' | 'r' | '"' | '-' | '/' => 0.45,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '×' => 0.95,
        'A'..='Z' | '0'..='9' | '#' => 0.67,
        c if c.is_ascii() => 0.61,
        _ => 1.0,
    };
    text.chars().map(of).sum::<f64>() * size
}

/// The beginning of a text that fits in this width.
pub(super) fn fit(text: &str, size: f64, widest: f64) -> String {
    if width(text, size) <= widest {
        return text.to_owned();
    }
    let mut fitting = String::new();
    for c in text.chars() {
        if width(&fitting, size) + width("…", size) + width(&c.to_string(), size) > widest {
            break;
        }
        fitting.push(c);
    }
    fitting + "…"
}

pub(super) const WIDEST_TEXT: f64 = WIDEST;
