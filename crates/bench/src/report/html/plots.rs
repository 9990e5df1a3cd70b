//! What is drawn: how long replies take, messages by clients, handshakes, memory, waits and losses.

use super::svg::{Bar, Bars, Lines, Series, bars, lines};
use crate::model::columns::Group;
use crate::model::placement::Placement;
use crate::model::results::{Figure, Results};
use crate::model::rows::{ROWS, title};

/// A drawing with what is said of it.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) svg: String,
    pub(crate) says: &'static str,
    /// The rows in it, where lines need to be told apart.
    pub(crate) legend: Vec<String>,
}

/// The drawings that there is data for.
pub(crate) fn plots(results: &Results) -> Vec<Plot> {
    let mut plots: Vec<Plot> =
        [Placement::Free, Placement::SameCore, Placement::DifferentCores, Placement::Busy]
            .into_iter()
            .map(|placement| latency(results, placement))
            .collect();
    plots.push(throughput(results));
    let connects = "More is better. The thin line goes from the least to the greatest of the runs.";
    plots.push(barred(results, Group::Connects, "connects", "/s", "Handshakes a second", connects));
    let waits = "Less is better: whoever serves one client at a time keeps the next one waiting until the first leaves.";
    plots.push(barred(results, Group::SecondClient, "wait", "ms", "The second client's wait", waits));
    let memory = "Less is better. The servers' own pages and page tables, for each idle client.";
    plots.push(barred(results, Group::Memory, "memory", "KiB", "Memory a client", memory));
    let losses = "All should be served.";
    plots.push(barred(
        results,
        Group::Losses,
        "served",
        "served",
        "Who is served of those that knock at one instant",
        losses,
    ));
    plots.retain(|plot| !plot.svg.is_empty());
    plots
}

/// The class that gives a row its colour.
pub(crate) fn class(row: &str) -> String {
    let place = ROWS.iter().position(|one| one.name == row);
    place.map_or_else(|| "other".into(), |place| format!("c{place}"))
}

/// The parts of a distribution that are marked: so far to the right, each nine is as wide as the one before.
const PARTS: [(f64, &str); 5] =
    [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];

fn latency(results: &Results, placement: Placement) -> Plot {
    let column = Group::RoundTrip.to_string();
    let rows = results.rows_of(&column, placement);
    let of_row = |row: &&str| {
        let trials = results
            .trials
            .iter()
            .filter(|trial| trial.column == column && trial.placement == placement && trial.row == **row);
        let points = distribution(trials.flat_map(|trial| trial.histogram.iter().copied()));
        Series { label: title(row).into(), class: class(row), points }
    };
    let series: Vec<Series> = rows.iter().map(of_row).filter(|series| !series.points.is_empty()).collect();
    let chart = Lines {
        x_title: "so many of the replies ...".into(),
        y_title: "... came within (us)".into(),
        marks: PARTS.map(|(part, mark)| (nines(part), mark.into())).into(),
        series,
        dots: false,
    };
    Plot {
        title: format!("Round trip of 64 bytes, {}", placement.title()),
        svg: lines(&chart),
        says: "Lower is better. All runs together; to the right stand the slowest of the replies.",
        legend: rows.into_iter().map(String::from).collect(),
    }
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
fn throughput(results: &Results) -> Plot {
    const WINDOW: &str = "64";
    let clients = |id: &str| -> Option<f64> {
        let (clients, window) = id.strip_prefix("throughput-")?.split_once('x')?;
        (window == WINDOW).then(|| clients.parse().ok()).flatten()
    };
    let columns: Vec<(&str, f64)> = results
        .columns
        .iter()
        .filter_map(|column| Some((column.id.as_str(), clients(&column.id)?)))
        .collect();
    if let [(column, _)] = columns[..] {
        let says = "More is better. One client with 64 messages in flight.";
        return barred_column(results, &[column], "rate", "/s", "Messages a second", says);
    }
    let of_row = |row: &crate::model::rows::Row| {
        let point = |(column, clients): &(&str, f64)| {
            let figure = results.figure(column, Placement::Free, row.name, "rate")?;
            Some((clients.log2(), figure.summary.median))
        };
        let points = columns.iter().filter_map(point).collect();
        Series { label: row.title.into(), class: class(row.name), points }
    };
    let series: Vec<Series> = ROWS.iter().map(of_row).filter(|series| !series.points.is_empty()).collect();
    let with_points = |row: &crate::model::rows::Row| series.iter().any(|one| one.class == class(row.name));
    let legend = ROWS.iter().filter(|row| with_points(row)).map(|row| row.name.into()).collect();
    let chart = Lines {
        x_title: "clients".into(),
        y_title: "messages a second".into(),
        marks: columns.iter().map(|(_, clients)| (clients.log2(), format!("{clients}"))).collect(),
        series,
        dots: true,
    };
    Plot {
        title: format!("Messages a second by clients, {WINDOW} in flight each"),
        svg: lines(&chart),
        says: "Higher is better. Placed freely.",
        legend,
    }
}

fn barred(
    results: &Results,
    group: Group,
    metric: &str,
    unit: &str,
    title: &str,
    says: &'static str,
) -> Plot {
    let of_group = results.columns.iter().filter(|column| column.group == group.to_string());
    let columns: Vec<&str> = of_group.map(|column| column.id.as_str()).collect();
    barred_column(results, &columns, metric, unit, title, says)
}

fn barred_column(
    results: &Results,
    columns: &[&str],
    metric: &str,
    unit: &str,
    title: &str,
    says: &'static str,
) -> Plot {
    let bar = |figure: &Figure| Bar {
        label: crate::model::rows::title(&figure.row).into(),
        class: class(&figure.row),
        value: figure.summary.median,
        min: figure.summary.min,
        max: figure.summary.max,
    };
    let group = |column: &&str| -> Bars {
        let rows = results.rows_of(column, Placement::Free);
        let figures = rows.into_iter().filter_map(|row| results.figure(column, Placement::Free, row, metric));
        let info = results.columns.iter().find(|info| info.id == **column);
        let heading = info.filter(|_| columns.len() > 1).map(|info| info.title.clone()).unwrap_or_default();
        (heading, figures.map(bar).collect())
    };
    let groups: Vec<Bars> = columns.iter().map(group).filter(|group| !group.1.is_empty()).collect();
    Plot { title: title.into(), svg: bars(&groups, unit), says, legend: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::results::samples::results;

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
