//! `cargo xtask ci`.

use std::io;
use std::process::ExitCode;

use crate::cargo::cargo;

/// Exactly what CI runs: formatting, lints, tests, the fuzz package, documentation; stops at the first failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A check: cargo's arguments, and what is set in its environment.
type Check = (&'static [&'static str], Option<(&'static str, &'static str)>);

const CHECKS: [Check; 5] = [
    (&["fmt", "--all", "--check"], None),
    (&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], None),
    (&["test", "--workspace"], None),
    // Without the default feature, which would compile libFuzzer and wants a C++ compiler.
    (&["check", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"], None),
    (&["doc", "--workspace", "--no-deps"], Some(("RUSTDOCFLAGS", "-D warnings"))),
];

/// The task.
pub(crate) fn run(_args: &Args) -> io::Result<ExitCode> {
    for (arguments, variable) in CHECKS {
        let set = variable.map(|(name, value)| format!("{name}='{value}' ")).unwrap_or_default();
        eprintln!("$ {set}cargo {}", arguments.join(" "));
        let status = cargo().args(arguments).envs(variable).status()?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
