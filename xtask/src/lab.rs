//! The tasks that are the lab's: build what it needs, and pass the options on.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::cargo::run_lab;

/// What follows the task's name.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Options of the lab's command of the same name
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// The task of this name.
pub(crate) fn run(name: &str, options: &Options) -> io::Result<ExitCode> {
    run_lab(name, &options.options)
}
