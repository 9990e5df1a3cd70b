//! The lanes: waits, lines, forks, ends, zombies and names.

use super::{BETWEEN, Svg};
use crate::trace::escape::xml;
use crate::trace::layout::{BESIDE, SIZE, WIDEST_TEXT, fit};
use crate::trace::view::{Row, lane_title};

impl Svg<'_> {
    /// The shade of a wait. A wait that never ended goes on to the bottom.
    pub(super) fn wait(&mut self, row: usize) {
        let Row::Event(event) = self.view.rows[row] else { return };
        let Some(wait) = self.view.timeline.wait_of(event) else { return };
        let is_over = wait.took.is_some() && self.view.end_of[event].is_some();
        let to = if is_over { self.end_y(event) } else { Some(self.layout.bottom) };
        let (Some(place), Some(from), Some(to)) = (self.place(event), self.y(event), to) else { return };
        let (x, wide, top, lane) = (place.x, place.width + 4.0, from - 11.0, place.lane);
        self.shades.push((lane, top, to));
        put!(
            self,
            "<rect class=\"wait\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"4\"/>",
            to - top
        );
        put!(
            self,
            "<rect class=\"wait-line\" x=\"{:.1}\" y=\"{from:.1}\" width=\"6\" height=\"{:.1}\" rx=\"3\"/>",
            x - 3.0,
            to - from
        );
    }

    pub(super) fn lane(&mut self, at: usize) {
        let (view, place) = (self.view, &self.layout.lanes[at]);
        let timeline = view.timeline;
        let lane = &timeline.lanes[place.lane];
        let (x, from, to) = (place.x, place.from, place.to);
        let parent = lane.fork.and_then(|fork| Some((self.place(fork)?.x, self.y(fork)?)));
        let begin = match parent {
            Some((parent, y)) => {
                // Between two rows, where no text stands.
                let (y, side) = (y + BETWEEN, if parent < x { 9.0 } else { -9.0 });
                put!(
                    self,
                    "<path class=\"lane\" d=\"M{parent:.1} {:.1}Q{parent:.1} {y:.1} {:.1} {y:.1}H{:.1}Q{x:.1} {y:.1} {x:.1} {:.1}\"/>",
                    y - 9.0,
                    parent + side,
                    x - side,
                    y + 9.0
                );
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
            put!(
                self,
                "<rect class=\"zombie\" x=\"{:.1}\" y=\"{exit:.1}\" width=\"7\" height=\"{:.1}\"><title>a zombie, until its parent waits for it</title></rect>",
                x - 3.5,
                (until - exit).max(1.0)
            );
            put!(
                self,
                "<line class=\"tie\" x1=\"{x:.1}\" x2=\"{parent:.1}\" y1=\"{until:.1}\" y2=\"{until:.1}\"/>"
            );
            if until - exit > 34.0 {
                put!(
                    self,
                    "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">zombie</text>",
                    x + BESIDE,
                    exit + 21.0
                );
            }
        } else if let Some((parent, until)) = reaped {
            put!(self, "<line class=\"lane\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{to:.1}\" y2=\"{until:.1}\"/>");
            put!(
                self,
                "<line class=\"tie\" x1=\"{x:.1}\" x2=\"{parent:.1}\" y1=\"{until:.1}\" y2=\"{until:.1}\"/>"
            );
        }
        if let Some(exit) = lane.exit.filter(|exit| self.y(*exit).is_some()) {
            let class = if timeline.is_error(exit) { "end error" } else { "end" };
            put!(self, "<path class=\"{class}\" d=\"M{:.1} {to:.1}h16\"/>", x - 8.0);
        }
    }

    pub(super) fn title(&mut self, at: usize) {
        let place = &self.layout.lanes[at];
        let lane = &self.view.timeline.lanes[place.lane];
        let is_forked = lane.fork.is_some_and(|fork| self.place(fork).is_some() && self.y(fork).is_some());
        let (x, y) =
            if is_forked { (place.x + BESIDE, place.from + 4.5) } else { (place.x - 4.0, place.from - 18.0) };
        let whole = lane_title(self.view.timeline, place.lane);
        let (name, pid) = whole.rsplit_once(" · ").map_or((whole.as_str(), String::new()), |(name, pid)| {
            (name, format!(" <tspan class=\"pid\">{pid}</tspan>"))
        });
        let name = fit(name, SIZE, WIDEST_TEXT - 60.0);
        put!(self, "<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\">{}{pid}</text>", xml(&name));
    }
}
