//! The arrows, from each write to the read that took its bytes.

use std::collections::HashSet;

use pipe_watch::timeline::Arrow;

use super::Svg;
use crate::trace::details;
use crate::trace::escape::xml;

impl Svg<'_> {
    /// One arrow between two rows. Two floods that answer each other have one with two heads.
    pub(super) fn arrows(&mut self) {
        let arrows = &self.view.timeline.arrows;
        let rows = |arrow: &Arrow| Some((self.view.row_of[arrow.from]?, self.view.row_of[arrow.to]?));
        let all: HashSet<(usize, usize)> = arrows.iter().filter_map(rows).collect();
        let mut drawn = HashSet::new();
        let mut shown = Vec::new();
        for arrow in arrows {
            let Some((from, to)) = rows(arrow).filter(|rows| drawn.insert(*rows)) else { continue };
            let (Some(y1), Some(y2)) = (self.y(arrow.from), self.end_y(arrow.to)) else { continue };
            // Only the first events of floods stand at their heights: between floods bytes may seem to go up.
            if y2 >= y1 {
                shown.push((arrow, y1, y2, from != to && all.contains(&(to, from))));
            }
        }
        shown.into_iter().for_each(|(arrow, y1, y2, is_double)| self.arrow(arrow, y1, y2, is_double));
    }

    fn arrow(&mut self, arrow: &Arrow, y1: f64, y2: f64, is_double: bool) {
        let (Some(from), Some(to)) = (self.place(arrow.from), self.place(arrow.to)) else { return };
        let (x1, x2, is_own) = (from.x, to.x, from.lane == to.lane);
        let title = details::of_arrow(self.view, arrow);
        put!(
            self,
            "<g class=\"{}\" data-arrow=\"{y1:.1} {y2:.1}\"><title>{}</title>",
            self.colour(arrow.pipe),
            xml(&title)
        );
        if is_own {
            let out = x1 - 14.0;
            put!(
                self,
                "<path class=\"arrow\" d=\"M{:.1} {y1:.1}C{out:.1} {y1:.1} {out:.1} {y2:.1} {:.1} {y2:.1}\"/>",
                x1 - 5.0,
                x1 - 10.0
            );
            put!(self, "<path class=\"head\" d=\"M{:.1} {y2:.1}l-8 -4v8z\"/>", x1 - 5.0);
        } else {
            // To the right it begins below its own text; from the right it ends above the reader's.
            let is_waited = self.view.end_of[arrow.to].is_some();
            let below =
                if self.view.end_of[arrow.from].is_some() { (y2 - y1 - 4.0).clamp(9.0, 23.0) } else { 9.0 };
            let (sx, sy) = if x1 < x2 { (x1 + 3.0, y1 + below) } else { (x1 - 9.0, y1) };
            let (tx, ty) = match (x1 < x2, is_waited) {
                (true, _) => (x2 - 9.0, y2),
                (false, true) => (x2 + 5.0, y2),
                (false, false) => (x2 + 3.0, y2 - 9.0),
            };
            let (dx, dy) = (tx - sx, ty - sy);
            let length = dx.hypot(dy).max(1.0);
            let (ux, uy) = (dx / length, dy / length);
            let (bx, by) = (tx - ux * 6.0, ty - uy * 6.0);
            put!(self, "<path class=\"arrow\" d=\"M{sx:.1} {sy:.1}L{bx:.1} {by:.1}\"/>");
            self.head((tx, ty), (ux, uy));
            if is_double {
                self.head((sx, sy), (-ux, -uy));
            }
        }
        put!(self, "</g>");
    }

    /// An arrow's head at this point, in this direction.
    fn head(&mut self, (x, y): (f64, f64), (ux, uy): (f64, f64)) {
        let (bx, by) = (x - ux * 10.0, y - uy * 10.0);
        let (left, right) = ((bx - uy * 4.6, by + ux * 4.6), (bx + uy * 4.6, by - ux * 4.6));
        put!(
            self,
            "<path class=\"head\" d=\"M{x:.1} {y:.1}L{:.1} {:.1}L{:.1} {:.1}z\"/>",
            left.0,
            left.1,
            right.0,
            right.1
        );
    }
}
