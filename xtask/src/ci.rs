//! `cargo xtask ci`.

use std::io;
use std::process::{Command, ExitCode};

use crate::cargo::{cargo, root};

/// Exactly what CI runs: formatting, lints, the oldest Rust, tests, the fuzz package, documentation; stops at
/// the first failure.
///
/// The oldest Rust is the one that Cargo.toml names as rust-version. The task checks with it if rustup has
/// it; where the variable CI is set, it must.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A check by this cargo.
struct Check {
    /// What cargo is told.
    arguments: &'static [&'static str],
    /// What is set in its environment.
    variable: Option<(&'static str, &'static str)>,
    /// Whether the oldest Rust does it, not this one.
    with_oldest: bool,
}

/// `--locked`: what is checked is the versions that are committed, and a Cargo.lock out of date is a failure.
const CHECKS: [Check; 6] = [
    check(&["fmt", "--all", "--check"]),
    check(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    Check { with_oldest: true, ..check(&["check", "--locked", "--workspace", "--all-targets"]) },
    check(&["test", "--locked", "--workspace"]),
    // Without the default feature, which would compile libFuzzer and wants a C++ compiler.
    check(&["check", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]),
    Check {
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        ..check(&["doc", "--locked", "--workspace", "--no-deps"])
    },
];

const fn check(arguments: &'static [&'static str]) -> Check {
    Check { arguments, variable: None, with_oldest: false }
}

/// The task.
pub(crate) fn run(_args: &Args) -> io::Result<ExitCode> {
    for check in CHECKS {
        if !check.passes()? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Check {
    /// Runs it. One that is not run passes.
    fn passes(&self) -> io::Result<bool> {
        let (name, mut cargo) = if self.with_oldest {
            let Some(toolchain) = oldest()? else { return Ok(true) };
            (format!("cargo +{toolchain}"), cargo_of(&toolchain))
        } else {
            ("cargo".to_owned(), cargo())
        };
        let set = self.variable.map(|(name, value)| format!("{name}='{value}' ")).unwrap_or_default();
        eprintln!("$ {set}{name} {}", self.arguments.join(" "));
        Ok(cargo.args(self.arguments).envs(self.variable).status()?.success())
    }
}

/// `cargo +TOOLCHAIN`. The cargo that runs this task sets variables for its children, which name its own
/// programs.
fn cargo_of(toolchain: &str) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", toolchain, "cargo"]).current_dir(root());
    rustup.env_remove("CARGO").env_remove("RUSTC");
    rustup
}

/// The toolchain of the workspace's rust-version, as rustup calls it. Without it, says NOT RUN.
///
/// # Errors
/// It is missing, and the variable CI is set.
fn oldest() -> io::Result<Option<String>> {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let full = if version.split('.').count() == 2 { format!("{version}.0") } else { version.to_owned() };
    let installed = Command::new("rustup").args(["toolchain", "list"]).output();
    let installed =
        installed.map(|list| String::from_utf8_lossy(&list.stdout).into_owned()).unwrap_or_default();
    if installed.lines().any(|line| line.starts_with(&format!("{full}-"))) {
        return Ok(Some(full));
    }
    let missing = format!("Rust {full} is missing: rustup toolchain install {full} --profile minimal");
    if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        return Err(io::Error::other(missing));
    }
    eprintln!("NOT RUN: cargo +{full} check: {missing}");
    Ok(None)
}
