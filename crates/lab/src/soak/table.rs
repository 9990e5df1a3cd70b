//! The table: one line a second.

use handshake_core::error::Result;
use probe::proc;

use super::score::Score;
use crate::demo::printer::Printer;
use crate::server_under_test::Snapshot;

/// The column headings are repeated after this many lines.
const PAGE: u64 = 20;

/// The columns: two lines of heading, and the width.
const COLUMNS: [(&str, &str, usize); 10] = [
    ("", "second", 6),
    ("replies", "verified", 10),
    ("clients", "alive", 8),
    ("turned", "away", 7),
    ("", "dropped", 8),
    ("descrip-", "tors", 9),
    ("server", "KiB", 8),
    ("subservers", "KiB", 11),
    ("", "zombies", 8),
    ("pro-", "cesses", 7),
];

/// Prints the line of a second, from 1 on.
///
/// # Errors
/// Stdout was closed.
pub(super) fn print_line(second: u64, look: &Snapshot, score: &Score, printer: &mut Printer) -> Result<()> {
    if second % PAGE == 1 {
        printer.line("")?;
        printer.line(&row(COLUMNS.map(|(above, _, _)| above.to_owned())))?;
        printer.line(&row(COLUMNS.map(|(_, below, _)| below.to_owned())))?;
    }
    let values = [
        second,
        score.replies,
        score.alive,
        score.turned_away,
        score.dropped,
        look.descriptors.len() as u64,
        look.memory,
        look.subservers.iter().map(|pid| proc::private_memory(*pid)).sum(),
        look.zombies as u64,
        look.subservers.len() as u64 + 1,
    ];
    printer.line(&row(values.map(|value| value.to_string())))
}

fn row<const N: usize>(values: [String; N]) -> String {
    let cells = values.iter().zip(COLUMNS).map(|(value, (_, _, width))| format!("{value:>width$}"));
    cells.collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_keep_apart_and_fit_a_terminal() {
        for (above, below, width) in COLUMNS {
            assert!(above.len().max(below.len()) <= width);
        }
        assert!(COLUMNS.iter().skip(1).all(|(above, below, width)| above.len().max(below.len()) < *width));
        assert!(COLUMNS.iter().map(|(_, _, width)| width).sum::<usize>() < 84);
    }
}
