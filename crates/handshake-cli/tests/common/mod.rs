//! The command line, tested: what the tests of all programs share. Each of them includes this file, since
//! `cargo_bin!` finds the programs of its own package only.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, is_match};
use tempfile::TempDir;

/// The program is called like its package.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// Far longer than anything here takes; what takes longer hangs.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// Bytes that nobody may touch.
pub(crate) const OF_VALUE: &str = "of value";

/// The program, about to be run with these arguments.
pub(crate) fn program<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = assert_cmd::cargo_bin_cmd!();
    command.args(args).timeout(WATCHDOG).env_remove("HANDSHAKE_WKP");
    command
}

/// Its help names just these options, and its version is that of its package.
pub(crate) fn says_of_itself(options: &[&str]) {
    let version = format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION"));
    program(["--version"]).assert().code(0).stdout(version).stderr(is_empty());
    program(["-h"]).assert().code(0).stdout(contains("Usage: ").and(contains(PROGRAM))).stderr(is_empty());
    let told = program(["--help"]).assert().code(0).stderr(is_empty());
    let help = String::from_utf8_lossy(&told.get_output().stdout).into_owned();
    // Each begins a line: `  -q, --quiet`, `      --gate <FD>`.
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

/// With these arguments it ends with 2, and says what is wrong with them.
pub(crate) fn is_wrong_usage(args: &[&str], because: &str) {
    let told = contains(because).and(contains("For more information, try '--help'."));
    program(args).assert().code(2).stdout(is_empty()).stderr(told);
}

/// It ends with this status and one line: program, operation, object, error by name and meaning, what to try.
pub(crate) fn refuses(mut command: Command, status: i32, because: &str) {
    let form = format!(r"^{PROGRAM}: cannot [^\n]+: [A-Za-z ]+ \([^\n]+\): [^\n]+\n$");
    let told = is_match(form).expect("a good pattern").and(contains(because));
    command.assert().code(status).stdout(is_empty()).stderr(told);
}

/// A directory with things in it that are no well-known pipe.
pub(crate) struct Stage(TempDir);

impl Stage {
    /// With a file, a directory and a symbolic link.
    pub(crate) fn set() -> Self {
        let stage = Self(TempDir::new().expect("a directory"));
        fs::write(stage.at("file"), OF_VALUE).unwrap();
        fs::create_dir(stage.at("directory")).unwrap();
        symlink("file", stage.at("link")).unwrap();
        stage
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Nothing has been added, taken away or changed.
    pub(crate) fn is_untouched(&self) {
        assert_eq!(self.added(), [""; 0]);
        assert_eq!(fs::read_to_string(self.at("file")).unwrap(), OF_VALUE);
        assert!(self.at("directory").is_dir());
        assert_eq!(fs::read_link(self.at("link")).unwrap(), Path::new("file"));
    }

    /// What has been added.
    pub(crate) fn added(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| !["file", "directory", "link"].contains(&name.as_str())).collect()
    }

    /// None of these can be the well-known pipe, for these reasons, and none is touched.
    pub(crate) fn refuse_as_wkp(&self, all: [(&str, &str); 5]) {
        for (name, errno) in all {
            let wkp = self.at(name);
            refuses(program([Path::new("--wkp"), &wkp]), 3, &format!(": {errno} ("));
            self.is_untouched();
        }
    }

    /// Descriptors that nobody left open and files that cannot be opened, in these options, are refused.
    pub(crate) fn refuse_closed(&self, descriptors: &[&str]) {
        for option in descriptors {
            let hint = format!(
                "descriptor 99: EBADF (bad file number): whoever starts this program with {option} 99"
            );
            refuses(program([option, "99"]), 3, &hint);
        }
        for (file, errno) in [("none/events", "ENOENT"), ("directory", "EISDIR")] {
            let because = format!("cannot open the event log {:?}: {errno} (", self.at(file));
            refuses(program([Path::new("--events"), &self.at(file)]), 3, &because);
        }
        self.is_untouched();
    }
}
