//! The command line of `dispatch-server`: the options of every server, and those of this server alone.

#[path = "../../handshake-cli/tests/common/mod.rs"]
mod common;
#[path = "../../handshake-cli/tests/common/server.rs"]
mod server;

/// The options of this server alone, as its help prints them.
const OPTIONS: &[&str] = &["--max-clients <N>", "--shared-wkp"];

/// Options that the server does not accept, and a part of its message.
const WRONG: &[(&[&str], &str)] = &[
    (&["--max-clients", "0"], "at least 1"),
    (&["--max-clients=-1"], "at least 1"),
    (&["--max-clients", "many"], "at least 1"),
    (&["--shared-wkp=yes"], "'--shared-wkp'"),
];

/// Command lines that run a server.
const RUNS: &[&[&str]] = &[&[], &["--max-clients", "1"], &["--shared-wkp"]];
