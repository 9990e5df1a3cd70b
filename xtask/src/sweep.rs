//! `cargo xtask sweep`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cargo::build;

/// Let every system call of a session fail, once and for good, and judge what happens (needs strace; about half an hour).
///
/// All options are those of the sweep itself; `cargo xtask sweep --help` tells them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `--paradigm P`, `--side S`, `--call NAME`, and more
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    sweep: Vec<OsString>,
}

/// The task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let built = build(&["workspace-tests"])?;
    let sweep = built.get("sweep").ok_or_else(|| io::Error::other("cargo built no program named sweep"))?;
    // In place of this program: so Ctrl-C and the exit status are the sweep's own.
    Err(Command::new(sweep).args(&args.sweep).exec())
}
