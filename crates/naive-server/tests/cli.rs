//! The command line of `naive-server`: what it says of itself, wrong usage, and what it refuses to serve at.

#[path = "../../handshake-cli/tests/common/mod.rs"]
#[expect(dead_code, reason = "this server has no event log and no gate, and it prints a warning first")]
mod common;

use predicates::prelude::*;
use predicates::str::{contains, starts_with};

use common::{Stage, is_wrong_usage, program, refuses, says_of_itself};

#[test]
fn help_names_every_option() {
    says_of_itself(&["--wkp <PATH> = mario", "--quiet"]);
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
        is_wrong_usage(args, because);
    }
}

/// The course's server checks nothing: it would remove the file and the link.
#[test]
fn what_cannot_be_the_well_known_pipe_is_refused() {
    let stage = Stage::set();
    for (name, errno) in [
        ("none/mario", "ENOENT"),
        ("directory", "EEXIST"),
        ("file", "EEXIST"),
        ("link", "EEXIST"),
        ("file/mario", "ENOTDIR"),
    ] {
        let wkp = stage.at(name);
        let because = format!("cannot serve at {wkp:?}: {errno} (");
        refuses(program(["-q".as_ref(), "--wkp".as_ref(), wkp.as_os_str()]), 3, &because);
        stage.is_untouched();
    }
}

#[test]
fn the_environment_names_the_well_known_pipe() {
    let stage = Stage::set();
    let mut from_environment = program(["-q"]);
    from_environment.env("HANDSHAKE_WKP", stage.at("directory"));
    refuses(from_environment, 3, &format!("cannot serve at {:?}", stage.at("directory")));
    let file = stage.at("file");
    let mut from_both = program(["-q".as_ref(), "--wkp".as_ref(), file.as_os_str()]);
    from_both.env("HANDSHAKE_WKP", stage.at("directory"));
    refuses(from_both, 3, &format!("cannot serve at {file:?}"));
    stage.is_untouched();
}

#[test]
fn it_first_warns_that_it_loses_clients() {
    let stage = Stage::set();
    let warning = starts_with("naive-server: a teaching example, not for deployment: it loses clients\n");
    let refused = program(["--wkp".as_ref(), stage.at("file").as_os_str()]).assert();
    refused.code(3).stdout("").stderr(warning.and(contains("EEXIST")));
    stage.is_untouched();
}
