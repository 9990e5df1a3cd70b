//! How far the comparison is, and how long it will still take; on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::rows::Row;
use super::sampling::Cell;

/// A bar on stderr that counts in milliseconds of measuring.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of something that will take about so many seconds.
    pub(super) fn of(seconds: f64) -> Self {
        // Draws only where stderr is a terminal, and starts no thread.
        let bar = ProgressBar::with_draw_target(Some(milliseconds(seconds)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {eta} left  {wide_msg}")
            .expect("the template is sound");
        bar.set_style(style.progress_chars("=> "));
        Self { bar }
    }

    /// What is measured now.
    pub(super) fn shows(&self, cell: &Cell, row: &Row) {
        let (what, whence) = (&cell.column.title, cell.placement.title());
        self.bar.set_message(format!("{what} ({whence}): {}", row.title));
    }

    /// So much is done.
    pub(super) fn advance(&self, seconds: f64) {
        self.bar.inc(milliseconds(seconds));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn milliseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX)
}
