//! The picture: a lane for each process, arrows from writes to reads, and the lives of the pipes.

use std::fmt::Write;

use pipe_watch::event::Call;
use pipe_watch::timeline::{Arrow, Piece};

use super::details;
use super::escape::xml;
use super::layout::{
    BESIDE, LanePlace, Layout, PipePlace, SIZE, SMALL, WIDEST_TEXT, fit, label, lane_title, width,
};
use super::legend;
use super::view::{Row, View};

const STYLE: &str = include_str!("picture.css");

/// How far below a row's middle no text stands.
const BETWEEN: f64 = 13.0;
/// How many colours pipes have.
const COLOURS: usize = 6;

/// A file of its own.
pub(super) fn file(view: &View<'_>, by_clock: bool) -> String {
    let (picture, _) = picture(view, by_clock, None);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}")
}

/// The element, and its width. With `list`, each event links to that list's item: `#LISTn`.
pub(super) fn picture(view: &View<'_>, by_clock: bool, list: Option<&str>) -> (String, f64) {
    let layout = Layout::new(view, by_clock);
    let mut svg = Svg { view, layout, list, text: String::new() };
    svg.draw();
    (svg.text, svg.layout.width.ceil())
}

struct Svg<'v> {
    view: &'v View<'v>,
    layout: Layout,
    list: Option<&'v str>,
    text: String,
}

/// Appends formatted text, which cannot fail.
macro_rules! put {
    ($to:expr, $($format:tt)+) => { let _ = writeln!($to.text, $($format)+); };
}

impl Svg<'_> {
    fn draw(&mut self) {
        let (width, height) = (self.layout.width.ceil(), self.layout.height.ceil());
        let title = xml(&self.view.title);
        put!(self, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"trace\" role=\"img\" aria-label=\"{title}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">");
        put!(self, "<style>\n{STYLE}</style>");
        put!(self, "<rect width=\"{width}\" height=\"{height}\" fill=\"var(--paper)\"/>");
        let shown = fit(&self.view.title, 23.0, width - 40.0);
        put!(self, "<text class=\"title\" x=\"20\" y=\"36\">{}</text>", xml(&shown));
        self.text += &legend::of(self.view);
        self.rules();
        (0..self.view.rows.len()).for_each(|row| self.wait(row));
        (0..self.layout.lanes.len()).for_each(|place| self.lane(place));
        (0..self.layout.pipes.len()).for_each(|place| self.life(place));
        self.arrows();
        (0..self.view.rows.len()).for_each(|row| self.event(row));
        (0..self.layout.lanes.len()).for_each(|place| self.title(place));
        if let Some(words) = self.view.left_out_words() {
            put!(self, "<text class=\"caption\" x=\"20\" y=\"{:.1}\">{}</text>", self.layout.height - 10.0, xml(&words));
        }
        put!(self, "</svg>");
    }

    /// A fine line for each row, and the captions of the columns.
    fn rules(&mut self) {
        let (from, to, y) = (self.layout.pipes_x, self.layout.width - 20.0, 92.0);
        put!(self, "<text class=\"caption\" x=\"140\" y=\"{y}\" text-anchor=\"end\">event, time</text>");
        put!(self, "<text class=\"caption\" x=\"154\" y=\"{y}\">processes</text>");
        if !self.layout.pipes.is_empty() {
            put!(self, "<text class=\"caption\" x=\"{from:.1}\" y=\"{y}\">pipes</text>");
        }
        for (row, y) in self.view.rows.iter().zip(self.layout.y.clone()) {
            if !matches!(row, Row::End(_)) {
                put!(self, "<line class=\"row\" x1=\"20\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
            }
        }
    }

    fn place(&self, event: usize) -> Option<&LanePlace> {
        self.layout.lane_of(self.view.timeline, event)
    }

    fn y(&self, event: usize) -> Option<f64> {
        self.view.row_of[event].map(|row| self.layout.y[row])
    }

    /// Where a read has its bytes: where its wait ends.
    fn end_y(&self, event: usize) -> Option<f64> {
        self.view.end_of[event].map(|row| self.layout.y[row]).or_else(|| self.y(event))
    }

    /// The shade of a wait. A wait that never ended goes on to the bottom.
    fn wait(&mut self, row: usize) {
        let Row::Event(event) = self.view.rows[row] else { return };
        let Some(wait) = self.view.timeline.wait_of(event) else { return };
        let to = if wait.took.is_some() { self.end_y(event) } else { Some(self.layout.bottom) };
        let (Some(place), Some(from), Some(to)) = (self.place(event), self.y(event), to) else { return };
        let (x, wide, top) = (place.x, place.width + 4.0, from - 11.0);
        put!(self, "<rect class=\"wait\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"4\"/>", to - top);
        put!(self, "<rect class=\"wait-line\" x=\"{:.1}\" y=\"{from:.1}\" width=\"6\" height=\"{:.1}\" rx=\"3\"/>", x - 3.0, to - from);
    }

    fn lane(&mut self, at: usize) {
        let (view, place) = (self.view, &self.layout.lanes[at]);
        let timeline = view.timeline;
        let lane = &timeline.lanes[place.lane];
        let (x, from, to) = (place.x, place.from, place.to);
        let parent = lane.fork.and_then(|fork| Some((self.place(fork)?.x, self.y(fork)?)));
        let begin = match parent {
            Some((parent, y)) => {
                // Between two rows, where no text stands.
                let (y, side) = (y + BETWEEN, if parent < x { 9.0 } else { -9.0 });
                put!(self, "<path class=\"lane\" d=\"M{parent:.1} {:.1}Q{parent:.1} {y:.1} {:.1} {y:.1}H{:.1}Q{x:.1} {y:.1} {x:.1} {:.1}\"/>", y - 9.0, parent + side, x - side, y + 9.0);
                y + 9.0
            }
            None => from - 12.0,
        };
        put!(self, "<line class=\"lane\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{begin:.1}\" y2=\"{to:.1}\"/>");
        let reaped = lane.reaped.and_then(|reaped| {
            let until = match view.end_of[reaped] {
                Some(row) => self.layout.y[row],
                None => self.y(reaped)? + BETWEEN,
            };
            Some((self.place(reaped)?.x, until))
        });
        if let (Some(exit), Some((parent, until))) = (lane.exit.and_then(|exit| self.y(exit)), reaped) {
            put!(self, "<rect class=\"zombie\" x=\"{:.1}\" y=\"{exit:.1}\" width=\"7\" height=\"{:.1}\"><title>a zombie, until its parent waits for it</title></rect>", x - 3.5, (until - exit).max(1.0));
            put!(self, "<line class=\"tie\" x1=\"{x:.1}\" x2=\"{parent:.1}\" y1=\"{until:.1}\" y2=\"{until:.1}\"/>");
            if until - exit > 34.0 {
                put!(self, "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">zombie</text>", x + BESIDE, exit + 21.0);
            }
        } else if let Some((parent, until)) = reaped {
            put!(self, "<line class=\"lane\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{to:.1}\" y2=\"{until:.1}\"/>");
            put!(self, "<line class=\"tie\" x1=\"{x:.1}\" x2=\"{parent:.1}\" y1=\"{until:.1}\" y2=\"{until:.1}\"/>");
        }
        if let Some(exit) = lane.exit.filter(|exit| self.y(*exit).is_some()) {
            let class = if timeline.is_error(exit) { "end error" } else { "end" };
            put!(self, "<path class=\"{class}\" d=\"M{:.1} {to:.1}h16\"/>", x - 8.0);
        }
    }

    fn title(&mut self, at: usize) {
        let place = &self.layout.lanes[at];
        let lane = &self.view.timeline.lanes[place.lane];
        let is_forked = lane.fork.is_some_and(|fork| self.place(fork).is_some() && self.y(fork).is_some());
        let (x, y) = if is_forked { (place.x + BESIDE, place.from + 4.5) } else { (place.x - 4.0, place.from - 18.0) };
        let whole = lane_title(self.view.timeline, place.lane);
        let (name, pid) = whole.rsplit_once(" · ").map_or((whole.as_str(), String::new()), |(name, pid)| {
            (name, format!(" <tspan class=\"pid\">{pid}</tspan>"))
        });
        let name = fit(name, SIZE, WIDEST_TEXT - 60.0);
        put!(self, "<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\">{}{pid}</text>", xml(&name));
    }

    /// A pipe's life: solid while it has a name.
    fn life(&mut self, at: usize) {
        let PipePlace { pipe, x, from, named_to, to, goes_on, .. } = self.layout.pipes[at];
        let the = &self.view.timeline.pipes[pipe];
        let colour = colour(pipe);
        put!(self, "<g class=\"{colour}\"><title>{}</title>", xml(&details::of_pipe(self.view.timeline, pipe)));
        let to = to.max(from + 4.0);
        if named_to > from {
            put!(self, "<line class=\"life\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{named_to:.1}\"/>");
        }
        if to > named_to {
            put!(self, "<line class=\"life nameless\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{to:.1}\"/>", named_to.max(from));
        }
        match goes_on {
            Some(true) => {
                put!(self, "<path class=\"life-end\" d=\"M{:.1} {:.1}l4 5l4 -5\"/>", x - 4.0, to - 4.0);
            }
            Some(false) => {
                put!(self, "<path class=\"life-end\" d=\"M{:.1} {to:.1}h12\"/>", x - 6.0);
            }
            None => {}
        }
        put!(self, "<text class=\"pipe-name {colour}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 9.0, from + 4.0, xml(&label(the)));
        put!(self, "</g>");
    }

    fn arrows(&mut self) {
        let arrows: Vec<&Arrow> = self.view.timeline.arrows.iter().collect();
        let mut drawn: Vec<(usize, usize)> = Vec::new();
        for arrow in arrows {
            let rows = (self.view.row_of[arrow.from], self.view.row_of[arrow.to]);
            let (Some(from), Some(to)) = rows else { continue };
            let is_new = !drawn.iter().rev().take(64).any(|known| *known == (from, to));
            let (Some(y1), Some(y2)) = (self.y(arrow.from), self.end_y(arrow.to)) else { continue };
            // Of two floods that answer each other, the arrows up are left out.
            if is_new && y2 >= y1 {
                drawn.push((from, to));
                self.arrow(arrow, y1, y2);
            }
        }
    }

    fn arrow(&mut self, arrow: &Arrow, y1: f64, y2: f64) {
        let (Some(from), Some(to)) = (self.place(arrow.from), self.place(arrow.to)) else { return };
        let (x1, x2, is_own) = (from.x, to.x, from.lane == to.lane);
        let title = details::of_arrow(self.view, arrow);
        put!(self, "<g class=\"{}\" data-arrow=\"{y1:.1} {y2:.1}\"><title>{}</title>", colour(arrow.pipe), xml(&title));
        if is_own {
            let out = x1 - 14.0;
            put!(self, "<path class=\"arrow\" d=\"M{:.1} {y1:.1}C{out:.1} {y1:.1} {out:.1} {y2:.1} {:.1} {y2:.1}\"/>", x1 - 5.0, x1 - 10.0);
            put!(self, "<path class=\"head\" d=\"M{:.1} {y2:.1}l-8 -4v8z\"/>", x1 - 5.0);
        } else {
            // To the right it begins below its own text; from the right it ends above the reader's.
            let is_waited = self.view.end_of[arrow.to].is_some();
            let (sx, sy) = if x1 < x2 { (x1 + 3.0, y1 + 9.0) } else { (x1 - 9.0, y1) };
            let (tx, ty) = match (x1 < x2, is_waited) {
                (true, _) => (x2 - 9.0, y2),
                (false, true) => (x2 + 5.0, y2),
                (false, false) => (x2 + 3.0, y2 - 9.0),
            };
            let (dx, dy) = (tx - sx, ty - sy);
            let length = dx.hypot(dy).max(1.0);
            let (ux, uy) = (dx / length, dy / length);
            put!(self, "<path class=\"arrow\" d=\"M{sx:.1} {sy:.1}L{:.1} {:.1}\"/>", tx - ux * 6.0, ty - uy * 6.0);
            let (bx, by) = (tx - ux * 10.0, ty - uy * 10.0);
            put!(
                self,
                "<path class=\"head\" d=\"M{tx:.1} {ty:.1}L{:.1} {:.1}L{:.1} {:.1}z\"/>",
                bx - uy * 4.6,
                by + ux * 4.6,
                bx + uy * 4.6,
                by - ux * 4.6
            );
        }
        put!(self, "</g>");
    }

    fn event(&mut self, row: usize) {
        let event = match self.view.rows[row] {
            Row::Event(event) => event,
            Row::Fold(fold) => self.view.timeline.folds[fold].events[0],
            Row::End(_) => return,
        };
        let (Some(place), y) = (self.place(event), self.layout.y[row]) else { return };
        let (x, the) = (place.x, &self.view.timeline.events[event]);
        let is_fold = matches!(self.view.rows[row], Row::Fold(_));
        let error = if self.view.timeline.is_error(event) && !is_fold { " class=\"error\"" } else { "" };
        let seq = the.seq;
        put!(self, "<g id=\"e{seq}\"{error}><title>{}</title>", xml(&details::of_row(self.view, self.view.rows[row])));
        if let Some(list) = self.list {
            put!(self, "<a href=\"#{list}{seq}\">");
        }
        put!(self, "<rect class=\"hit\" x=\"20\" y=\"{:.1}\" width=\"122\" height=\"20\" rx=\"3\"/>", y - 10.0);
        put!(self, "<text class=\"number\" x=\"60\" y=\"{:.1}\" text-anchor=\"end\">#{seq}</text>", y + 4.0);
        put!(self, "<text class=\"clock\" x=\"140\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", y + 4.0, self.view.clock(event));
        let wait = self.view.timeline.wait_of(event).filter(|wait| wait.took.is_none() || self.view.end_of[event].is_some());
        let group = if wait.is_some() && !is_fold { "<g class=\"in-wait\">" } else { "<g>" };
        put!(self, "{group}");
        match the.step.filter(|_| !is_fold) {
            Some(step) => {
                put!(self, "<circle class=\"badge\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8.5\"/><text class=\"step\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{step}</text>", y + 4.0);
            }
            None if is_fold => {
                put!(self, "<rect class=\"dot\" x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"12\" rx=\"2\"/>", x - 5.0, y - 6.0);
            }
            None if the.call == Call::Exit => {}
            None => {
                put!(self, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
            }
        }
        let words = if is_fold { xml(&self.view.words(self.view.rows[row])) } else { self.words(event) };
        put!(self, "<text x=\"{:.1}\" y=\"{:.1}\">{words}</text>", x + BESIDE, y + 4.5);
        if let (Some(waited), true) = (self.view.wait_words(event), wait.is_some() && !is_fold) {
            put!(self, "<text class=\"waited\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + BESIDE, y + 19.0, xml(&fit(&waited, SMALL, WIDEST_TEXT)));
        }
        put!(self, "</g>");
        if self.list.is_some() {
            put!(self, "</a>");
        }
        self.touch(event, y);
        put!(self, "</g>");
    }

    /// The event's words, with each pipe's name in the pipe's colour.
    fn words(&self, event: usize) -> String {
        let pieces = self.view.timeline.words(event);
        let whole = self.view.words(Row::Event(event));
        if width(&whole, SIZE) > WIDEST_TEXT {
            return xml(&fit(&whole, SIZE, WIDEST_TEXT));
        }
        let of = |piece: Piece| match piece {
            Piece::Text(text) => xml(&text),
            Piece::Pipe(pipe) => {
                let label = xml(&self.view.timeline.pipes[pipe].label);
                format!("<tspan class=\"name {}\">{label}</tspan>", colour(pipe))
            }
        };
        pieces.into_iter().map(of).collect()
    }

    /// A mark on the line of the event's pipe.
    fn touch(&mut self, event: usize, y: f64) {
        let pipes = [self.view.timeline.pipe_of[event], self.view.timeline.pipe_to_of(event)];
        for pipe in pipes.into_iter().flatten() {
            if let Some(place) = self.layout.pipes.iter().find(|place| place.pipe == pipe) {
                let (x, colour) = (place.x, colour(pipe));
                put!(self, "<circle class=\"touch {colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
            }
        }
    }
}

/// The class that gives a pipe its colour.
fn colour(pipe: usize) -> String {
    format!("p{}", pipe % COLOURS)
}
