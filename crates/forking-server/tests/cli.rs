//! The command line of `forking-server`: the tests of every server, and the options of this one alone.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;
#[path = "../../handshake-cli/tests/common/server.rs"]
mod server;

/// The options of this server alone, in the form of its help.
const OPTIONS: &[&str] = &["--max-clients <N>"];

/// Wrong command lines, and what the server says about each.
const WRONG: &[(&[&str], &str)] = &[
    (&["--max-clients", "0"], "at least 1"),
    (&["--max-clients=-1"], "at least 1"),
    (&["--max-clients", "many"], "at least 1"),
    (&["--shared-wkp"], "'--shared-wkp'"),
];

/// Command lines under which the server must run and end well.
const RUNS: &[&[&str]] = &[&[], &["--max-clients", "1"], &["--service", "echo", "--idle-timeout", "5s"]];
