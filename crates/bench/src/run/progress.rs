//! A progress bar, with the time left; on a terminal only.

use std::cell::Cell as Counter;
use std::io::stderr;
use std::time::{Duration, Instant};

use handshake_cli::has_escapes;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    since: Instant,
    /// How long all was thought to take, and what is done of that, in seconds.
    whole: f64,
    done: Counter<f64>,
}

/// After this part of the whole, the pace so far replaces the estimate.
const TELLING: f64 = 0.05;

impl Progress {
    /// Of something that will take about so many seconds.
    pub(crate) fn of(seconds: f64) -> Self {
        // It starts no thread.
        let target =
            if has_escapes(&stderr()) { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(milliseconds(seconds)), target);
        let style = ProgressStyle::with_template("{bar:20} {percent:>3} %  {wide_msg}");
        bar.set_style(style.expect("the template is sound").progress_chars("=> "));
        Self { bar, since: Instant::now(), whole: seconds, done: Counter::new(0.0) }
    }

    /// What is measured now.
    pub(crate) fn shows(&self, what: &str) {
        let left = left(self.whole, self.done.get(), self.since.elapsed().as_secs_f64());
        let left = HumanDuration(Duration::from_secs_f64(left));
        self.bar.set_message(format!("{left} left: {what}"));
    }

    /// Moves the bar on by so many seconds of work.
    pub(crate) fn advance(&self, seconds: f64) {
        self.done.set(self.done.get() + seconds);
        self.bar.set_position(milliseconds(self.done.get()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What is left of `whole`, if the rest goes as slowly as what is done.
fn left(whole: f64, done: f64, took: f64) -> f64 {
    let pace = if done > TELLING * whole { took / done } else { 1.0 };
    ((whole - done) * pace).max(0.0)
}

fn milliseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_what_it_really_took() {
        assert_eq!(left(100.0, 0.0, 0.0), 100.0);
        assert_eq!(left(100.0, 50.0, 100.0), 100.0, "twice as slow as it was thought");
        assert_eq!(left(100.0, 101.0, 100.0), 0.0);
    }
}
