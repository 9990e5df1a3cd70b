//! The command line of `naive-server`: its help, wrong usage, and where it refuses to serve.

#[path = "../../handshake-cli/tests/common/mod.rs"]
#[expect(dead_code, reason = "this server has no event log and no gate, and it prints a warning first")]
mod common;

use predicates::prelude::*;
use predicates::str::{contains, starts_with};

use common::{TestDirectory, check_error, check_help_and_version, check_wrong_usage, program};

#[test]
fn help_names_every_option() {
    check_help_and_version(&["--wkp <PATH> = mario", "--quiet"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    let all: [(&[&str], &str); 6] = [
        (&["--no-such"], "'--no-such'"),
        (&["mario"], "'mario'"),
        (&["--wkp"], "--wkp"),
        (&["--wkp", ""], "--wkp"),
        (&["--service", "echo"], "'--service'"),
        (&["--verbose"], "'--verbose'"),
    ];
    for (args, because) in all {
        check_wrong_usage(args, because);
    }
}

/// The course's server checks nothing: it would remove the file and the link.
#[test]
fn what_cannot_be_the_well_known_pipe_is_refused() {
    let directory = TestDirectory::new();
    for (name, errno) in [
        ("none/mario", "ENOENT"),
        ("directory", "EEXIST"),
        ("file", "EEXIST"),
        ("link", "EEXIST"),
        ("file/mario", "ENOTDIR"),
    ] {
        let wkp = directory.at(name);
        let because = format!("cannot serve at {wkp:?}: {errno} (");
        check_error(program(["-q".as_ref(), "--wkp".as_ref(), wkp.as_os_str()]), 3, &because);
        directory.check_untouched();
    }
}

#[test]
fn the_environment_names_the_well_known_pipe() {
    let directory = TestDirectory::new();
    let mut from_environment = program(["-q"]);
    from_environment.env("HANDSHAKE_WKP", directory.at("directory"));
    check_error(from_environment, 3, &format!("cannot serve at {:?}", directory.at("directory")));
    let file = directory.at("file");
    let mut from_both = program(["-q".as_ref(), "--wkp".as_ref(), file.as_os_str()]);
    from_both.env("HANDSHAKE_WKP", directory.at("directory"));
    check_error(from_both, 3, &format!("cannot serve at {file:?}"));
    directory.check_untouched();
}

#[test]
fn it_first_warns_that_it_loses_clients() {
    let directory = TestDirectory::new();
    let warning = starts_with("naive-server: a teaching example, not for deployment: it loses clients\n");
    let refused = program(["--wkp".as_ref(), directory.at("file").as_os_str()]).assert();
    refused.code(3).stdout("").stderr(warning.and(contains("EEXIST")));
    directory.check_untouched();
}
