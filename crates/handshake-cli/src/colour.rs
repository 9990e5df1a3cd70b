//! Whether output has colour and other escape sequences. All commands decide it here.

use std::env;
use std::io::IsTerminal;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use clap::{Args, ColorChoice as When};

/// The option of every command that prints colour.
#[derive(Debug, Clone, Copy, Args)]
pub struct ColourArgs {
    /// Whether to print colour; auto: on a terminal that has it, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,
}

impl ColourArgs {
    /// Applies this choice to the whole process.
    pub fn choose(self) {
        let choice = match self.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Whether output to `stream` has colour.
///
/// `--color` decides. With `auto` the first of these that holds does:
///
/// 1. `NO_COLOR` is not empty (no-color.org): no colour.
/// 2. `CLICOLOR_FORCE` is not empty (bixense.com/clicolors): colour.
/// 3. `CLICOLOR=0`: no colour.
/// 4. `stream` is a terminal, and `TERM` is set and not `dumb`: colour.
/// 5. Otherwise: no colour.
pub fn has_colour(stream: &impl RawStream) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_forced = ColorChoice::global() != ColorChoice::Auto || is_set("CLICOLOR_FORCE");
    // anstream by itself also assumes colour where the variable CI is set.
    AutoStream::choice(stream) != ColorChoice::Never && (is_forced || has_colour_term())
}

fn has_colour_term() -> bool {
    env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether `stream` is a terminal that understands escape sequences, according to `TERM`.
pub fn has_escapes(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && has_colour_term()
}
