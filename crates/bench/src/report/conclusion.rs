//! What the figures mean, in words. The facts are worked out here; the words, and which of them the facts
//! call for, are in templates/conclusion.txt.

use naive::Stage;
use serde::Serialize;
use serde_json::{Value, json};

use super::templates;
use crate::model::columns::{KEPT, counted};
use crate::model::metrics::{Better, metric_of, number};
use crate::model::placement::Placement;
use crate::model::results::{ColumnInfo, Figure, Finding, Results, Total};
use crate::model::rows::{ROWS, Row, row, title};
use crate::model::statistics::Summary;

/// A smaller factor between two medians counts as no difference.
const NOTICEABLE: f64 = 1.15;

/// All that the data can answer.
pub(crate) fn conclude(results: &Results) -> Vec<Finding> {
    let text = templates::render("conclusion.txt", &facts(results));
    let finding = |part: &str| {
        let (question, answer) = part.split_once('\n')?;
        let words: Vec<&str> = answer.split_whitespace().collect();
        Some(Finding { question: question.into(), answer: words.join(" ") })
    };
    text.split("## ").skip(1).filter_map(finding).collect()
}

/// What the template chooses from.
fn facts(results: &Results) -> Value {
    let paradigms: Vec<&Row> = ROWS.iter().filter(|row| row.is_paradigm()).collect();
    let soonest = ranking(results, "round-trip", "p50");
    let serves_many = |name: &str| waits_in_line(results, name) == Some(false);
    let on_one_core_only = |column: &ColumnInfo| !column.placements.contains(&Placement::DifferentCores);
    let round_trip = results.columns.iter().find(|column| column.id == "round-trip");
    json!({
        "of": by_row(results),
        "rows": ROWS,
        "paradigms": paradigms,
        "noticeable": NOTICEABLE,
        "quickest": soonest.iter().find(|one| serves_many(one.name)),
        "soonest": soonest,
        "placed": placed(results),
        "most": most(results),
        "long": ranking(results, "bulk", "gigabytes"),
        "connecting": ranking(results, "connects-8", "connects"),
        "at_once": second_clients(results, false),
        "in_line": second_clients(results, true),
        "kept": KEPT.as_millis(),
        "totals": totals(results),
        "ends": ends(results),
        "warnings": results.machine.warnings(),
        "incomplete": results.incomplete,
        "one_core_only": round_trip.is_some_and(on_one_core_only),
        "runs": results.runs,
        "figures": results.figures.len(),
        "wide": results.figures.iter().filter(|figure| figure.summary.wide).count(),
        "virtual_machine": results.machine.virtual_machine,
    })
}

/// By row, column and metric: what was measured where the kernel places the processes, with its ratio to the
/// first of its references.
fn by_row(results: &Results) -> Value {
    let mut facts = json!({});
    for figure in results.figures.iter().filter(|figure| figure.placement == Placement::Free) {
        let Figure { row, column, metric, summary, ratios, .. } = figure;
        let ratio = ratios.first();
        facts[row][column][metric] = json!({
            "median": summary.median,
            "min": summary.min,
            "max": summary.max,
            "times": ratio.map(|ratio| ratio.summary.median),
            "to": ratio.map(|ratio| title(&ratio.to)),
        });
    }
    facts
}

fn free<'a>(results: &'a Results, column: &str, row: &str, metric: &str) -> Option<&'a Figure> {
    results.figure(column, Placement::Free, row, metric)
}

/// A paradigm in a ranking.
#[derive(Debug, Serialize)]
struct Ranked {
    name: &'static str,
    title: &'static str,
    median: f64,
    /// How many times it is the first one's.
    times: f64,
    /// It cannot be told apart from the first.
    alike: bool,
}

/// The paradigms that have this figure, the best first.
fn ranking(results: &Results, column: &str, metric: &str) -> Vec<Ranked> {
    let paradigms = ROWS.iter().filter(|row| row.is_paradigm());
    let mut ranking: Vec<_> =
        paradigms.filter_map(|row| Some((row, free(results, column, row.name, metric)?.summary))).collect();
    let less = metric_of(metric).is_none_or(|metric| metric.better == Better::Less);
    ranking.sort_by(|one, other| {
        let order = one.1.median.total_cmp(&other.1.median);
        if less { order } else { order.reverse() }
    });
    let Some((_, best)) = ranking.first().copied() else { return Vec::new() };
    let mut alike = true;
    let ranked = |(row, summary): (&'static Row, Summary)| {
        let times = summary.median / best.median;
        // All that follow one that differs count as different, too.
        alike = alike && (summary.overlaps(&best) || times.max(1.0 / times) < NOTICEABLE);
        Ranked { name: row.name, title: row.title, median: summary.median, times, alike }
    };
    ranking.into_iter().map(ranked).collect()
}

/// The round trip of the first paradigm that was kept on one core, and on two; and that of two bare
/// processes.
fn placed(results: &Results) -> Option<Value> {
    let p50 = |row, placement| Some(results.figure("round-trip", placement, row, "p50")?.summary.median);
    let both = |row| Some((p50(row, Placement::SameCore)?, p50(row, Placement::DifferentCores)?));
    let names = ["basic", "forking", "dispatch"];
    let name = names.into_iter().find(|name| p50(name, Placement::SameCore).is_some())?;
    let (same, different) = both(name)?;
    let bare =
        both("fifo-ping-pong").map(|(same, different)| json!({ "same": same, "different": different }));
    Some(json!({ "title": title(name), "same": same, "different": different, "bare": bare }))
}

/// Returns the column with the most clients, 64 in flight each, and the row that leads in it.
fn most(results: &Results) -> Option<Value> {
    let clients = |id: &str| id.strip_prefix("throughput-")?.strip_suffix("x64")?.parse::<usize>().ok();
    let columns = results.columns.iter().filter_map(|column| Some((&column.id, clients(&column.id)?)));
    let (column, clients) = columns.max_by_key(|found| found.1).filter(|found| found.1 > 1)?;
    Some(json!({ "clients": counted(clients), "ranking": ranking(results, column, "rate") }))
}

/// The rows whose second client waited until the first had left; or those whose second client did not. With
/// the time that it took.
fn second_clients(results: &Results, waited: bool) -> Vec<String> {
    let second_client = |row: &Row| {
        let wait = free(results, "second-client", row.name, "wait")?.summary.median;
        let is_asked = waited == (waits_in_line(results, row.name) == Some(true));
        is_asked.then(|| format!("{} ({} ms)", row.title, number(wait)))
    };
    ROWS.iter().filter_map(second_client).collect()
}

/// Whether a second client waits until the first has left.
fn waits_in_line(results: &Results, row: &str) -> Option<bool> {
    Some(free(results, "second-client", row, "in-line")?.summary.median > 0.5)
}

/// Over all paradigms.
fn totals(results: &Results) -> Option<Value> {
    let is_paradigm = |total: &&Total| row(&total.row).is_some_and(Row::is_paradigm);
    let paradigms: Vec<&Total> = results.totals.iter().filter(is_paradigm).collect();
    let sum = |what: fn(&Total) -> u64| paradigms.iter().map(|total| what(total)).sum::<u64>();
    (!paradigms.is_empty()).then(|| {
        json!({
            "answered": sum(|total| total.answered),
            "lost": sum(|total| total.lost),
            "wrong": sum(|total| total.wrong),
        })
    })
}

/// How many naive clients ended at each stage, over all runs, without those that were served.
fn ends(results: &Results) -> Vec<Value> {
    let sum = |stage: Stage| {
        let of_course = results.trials.iter().filter(|trial| trial.row == "course");
        of_course.filter_map(|trial| trial.outcome.values.get(stage.id())).sum::<f64>()
    };
    let stages = Stage::unserved().chain([Stage::Wrong]).filter(|stage| sum(*stage) > 0.0);
    stages.map(|stage| json!({ "count": sum(stage), "words": stage.in_words() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    fn answer(results: &Results, start: &str) -> String {
        let findings = conclude(results);
        let found = findings.iter().find(|finding| finding.question.starts_with(start));
        found.unwrap_or_else(|| panic!("{findings:?}")).answer.clone()
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_ranked() {
        let soonest = answer(&results(), "Who answers");
        assert!(
            soonest.starts_with("forking and basic alike, 21.5 to 22 us; dispatch 42 us (1.95 times that)."),
            "{soonest}"
        );
    }

    #[test]
    fn who_waits_and_who_does_not_follows_from_the_data() {
        let mut results = results();
        let waiting = answer(&results, "When is a second");
        assert_eq!(
            waiting,
            "At once: forking (0.40 ms) and dispatch (0.50 ms). Only when the first had left: basic (200 ms)."
        );
        assert!(answer(&results, "Which paradigm").contains("must not wait for one another: forking"));
        for figure in results.figures.iter_mut().filter(|figure| figure.metric == "in-line") {
            figure.summary.median = 0.0;
        }
        assert!(answer(&results, "When is a second").contains("Nobody had to wait"));
        assert!(!answer(&results, "Which paradigm").contains("One client at a time"));
    }

    #[test]
    fn losses_are_counted_and_doubts_are_said() {
        let results = results();
        let lost = answer(&results, "Is anybody lost");
        assert!(lost.contains("50 naive clients at one instant: served 1 (1 to 1)"), "{lost}");
        let doubtful = answer(&results, "What is doubtful");
        assert!(doubtful.contains("Only 2 runs") && doubtful.contains("Different cores were not measured"));
    }

    #[test]
    fn without_data_nothing_is_claimed() {
        let mut results = results();
        results.figures.clear();
        results.totals.clear();
        let questions: Vec<String> = conclude(&results).into_iter().map(|finding| finding.question).collect();
        assert_eq!(questions, ["What is doubtful here?"]);
    }
}
