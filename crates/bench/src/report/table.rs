//! The result on the terminal.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, Table};
use handshake_core::error::Result;
use load::print;

use crate::model::baseline::Changes;
use crate::model::metrics::{metric_of, number};
use crate::model::results::Results;
use crate::model::rows::title;
use crate::report::grid::{self, Grid, LEGEND, short_grids};

/// So many changes are told; the files have all figures.
const TOLD: usize = 20;

/// Prints all tables, the conclusion, and what has changed.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print_all(results: &Results, changes: Option<&Changes>) -> Result<()> {
    print(&text(results, changes))
}

pub(crate) fn text(results: &Results, changes: Option<&Changes>) -> String {
    let mut parts: Vec<String> = short_grids(results).iter().map(drawn).collect();
    parts.extend(grid::targets(results).iter().map(drawn));
    parts.push(LEGEND.into());
    parts.push(totals(results));
    parts.extend(changes.map(told));
    parts.extend(
        results.conclusion.iter().map(|finding| format!("{}\n  {}", finding.question, finding.answer)),
    );
    let machine = format!("Measured{} on a {}.", results.waited(), results.machine.in_words());
    parts.extend([machine].into_iter().chain(results.machine.warnings()));
    if results.incomplete {
        parts.push("Interrupted: this is what was measured by then.".into());
    }
    parts.join("\n\n")
}

fn drawn(grid: &Grid) -> String {
    let mut table = table(&grid.header);
    for line in &grid.lines {
        let cells = line.cells.iter().enumerate().map(|(index, cell)| aligned(index, cell.join("\n")));
        table.add_row(cells);
    }
    let notes: String = grid.notes.iter().map(|note| format!("\n  {note}")).collect();
    format!("{}\n{table}{notes}", grid.title)
}

fn table(header: &[String]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_header(header.iter().enumerate().map(|(index, text)| aligned(index, text.replace(", ", "\n"))));
    table
}

/// Names on the left, figures on the right.
fn aligned(index: usize, text: String) -> Cell {
    let side = if index < 2 { CellAlignment::Left } else { CellAlignment::Right };
    Cell::new(text).set_alignment(side)
}

/// What each row was asked and answered in all.
fn totals(results: &Results) -> String {
    let header = ["", "replies and handshakes checked", "lost", "wrong", "failed trials"].map(String::from);
    let mut table = table(&header);
    for total in &results.totals {
        let counts = [total.answered, total.lost, total.wrong, total.failed_trials];
        let counts = counts.map(|count| aligned(2, number(count as f64)));
        table.add_row([aligned(0, title(&total.row).into())].into_iter().chain(counts));
    }
    format!("Over all trials\n{table}")
}

fn told(changes: &Changes) -> String {
    let mut lines = vec![format!(
        "Since {}: {} of {} figures have changed by more than chance{}",
        changes.since,
        changes.changes.len(),
        changes.compared,
        if changes.warning.is_empty() { String::new() } else { format!(" (but {})", changes.warning) }
    )];
    for change in changes.changes.iter().take(TOLD) {
        let metric = metric_of(&change.metric).map_or(change.metric.as_str(), |metric| metric.title);
        let over = change.to.as_ref().map(|to| format!(" over {}", title(to))).unwrap_or_default();
        lines.push(format!(
            "  {}: {}, {}: {metric}{over} {} -> {}, {}",
            change.column,
            title(&change.row),
            change.placement.title(),
            number(change.before),
            number(change.now),
            if change.better { "better" } else { "worse" }
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::results::samples::results;

    #[test]
    fn all_tables_are_there_and_what_is_incomplete_says_so() {
        let mut results = results().judged();
        let before = text(&results, None);
        assert!(before.contains("Round trip, 64 bytes") && before.contains("Over all trials"), "{before}");
        assert!(before.contains("\nTargets\n") && before.contains("with --wait adaptive"), "{before}");
        assert!(!before.contains("Interrupted"));
        results.incomplete = true;
        let changes = Changes::between(&results, &results);
        let after = text(&results, Some(&changes));
        assert!(after.contains("Interrupted") && after.contains(": 0 of "), "{after}");
    }
}
