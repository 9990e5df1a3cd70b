//! What has changed since an earlier run: figure by figure, and ratio by ratio where there is a reference.

use serde::Serialize;

use crate::model::metrics::{Better, metric_of};
use crate::model::results::{Figure, Results};
use crate::model::rows::title;
use crate::model::statistics::Summary;

/// Smaller changes are not reported: no two runs are the same.
const TELLING: f64 = 0.1;

/// Between two comparisons.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    /// Why the two are hard to compare; empty if they are not.
    pub(crate) warning: String,
    /// When the earlier one began.
    pub(crate) since: String,
    /// How many figures both have.
    pub(crate) compared: usize,
    /// The greatest change first.
    pub(crate) changes: Vec<Change>,
}

/// A figure that has changed.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) column: String,
    placement: &'static str,
    pub(crate) row: String,
    /// The metric; and the reference, if it is the ratio that is compared.
    figure: String,
    pub(crate) before: f64,
    pub(crate) now: f64,
    /// `better` or `worse`.
    verdict: &'static str,
}

impl Changes {
    /// All that is more than chance: where no run of the one is among those of the other.
    pub(crate) fn between(before: &Results, now: &Results) -> Self {
        let mut changes = Self {
            warning: warning(before, now),
            since: since(before, now),
            compared: 0,
            changes: Vec::new(),
        };
        for figure in &now.figures {
            let Figure { column, placement, row, metric, .. } = figure;
            if let Some(earlier) = before.figure(column, *placement, row, metric) {
                changes.compared += 1;
                changes.changes.extend(change(earlier, figure));
            }
        }
        changes.changes.sort_by(|one, other| other.size().total_cmp(&one.size()));
        changes
    }
}

impl Change {
    /// How many times it is as much, or as little.
    fn size(&self) -> f64 {
        let factor = self.now / self.before;
        if factor < 1.0 { 1.0 / factor } else { factor }
    }
}

/// The ratio is compared if there is one: it is of the row, and the figure alone of the row and the machine.
fn change(before: &Figure, now: &Figure) -> Option<Change> {
    let metric = metric_of(&now.metric)?;
    let reference = now.ratios.first();
    let earlier = reference.and_then(|ratio| before.ratios.iter().find(|one| one.to == ratio.to));
    let (over, before, now_summary) = match (reference, earlier) {
        (Some(ratio), Some(earlier)) => {
            (format!(" over {}", title(&ratio.to)), earlier.summary, ratio.summary)
        }
        _ => (String::new(), before.summary, now.summary),
    };
    let better = (now_summary.median < before.median) == (metric.better == Better::Less);
    is_telling(&before, &now_summary).then(|| Change {
        column: now.column.clone(),
        placement: now.placement.title(),
        row: now.row.clone(),
        figure: format!("{}{over}", metric.title),
        before: before.median,
        now: now_summary.median,
        verdict: if better { "better" } else { "worse" },
    })
}

fn is_telling(before: &Summary, now: &Summary) -> bool {
    let factor = now.median / before.median;
    factor.is_finite() && factor > 0.0 && (factor - 1.0).abs() > TELLING && !before.overlaps(now)
}

/// When it began, and how our programs waited, if they wait in another way now.
fn since(before: &Results, now: &Results) -> String {
    let began = &before.began;
    if before.wait == now.wait {
        return began.clone();
    }
    let before = if before.wait.is_empty() { " before there was --wait".into() } else { before.waited() };
    format!("{began}{before} (now{})", now.waited())
}

fn warning(before: &Results, now: &Results) -> String {
    let machine = |results: &Results| {
        (results.machine.processor.clone(), results.machine.processors, results.machine.kernel.clone())
    };
    let mut warnings = Vec::new();
    if machine(before) != machine(now) {
        warnings.push("it was measured on another machine or kernel");
    }
    if before.machine.release_build != now.machine.release_build {
        warnings.push("one of the two is a debug build");
    }
    if before.incomplete {
        warnings.push("it was interrupted");
    }
    warnings.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    #[test]
    fn ratios_that_changed_are_told_and_chance_is_not() {
        let before = results();
        assert!(Changes::between(&before, &before).changes.is_empty());
        let mut now = before.clone();
        let basic = now.figures.iter_mut().find(|figure| figure.row == "basic" && figure.metric == "p50");
        let ratio = &mut basic.unwrap().ratios[0].summary;
        (ratio.median, ratio.min, ratio.max) = (1.0, 0.9, 1.1);
        let changes = Changes::between(&before, &now);
        let [change] = &changes.changes[..] else { panic!("{changes:?}") };
        assert_eq!((change.row.as_str(), change.figure.as_str()), ("basic", "p50 over bare FIFO ping-pong"));
        assert!(change.verdict == "better" && changes.warning.is_empty());
        // With runs that overlap, the median says nothing.
        let basic = now.figures.iter_mut().find(|figure| figure.row == "basic" && figure.metric == "p50");
        basic.unwrap().ratios[0].summary.max = 5.0;
        assert!(Changes::between(&before, &now).changes.is_empty());
    }

    #[test]
    fn another_way_to_wait_is_said() {
        let (before, mut now) = (results(), results());
        now.wait = "block".into();
        let since = Changes::between(&before, &now).since;
        assert!(since.ends_with(" with --wait adaptive (now with --wait block)"), "{since}");
    }

    #[test]
    fn another_machine_is_said() {
        let (before, mut now) = (results(), results());
        now.machine.kernel = "another".into();
        assert!(!Changes::between(&before, &now).warning.is_empty());
    }
}
