//! `cargo xtask sweep`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cargo::build;

/// Let each system call of a session fail, once and for ever, and judge what happens (needs strace; about
/// half an hour).
///
/// All options are those of the sweep itself; `cargo xtask sweep --help` lists them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `--paradigm P`, `--side S`, `--call NAME`, and more
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    sweep: Vec<OsString>,
}

/// Runs the task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let built = build(&["workspace-tests"])?;
    let sweep = built.get("sweep").ok_or_else(|| io::Error::other("cargo built no program named sweep"))?;
    // Replace this process: Ctrl-C and the exit status are then the sweep's.
    Err(Command::new(sweep).args(&args.sweep).exec())
}
