//! The command line of `basic-server`: that of every server, and what only this paradigm has.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;
#[path = "../../handshake-cli/tests/common/server.rs"]
mod server;

/// Its own options, in the form of its help.
const OPTIONS: &[&str] = &[];

/// What it does not take, and what it says to it.
const WRONG: &[(&[&str], &str)] =
    &[(&["--max-clients", "2"], "'--max-clients'"), (&["--shared-wkp"], "'--shared-wkp'")];

/// HandshakeSteps to run.
const RUNS: &[&[&str]] = &[&[], &["--verbose"], &["--service", "echo", "--idle-timeout", "5s"]];
