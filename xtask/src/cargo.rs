//! Runs cargo: the one that runs this task.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// A command for the cargo that runs this task, in the workspace's directory.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root());
    command
}

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Builds packages, and prints nothing unless that fails. Returns the paths of their programs, which cargo
/// reports: they need not be in `target/debug`.
///
/// # Errors
/// Cargo cannot be started, or the build fails; cargo has then printed why.
pub(crate) fn build(packages: &[&str]) -> io::Result<HashMap<String, PathBuf>> {
    build_with(&[], packages)
}

/// Builds packages as [`build`] does, but optimized.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_for_speed(packages: &[&str]) -> io::Result<HashMap<String, PathBuf>> {
    build_with(&["--release"], packages)
}

fn build_with(options: &[&str], packages: &[&str]) -> io::Result<HashMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--message-format=json-render-diagnostics"]).args(options);
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    let built = command.stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        return Err(io::Error::other(format!("the build of {} failed", packages.join(", "))));
    }
    let messages = built.stdout.split(|byte| *byte == b'\n');
    Ok(messages.filter_map(|line| executable(&serde_json::from_slice(line).ok()?)).collect())
}

/// The lab and the programs that it starts. All are built first, because the lab itself prints the help and
/// reports a mistyped paradigm.
pub(crate) const LAB_PACKAGES: [&str; 5] =
    ["lab", "client", "basic-server", "forking-server", "dispatch-server"];

/// Builds the lab's programs, and replaces this process by `lab SUBCOMMAND`. Ctrl-C, the terminal and the
/// exit status are then the lab's.
///
/// # Errors
/// Those of [`build`], or the lab cannot be started.
pub(crate) fn run_lab(subcommand: &str, options: &[OsString]) -> io::Result<ExitCode> {
    let built = build(&LAB_PACKAGES)?;
    let lab = built.get("lab").ok_or_else(|| io::Error::other("cargo built no program named lab"))?;
    Err(Command::new(lab).arg(subcommand).args(options).exec())
}

fn executable(message: &serde_json::Value) -> Option<(String, PathBuf)> {
    let name = message["target"]["name"].as_str()?;
    let path = message["executable"].as_str()?;
    Some((name.into(), path.into()))
}
