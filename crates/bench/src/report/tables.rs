//! The tables: figures, targets and totals, in rows and columns.

use super::grid::{Grid, Line};
use crate::model::columns::Group;
use crate::model::metrics::{METRICS, Metric, metric_of, number};
use crate::model::placement::Placement;
use crate::model::results::{ColumnInfo, Figure, Ratio, Results, Total, Trial, Verdict};
use crate::model::rows::{Row, place, row, title};
use crate::model::statistics::Summary;
use crate::model::targets;

/// All tables, in the order of measuring.
pub(crate) fn grids(results: &Results) -> Vec<Grid> {
    results.columns.iter().map(|column| grid(results, column)).collect()
}

/// The tables, with those of throughput drawn together to one for each number of clients.
pub(crate) fn short_grids(results: &Results) -> Vec<Grid> {
    let is_throughput = |column: &&ColumnInfo| column.group == Group::Throughput.to_string();
    if results.columns.iter().filter(is_throughput).count() < 2 {
        return grids(results);
    }
    // All throughput columns of one number of clients stand together.
    let clients = |column: &ColumnInfo| column.id.split_once('x').map(|id| id.0.to_owned());
    let together = |one: &ColumnInfo, next: &ColumnInfo| {
        is_throughput(&one) && is_throughput(&next) && clients(one) == clients(next)
    };
    let grid = |columns: &[ColumnInfo]| match columns {
        [column] if !is_throughput(&column) => grid(results, column),
        _ => throughput(results, columns),
    };
    results.columns.chunk_by(together).map(grid).collect()
}

/// The metric that a group of columns is about.
pub(crate) fn first_metric(group: &str) -> &'static str {
    const FIRST: [(Group, &str); 9] = [
        (Group::RoundTrip, "p50"),
        (Group::Throughput, "rate"),
        (Group::Bulk, "gigabytes"),
        (Group::Connects, "connects"),
        (Group::Crowded, "connect-cost"),
        (Group::SecondClient, "wait"),
        (Group::Flood, "beside-p99"),
        (Group::Memory, "memory"),
        (Group::Losses, "lost"),
    ];
    FIRST.iter().find(|(of, _)| of.to_string() == group).map_or("", |found| found.1)
}

fn grid(results: &Results, column: &ColumnInfo) -> Grid {
    let shown: Vec<&Metric> = METRICS.iter().filter(|metric| is_shown(results, column, metric)).collect();
    let first = first_metric(&column.group);
    let mut header = vec!["".into(), "placement".into()];
    header.extend(shown.iter().map(|metric| headline(metric)));
    let has_ratio = |figure: &Figure| figure.metric == first && !figure.ratios.is_empty();
    let compared = results.figures.iter().any(|figure| figure.column == column.id && has_ratio(figure));
    if compared {
        header.push(format!("{} against", metric_of(first).map_or(first, |metric| metric.title)));
    }
    let line = |(placement, name): (Placement, &str)| {
        let figure = |metric: &str| results.figure(&column.id, placement, name, metric);
        let figures = shown.iter().map(|metric| cell(figure(metric.id)));
        let ratios = compared.then(|| figure(first).map(against).unwrap_or_default());
        line(name, [vec![placement.title().into()]].into_iter().chain(figures).chain(ratios))
    };
    let lines = places(results, column).map(line).collect();
    Grid { title: sentence(&column.title), names: 2, header, lines, notes: notes(results, column) }
}

/// A line of a row: its title, and these cells.
fn line(name: &str, rest: impl IntoIterator<Item = Vec<String>>) -> Line {
    let cells = [vec![title(name).into()]].into_iter().chain(rest).collect();
    Line { is_paradigm: row(name).is_some_and(Row::is_paradigm), cells }
}

/// With a column for each number of messages in flight.
fn throughput(results: &Results, columns: &[ColumnInfo]) -> Grid {
    let mut header = vec!["".into(), "placement".into()];
    let window = |column: &ColumnInfo| column.id.split_once('x').map_or(String::new(), |id| id.1.into());
    header.extend(columns.iter().map(|column| format!("{} in flight", window(column))));
    let mut all: Vec<(Placement, &str)> = columns.iter().flat_map(|column| places(results, column)).collect();
    all.sort_by_key(|(placement, name)| (*placement, place(name), *name));
    all.dedup();
    let line = |(placement, name): (Placement, &str)| {
        let rates = columns.iter().map(|column| {
            let figure = results.figure(&column.id, placement, name, "rate");
            [cell(figure), figure.map(against).unwrap_or_default()].concat()
        });
        line(name, [vec![placement.title().into()]].into_iter().chain(rates))
    };
    let lines = all.into_iter().map(line).collect();
    let clients = columns[0].title.split(',').next().unwrap_or_default();
    let mut notes: Vec<String> = columns.iter().flat_map(|column| notes(results, column)).collect();
    notes.dedup();
    Grid { title: format!("Messages a second, {clients}"), names: 2, header, lines, notes }
}

/// The targets; none if nothing of them was measured.
pub(crate) fn targets(results: &Results) -> Option<Grid> {
    let verdicts = &results.targets;
    let wanted = targets::count();
    let reached = verdicts.iter().filter(|verdict| verdict.reached).count();
    let mut notes = vec![format!(
        "{reached} of {} are reached, judged by the median of the ratios, run by run.",
        verdicts.len()
    )];
    if verdicts.len() < wanted {
        notes.push(format!("{} more were not measured; --targets or --full does.", wanted - verdicts.len()));
    }
    (!verdicts.is_empty()).then(|| Grid {
        title: "Targets".into(),
        names: 2,
        header: ["", "placement", "column", "target", "measured", "verdict"].map(String::from).into(),
        lines: verdicts.iter().map(target).collect(),
        notes,
    })
}

fn target(verdict: &Verdict) -> Line {
    let over = if verdict.to.is_empty() { "x alone".into() } else { format!("x {}", verdict.to) };
    let cells = [
        vec![verdict.placement.title().into()],
        vec![verdict.column.clone()],
        vec![verdict.target.clone(), over],
        spread(&verdict.measured),
        verdict.in_words(),
    ];
    line(&verdict.row, cells)
}

/// What each row was asked and answered in all.
pub(crate) fn totals(results: &Results) -> Grid {
    let of_row = |total: &Total| {
        let counts = [total.answered, total.lost, total.wrong, total.failed_trials];
        line(&total.row, counts.map(|count| vec![number(count as f64)]))
    };
    let header = ["", "replies and handshakes checked", "lost", "wrong", "failed trials"];
    Grid {
        title: "Over all trials".into(),
        names: 1,
        header: header.map(String::from).into(),
        lines: results.totals.iter().map(of_row).collect(),
        notes: Vec::new(),
    }
}

/// Where a column has figures, and of whom.
fn places<'a>(results: &'a Results, column: &ColumnInfo) -> impl Iterator<Item = (Placement, &'a str)> {
    column.placements.iter().flat_map(|placement| {
        results.rows_of(&column.id, *placement).into_iter().map(|name| (*placement, name))
    })
}

/// Whether some row has it; of counts, whether some row has more than none.
fn is_shown(results: &Results, column: &ColumnInfo, metric: &Metric) -> bool {
    let of_it = |figure: &&Figure| figure.column == column.id && figure.metric == metric.id;
    let mut figures = results.figures.iter().filter(of_it);
    figures.any(|figure| metric.compared || figure.summary.max > 0.0 || metric.id == "lost")
}

fn headline(metric: &Metric) -> String {
    if metric.unit.is_empty() { metric.title.into() } else { format!("{}, {}", metric.title, metric.unit) }
}

/// The median, and below it the least and the greatest; a wide spread is marked.
fn cell(figure: Option<&Figure>) -> Vec<String> {
    figure.map_or(Vec::new(), |figure| spread(&figure.summary))
}

/// The median; marked, if the runs were too far apart.
fn median(summary: &Summary) -> String {
    format!("{}{}", if summary.wide { "~" } else { "" }, number(summary.median))
}

/// The median of a summary, and below it the least and the greatest of its runs.
fn spread(summary: &Summary) -> Vec<String> {
    let median = median(summary);
    let (min, max) = (number(summary.min), number(summary.max));
    if min == max { vec![median] } else { vec![median, format!("{min}–{max}")] }
}

/// `1.8 x fifo-ping-pong`, for each reference.
fn against(figure: &Figure) -> Vec<String> {
    let one = |ratio: &Ratio| format!("{} x {}", median(&ratio.summary), ratio.to);
    figure.ratios.iter().map(one).collect()
}

fn notes(results: &Results, column: &ColumnInfo) -> Vec<String> {
    let left_out = column.left_out.iter().map(|(name, why)| format!("Without {}: {why}.", title(name)));
    let mut notes: Vec<String> = left_out.collect();
    let failed = |trial: &&Trial| trial.column == column.id && trial.failure.is_some();
    for trial in results.trials.iter().filter(failed) {
        let failure = trial.failure.as_deref().unwrap_or_default();
        notes.push(format!("Failed: {} ({}): {failure}", title(&trial.row), trial.placement.title()));
    }
    notes.dedup();
    notes
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What the marks mean.
pub(crate) const LEGEND: &str = "Each figure is the median of its runs, with the least and the greatest of \
    them; ratios are taken run by run. ~ means that the runs were more than 30 % apart: take it as a hint.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    #[test]
    fn a_grid_has_its_figures_their_spread_and_their_ratios() {
        let grids = grids(&results());
        let round_trip = &grids[0];
        assert_eq!(round_trip.header, ["", "placement", "p50, us", "p99, us", "p50 against"]);
        let basic = &round_trip.lines[0];
        assert_eq!(basic.cells[0], ["basic"]);
        assert_eq!(basic.cells[2], ["22", "20–24"]);
        assert_eq!(basic.cells[4], ["2 x fifo-ping-pong"]);
        assert!(basic.is_paradigm && !round_trip.lines[3].is_paradigm);
    }

    #[test]
    fn counts_of_nothing_are_not_shown_and_losses_are() {
        let grids = grids(&results());
        let losses = grids.last().unwrap();
        assert_eq!(losses.header, ["", "placement", "clients", "served", "lost"]);
    }

    #[test]
    fn targets_say_what_is_reached_and_what_was_not_measured() {
        let mut results = results();
        results.targets = targets::verdicts(&results);
        let grid = super::targets(&results).unwrap();
        assert_eq!(grid.lines[0].cells[3], ["at most 0.1", "x fifo-ping-pong"]);
        assert!(grid.notes[0].starts_with("0 of ") && grid.notes[1].contains("not measured"), "{grid:?}");
        results.targets.clear();
        assert_eq!(super::targets(&results), None);
    }

    #[test]
    fn throughput_is_drawn_together_by_clients() {
        let titles: Vec<String> = short_grids(&results()).into_iter().map(|grid| grid.title).collect();
        assert_eq!(titles[1..3], ["Messages a second, 1 client", "Messages a second, 8 clients"]);
    }
}
