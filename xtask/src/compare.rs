//! `cargo xtask compare`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cargo::{build_for_speed, root};

/// Build the programs of a comparison, optimized, and run `lab compare` with these options.
///
/// `--write-docs` also writes the result into docs/comparison.md. All other options are those of `lab
/// compare`; `cargo xtask compare --help` lists them. The files go to target/comparison, unless `--out` names
/// another directory.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Options of `lab compare`, and --write-docs
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    compare: Vec<OsString>,
}

/// A path in the workspace, relative to the current directory if possible: the result quotes the command.
fn from_here(path: &str) -> PathBuf {
    let path = root().join(path);
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(PathBuf::from)).unwrap_or(path)
}

const PACKAGES: [&str; 4] = ["lab", "basic-server", "forking-server", "dispatch-server"];

/// Runs the task.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let built = build_for_speed(&PACKAGES)?;
    let lab = built.get("lab").ok_or_else(|| io::Error::other("cargo built no program named lab"))?;
    let mut command = Command::new(lab);
    command.arg("compare");
    let is_out =
        |word: &&OsString| word.to_str().is_some_and(|word| word == "--out" || word.starts_with("--out="));
    if args.compare.iter().find(is_out).is_none() {
        command.arg("--out").arg(from_here("target/comparison"));
    }
    for word in &args.compare {
        match word.to_str() {
            Some("--write-docs") => command.arg("--markdown").arg(from_here("docs/comparison.md")),
            _ => command.arg(word),
        };
    }
    // Replace this process: Ctrl-C, the terminal and the exit status are then the lab's.
    Err(command.exec())
}
