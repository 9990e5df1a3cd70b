//! `cargo xtask demo`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cargo::build;

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

/// The server's package is named after its paradigm. All are built: whoever asks for help, or has mistyped the paradigm,
/// is answered by the lab.
const PACKAGES: [&str; 5] = ["lab", "client", "basic-server", "forking-server", "dispatch-server"];

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let built = build(&PACKAGES)?;
    let lab = built.get("lab").ok_or_else(|| io::Error::other("cargo built no program named lab"))?;
    // In place of this program: so Ctrl-C, the terminal and the exit status are the lab's own.
    Err(Command::new(lab).arg("demo").args(&args.demo).exec())
}
