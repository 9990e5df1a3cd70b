//! What the figures mean, in words: each answer is worked out from the data by a rule, and left out where there are none.

mod answers;

use crate::model::metrics::{Better, metric_of, number};
use crate::model::placement::Placement;
use crate::model::results::{Figure, Finding, Results};
use crate::model::rows::{ROWS, title};
use crate::model::statistics::Summary;

/// A difference of less than this is none that anyone would notice.
const NOTICEABLE: f64 = 1.15;

/// All that the data can answer.
pub(crate) fn conclude(results: &Results) -> Vec<Finding> {
    const RULES: [fn(&Data<'_>) -> Option<Finding>; 12] = [
        answers::which_for_what,
        answers::soonest,
        answers::against_bare_pipes,
        answers::placement,
        answers::batching,
        answers::most,
        answers::long_messages,
        answers::connecting,
        answers::waiting,
        answers::idle,
        answers::flooded,
        answers::lost,
    ];
    let data = Data { results };
    RULES.iter().filter_map(|rule| rule(&data)).chain([answers::doubtful(&data)]).collect()
}

struct Data<'a> {
    results: &'a Results,
}

impl<'a> Data<'a> {
    /// Placed freely.
    fn figure(&self, column: &str, row: &str, metric: &str) -> Option<&'a Figure> {
        self.results.figure(column, Placement::Free, row, metric)
    }

    fn median(&self, column: &str, row: &str, metric: &str) -> Option<f64> {
        self.figure(column, row, metric).map(|figure| figure.summary.median)
    }

    /// The paradigms that have this figure, the best first.
    fn ranking(&self, column: &str, metric: &str) -> Vec<(&'static str, Summary)> {
        let paradigms = ROWS.iter().filter(|row| row.is_paradigm());
        let mut ranking: Vec<_> = paradigms
            .filter_map(|row| Some((row.name, self.figure(column, row.name, metric)?.summary)))
            .collect();
        let less = metric_of(metric).is_none_or(|metric| metric.better == Better::Less);
        ranking.sort_by(|one, other| {
            let order = one.1.median.total_cmp(&other.1.median);
            if less { order } else { order.reverse() }
        });
        ranking
    }

    /// The column of this group with the most clients, of those with so much in flight.
    fn largest(&self, start: &str, end: &str) -> Option<(&'a str, usize)> {
        let clients = |id: &'a str| {
            let number = id.strip_prefix(start)?.strip_suffix(end)?.parse::<usize>().ok()?;
            Some((id, number))
        };
        self.results.columns.iter().filter_map(|column| clients(&column.id)).max_by_key(|found| found.1)
    }
}

/// `basic and forking alike, 5.7 to 5.8 us; dispatch 11.7 us (2.1 times as much)`. Those that the first cannot be told apart from
/// stand with it.
fn ranked(ranking: &[(&str, Summary)], unit: &str) -> Option<String> {
    let (_, best) = *ranking.first()?;
    let is_alike = |one: &Summary| one.overlaps(&best) || factor(one.median, best.median) < NOTICEABLE;
    let alike = ranking.iter().take_while(|one| is_alike(&one.1)).count();
    let mut parts = vec![match alike {
        1 => format!("{} {} {unit}", title(ranking[0].0), number(best.median)),
        _ => {
            let names: Vec<&str> = ranking[..alike].iter().map(|one| title(one.0)).collect();
            let most = ranking[..alike].iter().map(|one| one.1.median);
            let (low, high) = most.fold((f64::MAX, f64::MIN), |ends, one| (ends.0.min(one), ends.1.max(one)));
            let (low, high) = (number(low), number(high));
            let range = if low == high { low } else { format!("{low} to {high}") };
            format!("{} alike, {range} {unit}", listed(&names))
        }
    }];
    parts.extend(ranking[alike..].iter().map(|(name, summary)| {
        let times = number(summary.median / best.median);
        format!("{} {} {unit} ({times} times that)", title(name), number(summary.median))
    }));
    Some(parts.join("; "))
}

/// How many times the greater is the other.
fn factor(one: f64, other: f64) -> f64 {
    (one / other).max(other / one)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).into(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn finding(question: &str, answer: String) -> Option<Finding> {
    Some(Finding { question: question.into(), answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::results::samples::results;

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
