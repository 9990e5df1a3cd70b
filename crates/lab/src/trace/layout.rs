//! Where things stand in the picture.

mod pipes;

use std::collections::HashMap;

use pipe_watch::event::Source;
use pipe_watch::timeline::{Pipe, Timeline};

pub(super) use pipes::{COLOURS, PipePlace};

use super::view::{Row, View, lane_title};

/// The distance of two rows.
pub(super) const ROW: f64 = 26.0;
/// The distance of a row and the end of a wait.
const END: f64 = 14.0;
/// The space between the numbers and the clock, and behind it.
const COLUMN: f64 = 12.0;
/// The space above the first row.
const TOP: f64 = 138.0;
/// The space below the last row.
const BOTTOM: f64 = 26.0;
/// The distance of two lines of the notes.
pub(super) const NOTE: f64 = 18.0;
/// The distance of a line and the text beside it.
pub(super) const BESIDE: f64 = 15.0;
/// The space between two lanes.
const GAP: f64 = 26.0;
/// The widest text of a lane.
const WIDEST: f64 = 300.0;
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
    /// The place in `pipes` of each pipe that is shown.
    pub(super) place_of: HashMap<usize, usize>,
    /// Where the pipes begin.
    pub(super) pipes_x: f64,
    pub(super) bottom: f64,
    /// Where the clock ends.
    pub(super) clock_x: f64,
    /// The lines below the picture.
    pub(super) notes: Vec<String>,
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

impl Layout {
    pub(super) fn new(view: &View<'_>, by_clock: bool) -> Self {
        let y = heights(view, by_clock);
        let bottom = y.last().map_or(TOP, |last| last + BOTTOM);
        let clock_x = clock_x(view);
        let (lanes, pipes_x) = lanes(view, &y, bottom, clock_x + COLUMN);
        let pipes = pipes::of(view, &y, bottom, pipes_x);
        let right = |pipe: &PipePlace| pipe.x + pipe.label_width + 16.0;
        let width = pipes.iter().map(right).fold(pipes_x, f64::max).max(720.0);
        let notes: Vec<String> =
            view.notes().iter().flat_map(|note| wrapped(note, SIZE, width - 40.0)).collect();
        let height = bottom + 12.0 + NOTE * notes.len() as f64;
        let place_of = pipes.iter().enumerate().map(|(at, place)| (place.pipe, at)).collect();
        Self { width, height, y, lanes, pipes, place_of, pipes_x, bottom, clock_x, notes }
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

/// Where the clock ends: behind the longest number and the longest clock.
fn clock_x(view: &View<'_>) -> f64 {
    let widest = |text: &dyn Fn(usize) -> String| {
        view.shown().map(|(event, _)| width(&text(event), SMALL)).fold(0.0, f64::max)
    };
    let number = widest(&|event| format!("#{}", view.timeline.events[event].seq));
    (20.0 + number + COLUMN + widest(&|event| view.clock(event))).max(128.0)
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
            // The words of a wait need a row.
            let is_short =
                matches!((row, view.rows[at - 1]), (Row::End(end), Row::Event(event)) if *end == event);
            let is_end = matches!(row, Row::End(_)) || after_end;
            let least = if is_end && !is_short { END } else { ROW };
            let gap = times[at].saturating_sub(times[at - 1]) as f64 / whole as f64;
            y += least.max(if by_clock { gap * CLOCK } else { 0.0 });
        }
        heights.push(y);
    }
    heights
}

/// The places of the lanes, and where the last of them ends. Up to [`COLUMNS`] each lane has a column of its
/// own; of more, a new one takes the column of one that has ended.
fn lanes(view: &View<'_>, y: &[f64], bottom: f64, left: f64) -> (Vec<LanePlace>, f64) {
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
    let mut x = left + 6.0;
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

/// A pipe's name, and the bytes that nobody read.
pub(super) fn label(pipe: &Pipe) -> String {
    match pipe.left {
        0 => pipe.label.clone(),
        1 => format!("{}, 1 byte left", pipe.label),
        left => format!("{}, {} bytes left", pipe.label, pipe_watch::timeline::grouped(left)),
    }
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

/// A text in lines that fit in this width, as far as words let them.
fn wrapped(text: &str, size: f64, widest: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => word.clone_into(line),
            Some(line) if width(&format!("{line} {word}"), size) <= widest => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

pub(super) const WIDEST_TEXT: f64 = WIDEST;
