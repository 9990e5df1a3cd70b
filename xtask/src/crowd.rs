//! `cargo xtask crowd`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// Build what a crowd needs, and run `lab crowd` with these options.
///
/// Paradigms: forking, dispatch. All options are those of `lab crowd`; `cargo xtask crowd --help` tells them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The paradigm, and options of `lab crowd`
    #[arg(
        value_name = "PARADIGM [OPTIONS]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    crowd: Vec<OsString>,
}

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    run_lab("crowd", &args.crowd)
}
