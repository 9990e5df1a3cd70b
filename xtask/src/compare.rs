//! `cargo xtask compare`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cargo::{build_for_speed, root};

/// Build for speed what a comparison needs, and run `lab compare` with these options.
///
/// `--write-docs` puts the result into docs/comparison.md as well. Everything else is an option of `lab compare`; `cargo
/// xtask compare --help` tells them. The files go to target/comparison, unless `--out` says otherwise.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Options of `lab compare`, and --write-docs
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    compare: Vec<OsString>,
}

/// A path in the workspace, as one would type it here: the result tells the command.
fn from_here(path: &str) -> PathBuf {
    let path = root().join(path);
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(PathBuf::from)).unwrap_or(path)
}

const PACKAGES: [&str; 4] = ["lab", "basic-server", "forking-server", "dispatch-server"];

/// The task.
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
    // In place of this program: so Ctrl-C, the terminal and the exit status are the lab's own.
    Err(command.exec())
}
