//! `cargo xtask soak`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// Build what a soak needs, and run `lab soak` with these options.
///
/// Without --paradigm, all four, one after the other. All options are those of `lab soak`; `cargo xtask soak --help`
/// tells them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Options of `lab soak`
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    soak: Vec<OsString>,
}

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    run_lab("soak", &args.soak)
}
