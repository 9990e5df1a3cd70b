//! `cargo xtask ci`.

use std::io;
use std::process::{Command, ExitCode};

use crate::cargo::{cargo, root};

/// Run all checks of the CI: formatting, lints, the oldest Rust, tests, the library's API, the fuzz package,
/// documentation; stop at the first failure.
///
/// The oldest Rust is the rust-version of Cargo.toml. The task checks with it if rustup has installed it.
/// Where the variable CI is set, a missing toolchain is an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A check that cargo runs.
struct Check {
    /// The arguments of cargo.
    arguments: &'static [&'static str],
    /// An environment variable to set.
    variable: Option<(&'static str, &'static str)>,
    /// Whether to run it with the oldest Rust instead of this one.
    with_oldest: bool,
}

/// `--locked`: cargo checks the committed versions, and fails if Cargo.lock is out of date.
const CHECKS: [Check; 8] = [
    check(&["fmt", "--all", "--check"]),
    check(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    Check { with_oldest: true, ..check(&["check", "--locked", "--workspace", "--all-targets"]) },
    check(&["test", "--locked", "--workspace"]),
    check(&["run", "--locked", "--quiet", "--package", "xtask", "--", "api"]),
    // As libraries, the servers have no command line.
    check(&["check", "--locked", "--no-default-features", "-p", "*-server"]),
    // Without the default feature, which compiles libFuzzer and needs a C++ compiler.
    check(&["check", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]),
    Check {
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        ..check(&["doc", "--locked", "--workspace", "--no-deps"])
    },
];

const fn check(arguments: &'static [&'static str]) -> Check {
    Check { arguments, variable: None, with_oldest: false }
}

/// Runs the task.
pub(crate) fn run(_args: &Args) -> io::Result<ExitCode> {
    for check in CHECKS {
        if !check.passes()? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Check {
    /// Runs the check. A check that is not run counts as passed.
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

/// `cargo +TOOLCHAIN`. It must not inherit the variables in which the cargo that runs this task names its own
/// programs.
fn cargo_of(toolchain: &str) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", toolchain, "cargo"]).current_dir(root());
    rustup.env_remove("CARGO").env_remove("RUSTC");
    rustup
}

/// The toolchain of the workspace's rust-version, under rustup's name. If it is missing, prints NOT RUN.
///
/// # Errors
/// The toolchain is missing, and the variable CI is set.
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
