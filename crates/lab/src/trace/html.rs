//! The page: the picture, and a list of its events. It needs no script and no other file.

use std::collections::HashSet;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use serde::Serialize;

use super::view::{Row, View};
use super::{details, svg};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// How items of the list are called: `#t12` is about `#e12` of the picture.
const LIST: &str = "t";

#[derive(Serialize)]
struct Page<'v> {
    title: &'v str,
    style: &'static str,
    picture: String,
    /// The picture's width.
    width: f64,
    /// The tops and heights of its parts on paper.
    sheets: Vec<(f64, f64)>,
    items: Vec<Item<'v>>,
    left_out: Option<String>,
    counts: String,
}

#[derive(Serialize)]
struct Item<'v> {
    seq: u64,
    time: String,
    who: &'v str,
    step: Option<u8>,
    words: String,
    facts: String,
    is_error: bool,
}

pub(super) fn file(view: &View<'_>, by_clock: bool) -> String {
    let (picture, layout) = svg::picture(view, by_clock, Some(LIST));
    let page = Page {
        title: &view.title,
        style: STYLE,
        picture,
        width: layout.width.ceil(),
        sheets: layout.sheets(),
        items: view.shown().map(|(event, row)| item(view, event, row)).collect(),
        left_out: view.left_out_words(),
        counts: counts(view),
    };
    render(&page).unwrap_or_else(|error| panic!("the template of the page is wrong: {error:#}"))
}

fn render(page: &Page<'_>) -> Result<String, minijinja::Error> {
    let mut all = Environment::new();
    all.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // By its name: all that comes from programs is escaped.
    all.add_template("page.html", PAGE)?;
    all.get_template("page.html")?.render(minijinja::value::Serde(page))
}

fn item<'v>(view: &'v View<'_>, event: usize, row: Row) -> Item<'v> {
    let timeline = view.timeline;
    let the = &timeline.events[event];
    let facts = match row {
        Row::Fold(_) => details::of_row(view, row),
        _ => details::facts(view, event)
            .into_iter()
            .skip(1 + usize::from(the.step.is_some()))
            .collect::<Vec<_>>()
            .join(" · "),
    };
    let safe = |text: String| text.chars().map(handshake_core::text::printable).collect::<String>();
    Item {
        seq: the.seq,
        time: view.clock(event),
        who: &timeline.lanes[timeline.lane_of[event]].title,
        step: the.step,
        words: safe(view.words(row)),
        facts: safe(facts),
        is_error: timeline.is_error(event),
    }
}

fn counts(view: &View<'_>) -> String {
    let timeline = view.timeline;
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let end = timeline.events.iter().map(pipe_watch::event::Event::end_ns).max().unwrap_or(0);
    let shown = |event: usize| view.row_of[event].is_some();
    let events: Vec<usize> = (0..timeline.events.len()).filter(|event| shown(*event)).collect();
    let pipes: HashSet<usize> = events
        .iter()
        .flat_map(|event| [timeline.pipe_of[*event], timeline.pipe_to_of(*event)])
        .flatten()
        .collect();
    let arrows = timeline.arrows.iter().filter(|arrow| shown(arrow.from) && shown(arrow.to)).count();
    format!(
        "{} {}, {}, {}, {} in {}.",
        view.source(),
        count(view.lanes().len(), "process", "processes"),
        count(pipes.len(), "pipe", "pipes"),
        count(events.len(), "event", "events"),
        count(arrows, "arrow", "arrows"),
        pipe_watch::timeline::duration(end.saturating_sub(timeline.start_ns())),
    )
}
