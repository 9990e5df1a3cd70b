//! One line that explains the signs of the picture: only those that it has.

use std::fmt::Write;

use super::layout::{Layout, width};
use super::view::View;

/// The size of the words.
const SIZE: f64 = 12.0;

pub(super) fn of(view: &View<'_>, layout: &Layout) -> String {
    let timeline = view.timeline;
    let shown = |event: usize| view.row_of[event].is_some();
    let has_arrow = timeline.arrows.iter().any(|arrow| shown(arrow.from) && shown(arrow.to));
    let has_step = view.shown().any(|(event, _)| timeline.events[event].step.is_some());
    let has_wait = timeline.waits.iter().any(|wait| shown(wait.event));
    let has_zombie =
        timeline.lanes.iter().any(|lane| lane.exit.is_some_and(shown) && lane.reaped.is_some_and(shown));
    let has_error = view.shown().any(|(event, _)| timeline.is_error(event));
    let has_exit = timeline.lanes.iter().any(|lane| lane.exit.is_some_and(shown));
    let (mut text, mut x, mut y) = (String::new(), 20.0, 58.0);
    let mut entry = |sign: &str, wide: f64, words: &str| {
        let wide_all = wide + 7.0 + width(words, SIZE);
        if x + wide_all > layout.width - 20.0 {
            (x, y) = (20.0, y + 20.0);
        }
        let _ = writeln!(
            text,
            "<g transform=\"translate({x:.1} {y:.1})\">{sign}\
             <text class=\"caption\" x=\"{:.1}\" y=\"4\">{words}</text></g>",
            wide + 7.0
        );
        x += wide_all + 18.0;
    };
    if has_step {
        entry(
            "<circle class=\"badge\" cx=\"8\" cy=\"0\" r=\"8.5\"/>\
             <text class=\"step\" x=\"8\" y=\"4\" text-anchor=\"middle\">1</text>",
            16.0,
            "step",
        );
    }
    if has_arrow {
        entry(
            "<g class=\"p0\"><path class=\"arrow\" d=\"M0 0H20\"/>\
             <path class=\"head\" d=\"M26 0l-9 -4.4v8.8z\"/></g>",
            26.0,
            "bytes, written and read",
        );
    }
    if has_wait {
        entry(
            "<rect class=\"wait\" x=\"2\" y=\"-8\" width=\"20\" height=\"16\" rx=\"3\"/>\
             <rect class=\"wait-line\" x=\"0\" y=\"-8\" width=\"6\" height=\"16\" rx=\"3\"/>",
            22.0,
            "waits",
        );
    }
    let life = |class: &str, more: &str| {
        format!("<g class=\"p0\"><path class=\"life{class}\" d=\"M2 0H22\"/>{more}</g>")
    };
    if layout.pipes.iter().any(|place| place.named_to > place.from) {
        entry(&life("", ""), 22.0, "pipe with a name");
    }
    if layout.pipes.iter().any(|place| place.to > place.named_to) {
        entry(&life(" nameless", ""), 22.0, "pipe without a name");
    }
    if layout.pipes.iter().any(|place| place.goes_on == Some(false)) {
        entry(&life("", "<path class=\"life-end\" d=\"M22 -6v12\"/>"), 24.0, "its last close");
    }
    if layout.pipes.iter().any(|place| place.goes_on == Some(true)) {
        let sign = "<g class=\"p0\"><path class=\"life-end\" d=\"M0 -2l4 5l4 -5\"/></g>";
        entry(sign, 8.0, "still exists at the end");
    }
    if layout.pipes.iter().any(|place| timeline.pipes[place.pipe].left > 0) {
        entry("", 0.0, "left: bytes never read");
    }
    if has_exit {
        entry("<path class=\"end\" d=\"M0 0h16\"/>", 16.0, "process ends");
    }
    if has_zombie {
        entry("<rect class=\"zombie\" x=\"1\" y=\"-8\" width=\"7\" height=\"16\"/>", 9.0, "zombie");
    }
    if has_error {
        entry(
            "<g class=\"error\"><circle class=\"dot\" cx=\"5\" cy=\"0\" r=\"4.5\"/></g>",
            10.0,
            "red: an error, or killed",
        );
    }
    text
}
