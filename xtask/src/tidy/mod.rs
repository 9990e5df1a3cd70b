//! `cargo xtask tidy`.

mod crates;
mod cycles;
mod texts;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::root;

/// Check the shape of the workspace.
///
/// Which crate may use which, no import cycle, no long line or file, a doc at the top of each file, and no
/// word that was replaced.
///
/// The tables are in xtask/src/tidy. CONTRIBUTING.md says what to do about each finding. `cargo test` checks
/// the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A file of the workspace, by its path from the root.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }

    /// "crates/lab/src/lib.rs:12".
    fn line(&self, number: usize) -> String {
        format!("{}:{number}", self.path.display())
    }
}

/// The task.
pub(crate) fn run(_args: &Args) -> io::Result<ExitCode> {
    let findings = findings()?;
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings() -> io::Result<Vec<String>> {
    let files = files()?;
    let mut findings = Vec::new();
    findings.extend(crates::findings(&files));
    findings.extend(cycles::findings(&files));
    findings.extend(texts::findings(&files));
    Ok(findings)
}

/// All Rust, Cargo and Markdown files that git knows, or would add.
fn files() -> io::Result<Vec<File>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.rs", "*.toml", "*.md"]);
    let listed = git.current_dir(root()).output()?;
    if !listed.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&listed.stderr).into_owned()));
    }
    let paths = String::from_utf8_lossy(&listed.stdout).into_owned();
    // A file that was removed and not committed yet is listed, too.
    let existing = paths.split_terminator('\0').map(Path::new).filter(|path| root().join(path).exists());
    existing
        .map(|path| {
            let text = std::fs::read_to_string(root().join(path))?;
            Ok(File { path: path.to_owned(), text })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let findings = super::findings().expect("git lists the files");
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }
}
