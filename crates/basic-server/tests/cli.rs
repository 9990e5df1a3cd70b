//! The command line of `basic-server`: the tests of every server, and the options of this one alone.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;
#[path = "../../handshake-cli/tests/common/server.rs"]
mod server;

/// The options of this server alone, in the form of its help.
const OPTIONS: &[&str] = &[];

/// Wrong command lines, and what the server says about each.
const WRONG: &[(&[&str], &str)] =
    &[(&["--max-clients", "2"], "'--max-clients'"), (&["--shared-wkp"], "'--shared-wkp'")];

/// Command lines under which the server must run and end well.
const RUNS: &[&[&str]] = &[&[], &["--verbose"], &["--service", "echo", "--idle-timeout", "5s"]];
