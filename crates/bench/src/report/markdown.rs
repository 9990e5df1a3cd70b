//! The result in a Markdown page, between two marks, so that a page in the repository can be made new by command.

use std::fs;
use std::path::Path;

use handshake_core::error::{Error, Result, errno_of};
use nix::errno::Errno;

use crate::model::metrics::number;
use crate::model::results::Results;
use crate::model::rows::{row, title};
use crate::report::files::write_file;
use crate::report::grid::{self, Grid, LEGEND, short_grids};

const BEGIN: &str = "<!-- The result begins: written by cargo xtask compare --write-docs -->";
const END: &str = "<!-- The result ends -->";

/// Whether the page has its marks.
///
/// # Errors
/// It cannot be read, or has none.
pub(crate) fn check(page: &Path) -> Result<()> {
    with(page, "").map(drop)
}

/// Replaces what stands between the marks.
///
/// # Errors
/// The page cannot be read or written, or has no marks.
pub(crate) fn put(page: &Path, results: &Results) -> Result<()> {
    write_file(page, &with(page, &result(results))?)
}

fn with(page: &Path, result: &str) -> Result<String> {
    let text = fs::read_to_string(page).map_err(|error| Error::at("read", page, errno_of(&error), ""))?;
    let hint = format!("it must have these two lines: {BEGIN} and {END}");
    replaced(&text, result).ok_or_else(|| Error::at("find the marks in", page, Errno::EINVAL, &hint))
}

fn replaced(page: &str, result: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{result}\n\n{END}{after}"))
}

fn result(results: &Results) -> String {
    let mut parts = vec![format!(
        "Measured {}{} on a {}, by `{}`: {} runs of each row, {:.0} s in all.",
        results.began,
        results.waited(),
        results.machine.in_words(),
        results.command,
        results.runs,
        results.seconds
    )];
    parts.extend(results.machine.warnings().into_iter().map(|warning| format!("**{warning}**")));
    parts.push("### What follows from it".into());
    parts.extend(
        results
            .conclusion
            .iter()
            .map(|finding| format!("**{}** {}", finding.question, escaped(&finding.answer))),
    );
    parts.extend(grid::targets(results).iter().map(|grid| drawn("###", grid)));
    parts.push("### The figures".into());
    parts.push(LEGEND.replace('~', "`~`"));
    parts.extend(short_grids(results).iter().map(|grid| drawn("####", grid)));
    parts.push(totals(results));
    parts.join("\n\n")
}

fn drawn(level: &str, grid: &Grid) -> String {
    let mut lines = vec![line(grid.header.iter().cloned()), rule(grid.header.len())];
    for entry in &grid.lines {
        let cells = entry.cells.iter().enumerate().map(|(index, cell)| match &cell[..] {
            [name] if index == 0 && entry.is_paradigm => format!("**{name}**"),
            cell => cell.join("<br>"),
        });
        lines.push(line(cells));
    }
    let notes: String = grid.notes.iter().map(|note| format!("\n\n{}", escaped(note))).collect();
    format!("{level} {}\n\n{}{notes}", grid.title, lines.join("\n"))
}

fn totals(results: &Results) -> String {
    let header = ["", "replies and handshakes checked", "lost", "wrong", "failed trials"].map(String::from);
    let mut lines = vec![line(header.into_iter()), rule(5)];
    for total in &results.totals {
        let name = title(&total.row);
        let is_paradigm = row(&total.row).is_some_and(|row| row.is_paradigm());
        let name = if is_paradigm { format!("**{name}**") } else { name.into() };
        let counts = [total.answered, total.lost, total.wrong, total.failed_trials];
        lines.push(line([name].into_iter().chain(counts.map(|count| number(count as f64)))));
    }
    format!("#### Over all trials\n\n{}", lines.join("\n"))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.map(|cell| escaped(&cell)).collect::<Vec<_>>().join(" | "))
}

/// Names on the left, figures on the right.
fn rule(columns: usize) -> String {
    format!("|---|{}", "---:|".repeat(columns.saturating_sub(1)))
}

/// Two of them would strike through what is between.
fn escaped(text: &str) -> String {
    text.replace('~', "\\~").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::results::samples::results;

    #[test]
    fn only_what_is_between_the_marks_changes_and_twice_is_once() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replaced(&page, "new").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn every_line_of_a_table_has_as_many_cells_as_its_header() {
        let text = result(&results());
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(cells.len() > 2 && cells.iter().all(|count| *count == cells[0]), "{table}");
        }
        assert!(text.contains("| **basic** | free | 22<br>20–24 |"), "{text}");
    }
}
