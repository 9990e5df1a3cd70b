//! What the figures mean, in words: each answer is worked out from the data by a rule, and left out where there are none.

use super::columns::counted;
use super::metrics::{Better, metric_of, number};
use super::naive::Stage;
use super::placement::Placement;
use super::results::{Figure, Finding, Results};
use super::rows::{ROWS, row, title};
use super::statistics::Summary;
use super::trial::KEPT;

/// A difference of less than this is none that anyone would notice.
const NOTICEABLE: f64 = 1.15;

/// All that the data can answer.
pub(super) fn conclude(results: &Results) -> Vec<Finding> {
    const RULES: [fn(&Data<'_>) -> Option<Finding>; 12] = [
        which_for_what,
        soonest,
        against_bare_pipes,
        placement,
        batching,
        most,
        long_messages,
        connecting,
        waiting,
        idle,
        flooded,
        lost,
    ];
    let data = Data { results };
    RULES.iter().filter_map(|rule| rule(&data)).chain([doubtful(&data)]).collect()
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

/// `basic and forking alike 5.7 us; dispatch 11.7 us (2.1 times as much)`. Those that the first cannot be told apart from
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
            format!("{} alike, {} to {} {unit}", listed(&names), number(low), number(high))
        }
    }];
    parts.extend(ranking[alike..].iter().map(|(name, summary)| {
        let times = summary.median / best.median;
        let times = if times >= 1.0 {
            format!("{} times that", number(times))
        } else {
            format!("1/{} of that", number(1.0 / times))
        };
        format!("{} {} {unit} ({times})", title(name), number(summary.median))
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

/// The rule of the whole: who must not wait needs a process of its own; what that costs, and what dispatch costs on top.
fn which_for_what(data: &Data<'_>) -> Option<Finding> {
    let waits = |name: &str| data.median("second-client", name, "in-line").map(|part| part > 0.5);
    let round_trips = data.ranking("round-trip", "p50");
    let at_once: Vec<_> = round_trips.iter().filter(|one| waits(one.0) == Some(false)).copied().collect();
    let (quickest, _) = at_once.first()?;
    let mut parts = Vec::new();
    if waits("basic")? {
        parts.push("One client at a time, or sessions so short that a line does no harm: basic, one process and nothing else.".into());
    }
    let costs = [
        data.median("memory", quickest, "memory").map(|kib| format!("{} KiB for each client", number(kib))),
        data.median("connects-8", quickest, "connects")
            .map(|rate| format!("{} us for each handshake", number(1e6 / rate))),
    ];
    let costs: Vec<String> = costs.into_iter().flatten().collect();
    let costs = if costs.is_empty() { String::new() } else { format!(", at {}", costs.join(" and ")) };
    parts.push(format!("Clients that must not wait for one another: {}, the quickest of those that serve many at once{costs}.", title(quickest)));
    let (forking, dispatch) =
        (data.median("round-trip", "forking", "p50"), data.median("round-trip", "dispatch", "p50"));
    if let (Some(forking), Some(dispatch)) = (forking, dispatch) {
        parts.push(format!(
            "One process that must see all that all clients say (to log it, to order it, to refuse it): dispatch, for {} times forking's round trip.",
            number(dispatch / forking)
        ));
    }
    let (own, shared) = (
        data.median("throughput-1x64", "dispatch", "rate"),
        data.median("throughput-1x64", "shared-wkp", "rate"),
    );
    if let (Some(own), Some(shared)) = (own, shared) {
        let rest = if shared * NOTICEABLE < own {
            format!(
                "for 1/{} of dispatch's messages a second with 64 in flight, since each client may have 16 records in flight at most",
                number(own / shared)
            )
        } else {
            "at no loss of messages a second that was seen".into()
        };
        parts.push(format!("A well-known pipe whose name never goes: dispatch --shared-wkp, {rest}."));
    }
    finding("Which paradigm for which need?", parts.join(" "))
}

fn soonest(data: &Data<'_>) -> Option<Finding> {
    let ranking = data.ranking("round-trip", "p50");
    let mut answer = format!("{}.", ranked(&ranking, "us")?);
    if let (Some(forking), Some(dispatch)) =
        (data.median("round-trip", "forking", "p50"), data.median("round-trip", "dispatch", "p50"))
        && dispatch > forking * NOTICEABLE
    {
        answer.push_str(" In dispatch each request passes one process more on its way.");
    }
    finding("Who answers one client soonest? (64 bytes, one at a time, half of the replies)", answer)
}

fn against_bare_pipes(data: &Data<'_>) -> Option<Finding> {
    let mut parts = Vec::new();
    for row in ROWS.iter().filter(|row| row.is_paradigm()) {
        let ratio = data.figure("round-trip", row.name, "p50").and_then(|figure| figure.ratios.first());
        parts.extend(ratio.map(|ratio| {
            format!("{} takes {} times the {}", row.title, number(ratio.summary.median), title(&ratio.to))
        }));
    }
    if parts.is_empty() {
        return None;
    }
    let why = "What is added pays for what the bare ones do not do: records that are checked, sessions that nobody else can get into, deadlines, and ends that are noticed.";
    finding("How far is that from the least that pipes can do?", format!("{}. {why}", parts.join("; ")))
}

fn placement(data: &Data<'_>) -> Option<Finding> {
    let p50 =
        |row: &str, placement| Some(data.results.figure("round-trip", placement, row, "p50")?.summary.median);
    let name =
        ["basic", "forking", "dispatch"].into_iter().find(|name| p50(name, Placement::SameCore).is_some())?;
    let (same, different) = (p50(name, Placement::SameCore)?, p50(name, Placement::DifferentCores)?);
    let bare = "fifo-ping-pong";
    let bare = match (p50(bare, Placement::SameCore), p50(bare, Placement::DifferentCores)) {
        (Some(same), Some(different)) => {
            format!(" Two bare processes pay it alike ({} and {} us):", number(same), number(different))
        }
        _ => String::new(),
    };
    let answer = if different > same * NOTICEABLE {
        format!(
            "{}: {} us with all processes on one core, {} us on two, {} times as much.{bare} what costs is waking a core that sleeps, not the paradigm. So never compare figures of different placements.",
            title(name),
            number(same),
            number(different),
            number(different / same)
        )
    } else {
        format!(
            "Little here: {} took {} us on one core and {} us on two.",
            title(name),
            number(same),
            number(different)
        )
    };
    finding("What does it matter where the processes run?", answer)
}

fn batching(data: &Data<'_>) -> Option<Finding> {
    let gain = |name: &'static str| {
        let (one, many) =
            (data.median("round-trip", name, "rate")?, data.median("throughput-1x64", name, "rate")?);
        Some(format!(
            "{} {} messages a second instead of {} ({} times)",
            title(name),
            number(many),
            number(one),
            number(many / one)
        ))
    };
    let gains: Vec<String> =
        ROWS.iter().filter(|row| row.is_paradigm()).filter_map(|row| gain(row.name)).collect();
    if gains.is_empty() {
        return None;
    }
    finding(
        "What is it worth not to wait for each reply?",
        format!(
            "With 64 in flight: {}. One read then brings many requests, and one write takes many replies.",
            gains.join("; ")
        ),
    )
}

fn most(data: &Data<'_>) -> Option<Finding> {
    let (column, clients) = data.largest("throughput-", "x64").filter(|found| found.1 > 1)?;
    let ranking = data.ranking(column, "rate");
    let question = format!("Who carries the most messages of {}, 64 in flight each?", counted(clients));
    let turn = if ranking.iter().any(|one| one.0 == "basic") {
        " (In basic they come one after the other.)"
    } else {
        ""
    };
    finding(&question, format!("{}.{turn}", ranked(&ranking, "messages a second")?))
}

fn long_messages(data: &Data<'_>) -> Option<Finding> {
    let ranking = data.ranking("bulk", "gigabytes");
    let best = data.figure("bulk", ranking.first()?.0, "gigabytes")?;
    let against = best
        .ratios
        .first()
        .map(|ratio| format!(", {} of the {}", number(ratio.summary.median), title(&ratio.to)));
    let answer = format!(
        "{}. The first is{}.",
        ranked(&ranking, "GB/s")?,
        against.unwrap_or_default().trim_start_matches(',')
    );
    finding("How fast do long messages go? (1 MiB there and back, one at a time)", answer)
}

fn connecting(data: &Data<'_>) -> Option<Finding> {
    let ranking = data.ranking("connects-8", "connects");
    let mut parts = vec![format!("{}.", ranked(&ranking, "a second")?)];
    for (name, _) in &ranking {
        let ratio = data.figure("connects-8", name, "connects").and_then(|figure| figure.ratios.first());
        parts.extend(ratio.map(|ratio| {
            format!("{}: {} times the {}.", title(name), number(ratio.summary.median), title(&ratio.to))
        }));
    }
    finding("How many can connect? (8 clients, over and over)", parts.join(" "))
}

fn waiting(data: &Data<'_>) -> Option<Finding> {
    let (mut wait, mut served) = (Vec::new(), Vec::new());
    for row in &ROWS {
        let Some(figure) = data.figure("second-client", row.name, "wait") else { continue };
        let waited = data.median("second-client", row.name, "in-line").is_some_and(|part| part > 0.5);
        let entry = format!("{} ({} ms)", row.title, number(figure.summary.median));
        if waited { wait.push(entry) } else { served.push(entry) }
    }
    let kept = KEPT.as_millis();
    let list = |names: &[String]| listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = match (wait.is_empty(), served.is_empty()) {
        (true, true) => return None,
        (true, false) => format!("At once: {}. Nobody had to wait.", list(&served)),
        (false, true) => format!("Only when the first had left: {}.", list(&wait)),
        (false, false) => {
            format!("At once: {}. Only when the first had left: {}.", list(&served), list(&wait))
        }
    };
    finding(
        &format!("When is a second client served, while the first keeps its connection for {kept} ms?"),
        answer,
    )
}

fn idle(data: &Data<'_>) -> Option<Finding> {
    let mut parts = Vec::new();
    for row in &ROWS {
        let (Some(memory), Some(descriptors), Some(processes), Some(clients)) = (
            data.median("memory", row.name, "memory"),
            data.median("memory", row.name, "descriptors"),
            data.median("memory", row.name, "processes"),
            data.median("memory", row.name, "clients"),
        ) else {
            continue;
        };
        parts.push(format!(
            "{} {} KiB and {} descriptors a client, {} processes for {}",
            row.title,
            number(memory),
            number(descriptors),
            number(processes),
            number(clients)
        ));
    }
    if parts.is_empty() {
        return None;
    }
    let how = "Counted are the servers' own pages and page tables; the kernel's part of a process comes on top (the column beside it).";
    finding("What does a client cost that says nothing?", format!("{}. {how}", parts.join("; ")))
}

fn flooded(data: &Data<'_>) -> Option<Finding> {
    let part = |row: &super::rows::Row| {
        let factor = data.median("flood", row.name, "flood-factor")?;
        Some(format!("{} {} times", row.title, number(factor)))
    };
    let parts: Vec<String> = ROWS.iter().filter_map(part).collect();
    if parts.is_empty() {
        return None;
    }
    finding(
        "Can one client that floods hurt the polite ones?",
        format!(
            "Their slowest replies (99 %) take, beside a flood: {}. (In basic they would wait until it leaves.)",
            parts.join("; ")
        ),
    )
}

fn lost(data: &Data<'_>) -> Option<Finding> {
    let mut parts = Vec::new();
    let paradigms: Vec<_> = data
        .results
        .totals
        .iter()
        .filter(|total| row(&total.row).is_some_and(|row| row.is_paradigm()))
        .collect();
    if !paradigms.is_empty() {
        let sum =
            |what: fn(&super::results::Total) -> u64| paradigms.iter().map(|total| what(total)).sum::<u64>();
        parts.push(format!(
            "The paradigms: {} replies and handshakes were checked, {} were lost, {} were wrong.",
            number(sum(|total| total.answered) as f64),
            number(sum(|total| total.lost) as f64),
            number(sum(|total| total.wrong) as f64)
        ));
    }
    if let Some(served) = data.figure("losses", "course", "served").map(|figure| figure.summary) {
        let clients = data.median("losses", "course", "clients").unwrap_or(0.0);
        parts.push(format!(
            "The protocol as taught, with {} naive clients at one instant: served {} ({} to {}).",
            number(clients),
            number(served.median),
            number(served.min),
            number(served.max)
        ));
        let sum = |stage: Stage| {
            let of_stage = data.results.trials.iter().filter(|trial| trial.row == "course");
            of_stage.filter_map(|trial| trial.values.get(stage.id())).sum::<f64>()
        };
        let ends: Vec<String> = Stage::UNSERVED
            .into_iter()
            .chain([Stage::Wrong])
            .filter(|stage| sum(*stage) > 0.0)
            .map(|stage| format!("{} {}", number(sum(stage)), stage.in_words()))
            .collect();
        if !ends.is_empty() {
            parts.push(format!("Of the others, over all runs: {}.", ends.join(", ")));
        }
    }
    if parts.is_empty() { None } else { finding("Is anybody lost, or answered wrongly?", parts.join(" ")) }
}

fn doubtful(data: &Data<'_>) -> Finding {
    let results = data.results;
    let wide = results.figures.iter().filter(|figure| figure.wide).count();
    let mut parts = results.machine.warnings();
    if results.incomplete {
        parts.push("It was interrupted before its end.".into());
    }
    if results.runs < 5 {
        parts.push(format!("Only {} runs: fewer than 5 are no result.", results.runs));
    }
    parts.push(format!(
        "Of {} figures, {wide} had runs more than 30 % apart; they are marked with ~.",
        results.figures.len()
    ));
    if results.machine.virtual_machine {
        parts.push("In a virtual machine, another one's work is seen only as a wide spread.".into());
    }
    Finding { question: "What is doubtful here?".into(), answer: parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::super::results::samples::results;
    use super::*;

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
        assert!(answer(&results, "What is doubtful").contains("Only 2 runs"));
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
