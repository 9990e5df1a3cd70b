//! The picture: a lane for each process, arrows from writes to reads, and the lives of the pipes.

/// Appends formatted text, which cannot fail.
macro_rules! put {
    ($to:expr, $($format:tt)+) => {{
        use std::fmt::Write as _;
        let _ = writeln!($to.text, $($format)+);
    }};
}

mod arrows;
mod lanes;
mod pipes;

use pipe_watch::event::Call;
use pipe_watch::timeline::Piece;

use super::escape::xml;
use super::layout::{BESIDE, COLOURS, LanePlace, Layout, NOTE, SIZE, SMALL, WIDEST_TEXT, fit, width};
use super::view::{Row, View};
use super::{details, legend};

const STYLE: &str = include_str!("../picture.css");

/// How far below a row's middle no text stands.
const BETWEEN: f64 = 13.0;

/// A file of its own.
pub(super) fn file(view: &View<'_>, by_clock: bool) -> String {
    let (picture, _) = picture(view, by_clock, None);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}")
}

/// The element, and where it is. With `list`, each event links to that list's item: `#LISTn`.
pub(super) fn picture(view: &View<'_>, by_clock: bool, list: Option<&str>) -> (String, Layout) {
    let layout = Layout::new(view, by_clock);
    let mut svg = Svg { view, layout, list, shades: Vec::new(), text: String::new() };
    svg.draw();
    (svg.text, svg.layout)
}

struct Svg<'v> {
    view: &'v View<'v>,
    layout: Layout,
    list: Option<&'v str>,
    /// The lanes of waits, and from where to where they are shaded.
    shades: Vec<(usize, f64, f64)>,
    text: String,
}

impl Svg<'_> {
    fn draw(&mut self) {
        let (width, height) = (self.layout.width.ceil(), self.layout.height.ceil());
        let title = xml(&self.view.title);
        put!(
            self,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"trace\" role=\"img\" aria-label=\"{title}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
        );
        put!(self, "<style>\n{}</style>", with_literals(STYLE));
        put!(self, "<g id=\"picture\" class=\"trace\">");
        put!(self, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
        let shown = fit(&self.view.title, 23.0, width - 40.0);
        put!(self, "<text class=\"title\" x=\"20\" y=\"36\">{}</text>", xml(&shown));
        self.text += &legend::of(self.view, &self.layout);
        self.rules();
        (0..self.view.rows.len()).for_each(|row| self.wait(row));
        (0..self.layout.lanes.len()).for_each(|place| self.lane(place));
        (0..self.layout.pipes.len()).for_each(|place| self.life(place));
        self.arrows();
        (0..self.view.rows.len()).for_each(|row| self.event(row));
        (0..self.layout.lanes.len()).for_each(|place| self.title(place));
        for (line, words) in self.layout.notes.iter().enumerate() {
            let y = self.layout.bottom + NOTE * (line + 1) as f64;
            put!(self, "<text class=\"caption\" x=\"20\" y=\"{y:.1}\">{}</text>", xml(words));
        }
        put!(self, "</g>\n</svg>");
    }

    /// A fine line for each row, and the captions of the columns.
    fn rules(&mut self) {
        let (from, to, y) = (self.layout.pipes_x, self.layout.width - 20.0, 104.0);
        put!(self, "<text class=\"caption\" x=\"20\" y=\"{y}\">event, time</text>");
        put!(
            self,
            "<text class=\"caption\" x=\"{:.1}\" y=\"{y}\">processes</text>",
            self.layout.clock_x + 14.0
        );
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

    /// Whether a wait of the event's process is shaded at this height.
    fn is_shaded(&self, event: usize, y: f64) -> bool {
        let lane = self.view.timeline.lane_of[event];
        self.shades.iter().any(|(of, from, to)| *of == lane && (*from..*to).contains(&y))
    }

    /// The class that gives a pipe its colour; empty if the pipe is not shown.
    fn colour(&self, pipe: usize) -> String {
        let place = self.layout.place_of.get(&pipe);
        place.map(|place| format!("p{}", self.layout.pipes[*place].colour % COLOURS)).unwrap_or_default()
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
        put!(
            self,
            "<g id=\"e{seq}\"{error}><title>{}</title>",
            xml(&details::of_row(self.view, self.view.rows[row]))
        );
        if let Some(list) = self.list {
            put!(self, "<a href=\"#{list}{seq}\">");
        }
        put!(
            self,
            "<rect class=\"tint\" x=\"14\" y=\"{0:.1}\" width=\"{1:.1}\" height=\"20\" rx=\"3\"/><rect class=\"hit\" x=\"18\" y=\"{0:.1}\" width=\"{2:.1}\" height=\"20\" rx=\"3\"/>",
            y - 10.0,
            self.layout.width - 28.0,
            self.layout.clock_x - 14.0
        );
        put!(self, "<text class=\"number\" x=\"20\" y=\"{:.1}\">#{seq}</text>", y + 4.0);
        put!(
            self,
            "<text class=\"clock\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            self.layout.clock_x,
            y + 4.0,
            self.view.clock(event)
        );
        let wait = self.view.timeline.wait_of(event);
        let group = if self.is_shaded(event, y) { "<g class=\"in-wait\">" } else { "<g>" };
        put!(self, "{group}");
        match the.step.filter(|_| !is_fold) {
            Some(step) => {
                put!(
                    self,
                    "<circle class=\"badge\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8.5\"/><text class=\"step\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{step}</text>",
                    y + 4.0
                );
            }
            None if is_fold => {
                put!(
                    self,
                    "<rect class=\"dot\" x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"12\" rx=\"2\"/>",
                    x - 5.0,
                    y - 6.0
                );
            }
            None if the.call == Call::Exit => {}
            None => {
                put!(self, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
            }
        }
        let words = if is_fold { xml(&self.view.words(self.view.rows[row])) } else { self.words(event) };
        put!(self, "<text x=\"{:.1}\" y=\"{:.1}\">{words}</text>", x + BESIDE, y + 4.5);
        if let (Some(waited), true) = (self.view.wait_words(event), wait.is_some() && !is_fold) {
            put!(
                self,
                "<text class=\"waited\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + BESIDE,
                y + 19.0,
                xml(&fit(&waited, SMALL, WIDEST_TEXT))
            );
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
                format!("<tspan class=\"name {}\">{label}</tspan>", self.colour(pipe))
            }
        };
        pieces.into_iter().map(of).collect()
    }
}

/// A style sheet that declares a variable's first value before each declaration with a variable. Programs
/// that know no variables skip the second declaration, and draw in light colours.
fn with_literals(style: &str) -> String {
    let value = |name: &str| {
        let (_, after) = style.split_once(&format!("{name}: "))?;
        after.split_once(';').map(|(value, _)| value)
    };
    let mut text = String::new();
    for part in style.split_inclusive([';', '{', '}']) {
        let declared = part.split_once("var(").and_then(|(property, rest)| {
            let (name, _) = rest.split_once(')')?;
            Some(format!("{property}{};", value(name)?))
        });
        text += &declared.unwrap_or_default();
        text += part;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_know_no_variables_see_colours() {
        let style = with_literals("a { --b: #fff; }\nb { fill: var(--b); x: y }");
        assert_eq!(style, "a { --b: #fff; }\nb { fill: #fff; fill: var(--b); x: y }");
        let style = with_literals(STYLE);
        for part in style.split(['{', '}']) {
            let declared: Vec<&str> = part.split(';').map(str::trim).collect();
            for (at, second) in declared.iter().enumerate().filter(|(_, part)| part.contains("var(")) {
                let (property, _) = second.split_once(':').unwrap();
                assert!(declared[at - 1].starts_with(&format!("{property}: #")), "{second}");
            }
        }
    }
}
