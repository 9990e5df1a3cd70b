//! What is drawn: how long replies take, messages by clients, handshakes, memory, waits and losses.

use serde::Serialize;

use super::charts::{Bar, Chart, Point, Series};
use crate::model::columns::Group;
use crate::model::placement::Placement;
use crate::model::results::{Figure, Results};
use crate::model::rows::ROWS;

/// A drawing with what is said of it.
#[derive(Debug, Serialize)]
pub(crate) struct Plot {
    title: String,
    says: &'static str,
    chart: Chart,
}

impl Plot {
    fn of(title: impl Into<String>, says: &'static str, chart: Option<Chart>) -> Option<Self> {
        Some(Self { title: title.into(), says, chart: chart? })
    }
}

/// The drawings that there is data for.
pub(crate) fn plots(results: &Results) -> Vec<Plot> {
    let places = [Placement::Free, Placement::SameCore, Placement::DifferentCores, Placement::Busy];
    let latencies = places.into_iter().map(|placement| latency(results, placement));
    let bars = |group: Group, metric, unit| barred(results, &columns_of(results, group), metric, unit);
    let others = [
        throughput(results),
        Plot::of(
            "Handshakes a second",
            "More is better. The thin line goes from the least to the greatest of the runs.",
            bars(Group::Connects, "connects", "/s"),
        ),
        Plot::of(
            "The second client's wait",
            "Less is better: a server with one client at a time keeps the next one waiting until the first \
             leaves.",
            bars(Group::SecondClient, "wait", "ms"),
        ),
        Plot::of(
            "Memory a client",
            "Less is better. The servers' own pages and page tables, for each idle client.",
            bars(Group::Memory, "memory", "KiB"),
        ),
        Plot::of(
            "Who is served of those that knock at one instant",
            "All should be served.",
            bars(Group::Losses, "served", "served"),
        ),
    ];
    latencies.chain(others).flatten().collect()
}

/// A line; none, if there is no point of it.
fn series(row: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Option<Series> {
    let points: Vec<Point> = points.into_iter().map(Point::new).collect();
    (!points.is_empty()).then(|| Series { row: row.into(), points })
}

/// The parts of a distribution that are marked: so far to the right, each nine is as wide as the one before.
const PARTS: [(f64, &str); 5] =
    [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];

fn latency(results: &Results, placement: Placement) -> Option<Plot> {
    let column = Group::RoundTrip.to_string();
    let of_row = |row: &str| {
        let of_it = results
            .trials
            .iter()
            .filter(|one| one.column == column && one.placement == placement && one.row == row);
        series(row, distribution(of_it.flat_map(|trial| trial.outcome.histogram.iter().copied())))
    };
    let rows = results.rows_of(&column, placement).into_iter().filter_map(of_row).collect();
    let marks = PARTS.map(|(part, mark)| (nines(part), mark.into())).into();
    Plot::of(
        format!("Round trip of 64 bytes, {}", placement.title()),
        "Lower is better. All runs together; to the right stand the slowest of the replies.",
        Chart::lines(("so many of the replies ...", "... came within (us)"), marks, rows, false),
    )
}

/// 0 at 0, 1 at 90 %, 2 at 99 %, ...
fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

/// From a histogram in nanoseconds to nines and microseconds.
fn distribution(histogram: impl Iterator<Item = (u64, u64)>) -> Vec<(f64, f64)> {
    let mut histogram: Vec<(u64, u64)> = histogram.collect();
    histogram.sort_unstable();
    let total: u64 = histogram.iter().map(|entry| entry.1).sum();
    let (mut seen, mut points) = (0, Vec::new());
    let end = PARTS[PARTS.len() - 1].0;
    for (nanoseconds, count) in histogram {
        let part = seen as f64 / total as f64;
        if part > end {
            break;
        }
        points.push((nines(part), nanoseconds as f64 / 1e3));
        seen += count;
    }
    points
}

/// By the number of clients, with as many in flight as most columns have.
fn throughput(results: &Results) -> Option<Plot> {
    const WINDOW: &str = "64";
    let clients = |id: &str| -> Option<f64> {
        let (clients, window) = id.strip_prefix("throughput-")?.split_once('x')?;
        (window == WINDOW).then(|| clients.parse().ok()).flatten()
    };
    let with_clients = |id: &'_ str| Some((id.to_owned(), clients(id)?));
    let columns: Vec<_> = results.columns.iter().filter_map(|column| with_clients(&column.id)).collect();
    if let [(column, _)] = &columns[..] {
        let says = "More is better. One client with 64 messages in flight.";
        return Plot::of("Messages a second", says, barred(results, &[column], "rate", "/s"));
    }
    let of_row = |row: &str| {
        let point = |(column, clients): &(String, f64)| {
            Some((clients.log2(), results.figure(column, Placement::Free, row, "rate")?.summary.median))
        };
        series(row, columns.iter().filter_map(point))
    };
    let rows = ROWS.iter().filter_map(|row| of_row(row.name)).collect();
    let marks = columns.iter().map(|(_, clients)| (clients.log2(), clients.to_string())).collect();
    Plot::of(
        format!("Messages a second by clients, {WINDOW} in flight each"),
        "Higher is better. Placed freely.",
        Chart::lines(("clients", "messages a second"), marks, rows, true),
    )
}

fn columns_of(results: &Results, group: Group) -> Vec<&str> {
    let of_group = results.columns.iter().filter(|column| column.group == group.to_string());
    of_group.map(|column| column.id.as_str()).collect()
}

fn barred(results: &Results, columns: &[&str], metric: &str, unit: &'static str) -> Option<Chart> {
    let bar = |figure: &Figure| Bar {
        row: figure.row.clone(),
        value: figure.summary.median,
        min: figure.summary.min,
        max: figure.summary.max,
    };
    let group = |column: &&str| {
        let rows = results.rows_of(column, Placement::Free);
        let figures = rows.into_iter().filter_map(|row| results.figure(column, Placement::Free, row, metric));
        let info = results.columns.iter().find(|info| info.id == **column);
        let heading = info.filter(|_| columns.len() > 1).map(|info| info.title.clone()).unwrap_or_default();
        (heading, figures.map(bar).collect())
    };
    Chart::bars(columns.iter().map(group).filter(|group: &(_, Vec<Bar>)| !group.1.is_empty()).collect(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    #[test]
    fn there_is_a_plot_for_what_was_measured_and_none_for_what_was_not() {
        let titles: Vec<String> = plots(&results()).into_iter().map(|plot| plot.title).collect();
        let expected = [
            "Round trip of 64 bytes, free",
            "Messages a second by clients, 64 in flight each",
            "The second client's wait",
            "Who is served of those that knock at one instant",
        ];
        assert_eq!(titles, expected);
    }

    #[test]
    fn a_distribution_rises_from_the_first_reply_to_the_slowest() {
        let points = distribution([(10_000, 40), (90_000, 1), (20_000, 9)].into_iter());
        assert_eq!(points.len(), 3);
        assert_eq!(points[0], (0.0, 10.0));
        assert!((points[1].0 - nines(0.8)).abs() < 1e-9 && points[2].1 == 90.0);
    }
}
