//! The arrows, from each write to the read that took its bytes.

use pipe_watch::timeline::Arrow;

use super::{Svg, colour};
use crate::trace::details;
use crate::trace::escape::xml;

impl Svg<'_> {
    pub(super) fn arrows(&mut self) {
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

    pub(super) fn arrow(&mut self, arrow: &Arrow, y1: f64, y2: f64) {
        let (Some(from), Some(to)) = (self.place(arrow.from), self.place(arrow.to)) else { return };
        let (x1, x2, is_own) = (from.x, to.x, from.lane == to.lane);
        let title = details::of_arrow(self.view, arrow);
        put!(
            self,
            "<g class=\"{}\" data-arrow=\"{y1:.1} {y2:.1}\"><title>{}</title>",
            colour(arrow.pipe),
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
            let (sx, sy) = if x1 < x2 { (x1 + 3.0, y1 + 9.0) } else { (x1 - 9.0, y1) };
            let (tx, ty) = match (x1 < x2, is_waited) {
                (true, _) => (x2 - 9.0, y2),
                (false, true) => (x2 + 5.0, y2),
                (false, false) => (x2 + 3.0, y2 - 9.0),
            };
            let (dx, dy) = (tx - sx, ty - sy);
            let length = dx.hypot(dy).max(1.0);
            let (ux, uy) = (dx / length, dy / length);
            put!(
                self,
                "<path class=\"arrow\" d=\"M{sx:.1} {sy:.1}L{:.1} {:.1}\"/>",
                tx - ux * 6.0,
                ty - uy * 6.0
            );
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
}
