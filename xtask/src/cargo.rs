//! The cargo that runs this task, asked to do more.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// `cargo`, the same one, in the workspace's directory.
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

/// Builds packages, quietly unless that fails; returns where their programs are, as cargo itself says: it need not be
/// `target/debug`.
///
/// # Errors
/// Cargo cannot be started, or the build fails, which cargo has explained by then.
pub(crate) fn build(packages: &[&str]) -> io::Result<HashMap<String, PathBuf>> {
    build_with(&[], packages)
}

/// The same, optimized.
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

/// What the lab starts, and the lab. All are built: whoever asks for help, or has mistyped the paradigm, is answered by the
/// lab.
const PACKAGES: [&str; 5] = ["lab", "client", "basic-server", "forking-server", "dispatch-server"];

/// Builds what the lab needs, and becomes `lab SUBCOMMAND`: so Ctrl-C, the terminal and the exit status are the lab's own.
///
/// # Errors
/// As [`build`], and the lab cannot be started.
pub(crate) fn run_lab(subcommand: &str, options: &[OsString]) -> io::Result<ExitCode> {
    let built = build(&PACKAGES)?;
    let lab = built.get("lab").ok_or_else(|| io::Error::other("cargo built no program named lab"))?;
    Err(Command::new(lab).arg(subcommand).args(options).exec())
}

fn executable(message: &serde_json::Value) -> Option<(String, PathBuf)> {
    let name = message["target"]["name"].as_str()?;
    let path = message["executable"].as_str()?;
    Some((name.into(), path.into()))
}
