//! `cargo xtask race`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// Build what a race needs, and run `lab race` with these options.
///
/// All options are those of `lab race`; `cargo xtask race --help` tells them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Servers, and options of `lab race`
    #[arg(value_name = "[SERVER]... [OPTIONS]", trailing_var_arg = true, allow_hyphen_values = true)]
    race: Vec<OsString>,
}

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    run_lab("race", &args.race)
}
