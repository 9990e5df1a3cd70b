//! The command line of `forking-server`: that of every server, and what only this paradigm has.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;
#[path = "../../handshake-cli/tests/common/server.rs"]
mod server;

/// Its own options, in the form of its help.
const OPTIONS: &[&str] = &["--max-clients <N>"];

/// What it does not take, and what it says to it.
const WRONG: &[(&[&str], &str)] = &[
    (&["--max-clients", "0"], "at least 1"),
    (&["--max-clients=-1"], "at least 1"),
    (&["--max-clients", "many"], "at least 1"),
    (&["--shared-wkp"], "'--shared-wkp'"),
];

/// HandshakeSteps to run.
const RUNS: &[&[&str]] = &[&[], &["--max-clients", "1"], &["--service", "echo", "--idle-timeout", "5s"]];
