//! The options of the server under test.

use std::time::Duration;

use probe::paradigm::Kind;

/// The server's deadlines are short, so that silent clients do not hold up a basic server for long.
pub(super) const DEADLINE: Duration = Duration::from_secs(1);
/// The most clients at a time. More come than that, because a server at capacity is part of the soak.
const MOST: &str = "8";

/// The server's options.
pub(super) fn options(kind: Kind) -> Vec<String> {
    let deadline = format!("{}ms", DEADLINE.as_millis());
    let mut options = vec!["-q", "--service", "reverse"];
    options.extend(["--handshake-timeout", &deadline, "--idle-timeout", &deadline]);
    if kind.forks() {
        options.extend(["--max-clients", MOST]);
    }
    options.extend(kind.shared_wkp.then_some("--shared-wkp"));
    options.into_iter().map(str::to_owned).collect()
}
