//! What the command-line tests of all programs share. Each package includes this file, because `cargo_bin!`
//! finds the programs of its own package only.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, is_match};
use tempfile::TempDir;

/// The program has the name of its package.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// Far longer than any test here takes: a program that takes longer hangs.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// The contents of a file that no program may change.
pub(crate) const CONTENTS: &str = "of value";

/// The program, ready to run with these arguments.
pub(crate) fn program<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = assert_cmd::cargo_bin_cmd!();
    command.args(args).timeout(WATCHDOG).env_remove("HANDSHAKE_WKP");
    command
}

/// Checks that the help names exactly these options, and that the version is that of the package.
pub(crate) fn check_help_and_version(options: &[&str]) {
    let version = format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION"));
    program(["--version"]).assert().code(0).stdout(version).stderr(is_empty());
    program(["-h"]).assert().code(0).stdout(contains("Usage: ").and(contains(PROGRAM))).stderr(is_empty());
    let told = program(["--help"]).assert().code(0).stderr(is_empty());
    let help = String::from_utf8_lossy(&told.get_output().stdout).into_owned();
    // Each option begins a line: `  -q, --quiet`, `      --gate <FD>`.
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let named: BTreeSet<_> = lines.filter_map(|line| Some(line[line.find("--")?..].trim_end())).collect();
    let expected = options.iter().copied().chain(["--help", "--version"]);
    assert_eq!(named, expected.map(|option| option.split(" = ").next().unwrap()).collect(), "{help}");
    for (option, default) in options.iter().filter_map(|option| option.split_once(" = ")) {
        let (_, behind) = help.split_once(option).expect("it is named");
        let its_own = behind.split("\n  ").take_while(|line| !line.trim_start().starts_with('-'));
        assert!(its_own.collect::<String>().contains(&format!("[default: {default}]")), "{option}: {help}");
    }
}

/// Checks that the program exits with 2 for these arguments, and says what is wrong with them.
pub(crate) fn check_wrong_usage(args: &[&str], because: &str) {
    let told = contains(because).and(contains("For more information, try '--help'."));
    program(args).assert().code(2).stdout(is_empty()).stderr(told);
}

/// Checks that the program exits with this status and one line: program, operation, object, error by name and
/// meaning, hint.
pub(crate) fn check_error(mut command: Command, status: i32, because: &str) {
    let form = format!(r"^{PROGRAM}: cannot [^\n]+: [A-Za-z ]+ \([^\n]+\): [^\n]+\n$");
    let told = is_match(form).expect("a good pattern").and(contains(because));
    command.assert().code(status).stdout(is_empty()).stderr(told);
}

/// A directory whose entries are no well-known pipes.
pub(crate) struct TestDirectory(TempDir);

impl TestDirectory {
    /// Makes the directory, with a file, a directory and a symbolic link in it.
    pub(crate) fn new() -> Self {
        let directory = Self(TempDir::new().expect("a directory"));
        fs::write(directory.at("file"), CONTENTS).unwrap();
        fs::create_dir(directory.at("directory")).unwrap();
        symlink("file", directory.at("link")).unwrap();
        directory
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Checks that nothing was added, removed or changed.
    pub(crate) fn check_untouched(&self) {
        assert_eq!(self.added(), [""; 0]);
        assert_eq!(fs::read_to_string(self.at("file")).unwrap(), CONTENTS);
        assert!(self.at("directory").is_dir());
        assert_eq!(fs::read_link(self.at("link")).unwrap(), Path::new("file"));
    }

    /// The names that were added.
    pub(crate) fn added(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| !["file", "directory", "link"].contains(&name.as_str())).collect()
    }

    /// Checks that the program refuses each of these as the well-known pipe, with this error, and changes
    /// nothing.
    pub(crate) fn check_refused_as_wkp(&self, all: [(&str, &str); 5]) {
        for (name, errno) in all {
            let wkp = self.at(name);
            check_error(program([Path::new("--wkp"), &wkp]), 3, &format!(": {errno} ("));
            self.check_untouched();
        }
    }

    /// Checks that the program refuses file descriptors that are not open, and event logs that cannot be
    /// opened.
    pub(crate) fn check_refused_fds(&self, options: &[&str]) {
        for option in options {
            let hint = format!(
                "descriptor 99: EBADF (bad file number): the program that starts this one with {option} 99"
            );
            check_error(program([option, "99"]), 3, &hint);
        }
        for (file, errno) in [("none/events", "ENOENT"), ("directory", "EISDIR")] {
            let because = format!("cannot open the event log {:?}: {errno} (", self.at(file));
            check_error(program([Path::new("--events"), &self.at(file)]), 3, &because);
        }
        self.check_untouched();
    }
}
