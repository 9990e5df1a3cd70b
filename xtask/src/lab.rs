//! The tasks that run the lab: build its programs, and pass the options on.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// The arguments after the task's name.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Options of the lab's command of the same name
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Runs the lab's command of this name.
pub(crate) fn run(name: &str, options: &Options) -> io::Result<ExitCode> {
    run_lab(name, &options.options)
}
