//! The programs under test, and the examples. The cargo that runs the test builds them, so they are always up
//! to date.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The programs, named like their packages.
pub(crate) const PROGRAMS: [&str; 6] =
    ["naive-server", "basic-server", "forking-server", "dispatch-server", "client", "lab"];

/// The packages that have examples.
const EXAMPLES: [&str; 4] = ["handshake-core", "basic-server", "forking-server", "dispatch-server"];

/// Builds all programs now. What measures time calls this first.
pub(crate) fn build_programs() {
    path_of("client");
}

/// Returns the path of a program. The first call builds all programs.
pub fn path_of(program: &str) -> &'static Path {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    find(BUILT.get_or_init(|| build(&["--locked"], &PROGRAMS)), program)
}

/// Returns the path of an example. The first call builds all examples.
pub fn example(name: &str) -> &'static Path {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    find(BUILT.get_or_init(|| build(&["--locked", "--examples"], &EXAMPLES)), name)
}

fn find<'a>(built: &'a HashMap<String, PathBuf>, name: &str) -> &'a Path {
    built.get(name).unwrap_or_else(|| panic!("cargo built no program {name:?}, only {built:?}"))
}

fn build(options: &[&str], packages: &[&str]) -> HashMap<String, PathBuf> {
    let mut command = cargo("build");
    command.args(options).args(packages.iter().flat_map(|package| ["--package", package]));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    build_by(command.current_dir(workspace()))
}

/// The workspace's directory.
pub fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("this package is a folder of the workspace")
}

/// Prepares a command of the cargo that runs the test.
pub fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).arg("--quiet");
    command
}

/// Runs a `cargo build`. Returns the paths of the programs and examples that it has built, by their names.
pub fn build_by(command: &mut Command) -> HashMap<String, PathBuf> {
    let output = command.arg("--message-format=json").stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let messages: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        messages.iter().filter_map(|message| message["message"]["rendered"].as_str()).collect::<String>()
    );
    messages.iter().filter_map(executable).collect()
}

/// Returns the name and path of the program in a message from cargo, if the message has one.
fn executable(message: &Value) -> Option<(String, PathBuf)> {
    let target = &message["target"];
    let is_program = target["kind"].as_array()?.iter().any(|kind| kind == "bin" || kind == "example");
    let path = message["executable"].as_str()?;
    is_program.then_some((target["name"].as_str()?.to_owned(), PathBuf::from(path)))
}
