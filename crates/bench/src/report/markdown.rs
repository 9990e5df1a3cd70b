//! The result in a Markdown page, between two marks, so that a page in the repository can be made new by
//! command.

use std::fs;
use std::path::Path;

use handshake_core::error::{Error, Result};
use nix::errno::Errno;

use crate::model::results::Results;
use crate::report::files::write_file;

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
    write_file(page, &with(page, &super::section(results))?)
}

fn with(page: &Path, result: &str) -> Result<String> {
    let text = fs::read_to_string(page).map_err(|error| Error::at("read", page, error, ""))?;
    let hint = format!("it must have these two lines: {BEGIN} and {END}");
    replaced(&text, result).ok_or_else(|| Error::at("find the marks in", page, Errno::EINVAL, &hint))
}

fn replaced(page: &str, result: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{result}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

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
        let text = super::super::section(&results());
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(cells.len() > 2 && cells.iter().all(|count| *count == cells[0]), "{table}");
        }
        assert!(text.contains("| **basic** | free | 22<br>20–24 |"), "{text}");
    }
}
