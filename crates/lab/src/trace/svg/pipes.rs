//! The pipes' lives.

use super::Svg;
use crate::trace::details;
use crate::trace::escape::xml;
use crate::trace::layout::{PipePlace, label};

impl Svg<'_> {
    /// A pipe's life: solid while it has a name.
    pub(super) fn life(&mut self, at: usize) {
        let PipePlace { pipe, x, from, named_to, to, goes_on, .. } = self.layout.pipes[at];
        let the = &self.view.timeline.pipes[pipe];
        let colour = self.colour(pipe);
        put!(
            self,
            "<g class=\"{colour}\"><title>{}</title>",
            xml(&details::of_pipe(self.view.timeline, pipe))
        );
        let to = to.max(from + 4.0);
        if named_to > from {
            put!(
                self,
                "<line class=\"life\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{named_to:.1}\"/>"
            );
        }
        if to > named_to {
            put!(
                self,
                "<line class=\"life nameless\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{to:.1}\"/>",
                named_to.max(from)
            );
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
        put!(
            self,
            "<text class=\"pipe-name {colour}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 9.0,
            from + 4.0,
            xml(&label(the))
        );
        put!(self, "</g>");
    }

    /// A mark on the line of the event's pipe.
    pub(super) fn touch(&mut self, event: usize, y: f64) {
        let pipes = [self.view.timeline.pipe_of[event], self.view.timeline.pipe_to_of(event)];
        for pipe in pipes.into_iter().flatten() {
            if let Some(place) = self.layout.place_of.get(&pipe) {
                let (x, colour) = (self.layout.pipes[*place].x, self.colour(pipe));
                put!(self, "<circle class=\"touch {colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
            }
        }
    }
}
