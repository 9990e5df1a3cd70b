//! `cargo xtask demo`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// Build what a demo needs, and run `lab demo` with these options.
///
/// Paradigms: basic, forking, dispatch. All options are those of `lab demo`; `cargo xtask demo forking --help` tells them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The paradigm, and options of `lab demo`
    #[arg(
        value_name = "PARADIGM [OPTIONS]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    demo: Vec<OsString>,
}

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    run_lab("demo", &args.demo)
}
