//! The rules, one for each question.

use naive::Stage;

use super::{Data, NOTICEABLE, finding, listed, ranked};
use crate::model::columns::{KEPT, counted};
use crate::model::metrics::number;
use crate::model::placement::Placement;
use crate::model::results::{ColumnInfo, Finding, Total};
use crate::model::rows::{ROWS, Row, row, title};

/// The rule of the whole: who must not wait needs a process of its own; what that costs, and what dispatch costs on top.
pub(crate) fn which_for_what(data: &Data<'_>) -> Option<Finding> {
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
                "for {} times dispatch's messages a second with 64 in flight, since each client may have 16 records in flight at most",
                number(shared / own)
            )
        } else {
            "at no loss of messages a second that was seen".into()
        };
        parts.push(format!("A well-known pipe whose name never goes: dispatch --shared-wkp, {rest}."));
    }
    finding("Which paradigm for which need?", parts.join(" "))
}

pub(crate) fn soonest(data: &Data<'_>) -> Option<Finding> {
    let ranking = data.ranking("round-trip", "p50");
    let mut answer = format!("{}.", ranked(&ranking, "us")?);
    if let (Some(forking), Some(dispatch)) =
        (data.median("round-trip", "forking", "p50"), data.median("round-trip", "dispatch", "p50"))
        && dispatch > forking * NOTICEABLE
    {
        answer.push_str(" In dispatch each request passes one process more on its way.");
    }
    finding("Who answers one client soonest? (median, 64 bytes)", answer)
}

pub(crate) fn against_bare_pipes(data: &Data<'_>) -> Option<Finding> {
    let mut parts = Vec::new();
    for row in ROWS.iter().filter(|row| row.is_paradigm()) {
        let ratio = data.figure("round-trip", row.name, "p50").and_then(|figure| figure.ratios.first());
        parts.extend(ratio.map(|ratio| {
            format!(
                "{} takes {} times as long as the {}",
                row.title,
                number(ratio.summary.median),
                title(&ratio.to)
            )
        }));
    }
    if parts.is_empty() {
        return None;
    }
    let why = "What is added pays for what the bare ones do not do: records that are checked, sessions that nobody else can get into, deadlines, and ends that are noticed.";
    finding("How far is that from the least that pipes can do?", format!("{}. {why}", parts.join("; ")))
}

pub(crate) fn placement(data: &Data<'_>) -> Option<Finding> {
    let p50 =
        |row: &str, placement| Some(data.results.figure("round-trip", placement, row, "p50")?.summary.median);
    let name =
        ["basic", "forking", "dispatch"].into_iter().find(|name| p50(name, Placement::SameCore).is_some())?;
    let (same, different) = (p50(name, Placement::SameCore)?, p50(name, Placement::DifferentCores)?);
    let bare = "fifo-ping-pong";
    let bare = match (p50(bare, Placement::SameCore), p50(bare, Placement::DifferentCores)) {
        (Some(same), Some(different)) => format!("{} and {} us", number(same), number(different)),
        _ => String::new(),
    };
    let answer = if different > same * NOTICEABLE {
        let bare = if bare.is_empty() { bare } else { format!(" Two bare processes pay it alike ({bare}):") };
        format!(
            "{}: {} us with all processes on one core, {} us on two, {} times as much.{bare} what costs is waking a core that sleeps, not the paradigm. So never compare figures of different placements.",
            title(name),
            number(same),
            number(different),
            number(different / same)
        )
    } else {
        let bare = if bare.is_empty() {
            bare
        } else {
            format!(
                " Two bare processes, which sleep at once, take {bare}: to wake a core that sleeps is what costs."
            )
        };
        format!(
            "{}: {} us with all processes on one core, {} us on two, so two are no loss.{bare}",
            title(name),
            number(same),
            number(different)
        )
    };
    finding("What does it matter where the processes run?", answer)
}

pub(crate) fn batching(data: &Data<'_>) -> Option<Finding> {
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

pub(crate) fn most(data: &Data<'_>) -> Option<Finding> {
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

pub(crate) fn long_messages(data: &Data<'_>) -> Option<Finding> {
    let ranking = data.ranking("bulk", "gigabytes");
    let best = data.figure("bulk", ranking.first()?.0, "gigabytes")?;
    let against = best
        .ratios
        .first()
        .map(|ratio| format!(", {} times that of the {}", number(ratio.summary.median), title(&ratio.to)));
    let answer = format!(
        "{}. That of the first is{}.",
        ranked(&ranking, "GB/s")?,
        against.unwrap_or_default().trim_start_matches(',')
    );
    finding("How fast do long messages go? (1 MiB there and back)", answer)
}

pub(crate) fn connecting(data: &Data<'_>) -> Option<Finding> {
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

pub(crate) fn waiting(data: &Data<'_>) -> Option<Finding> {
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

pub(crate) fn idle(data: &Data<'_>) -> Option<Finding> {
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
            "{} {} KiB and {} more descriptors a client, {} process{} for {}",
            row.title,
            number(memory),
            number(descriptors),
            number(processes),
            if processes == 1.0 { "" } else { "es" },
            number(clients)
        ));
    }
    if parts.is_empty() {
        return None;
    }
    let how = "Counted are the servers' own pages and page tables; the kernel's part of a process comes on top (\"with the kernel's\" in the table).";
    finding("What does a client cost that says nothing?", format!("{}. {how}", parts.join("; ")))
}

pub(crate) fn flooded(data: &Data<'_>) -> Option<Finding> {
    let part = |row: &Row| {
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

pub(crate) fn lost(data: &Data<'_>) -> Option<Finding> {
    let mut parts = Vec::new();
    let paradigms: Vec<_> = data
        .results
        .totals
        .iter()
        .filter(|total| row(&total.row).is_some_and(|row| row.is_paradigm()))
        .collect();
    if !paradigms.is_empty() {
        let sum = |what: fn(&Total) -> u64| paradigms.iter().map(|total| what(total)).sum::<u64>();
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

pub(crate) fn doubtful(data: &Data<'_>) -> Finding {
    let results = data.results;
    let wide = results.figures.iter().filter(|figure| figure.wide).count();
    let mut parts = results.machine.warnings();
    if results.incomplete {
        parts.push("It was interrupted before its end.".into());
    }
    let round_trip = results.columns.iter().find(|column| column.id == "round-trip");
    let without = |column: &ColumnInfo| !column.placements.contains(&Placement::DifferentCores);
    if !results.incomplete && round_trip.is_some_and(without) {
        parts.push("Different cores were not measured: this process may not use two.".into());
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
