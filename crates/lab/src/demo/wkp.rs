//! The well-known pipe's name, and the names derived from it (docs/protocol.md).

use std::str::FromStr;

/// A name without a directory: the pipe is made in the demo's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wkp(String);

/// The longest name. The course's own is `mario`; this limit leaves room for the derived names.
const LONGEST: usize = 200;

impl FromStr for Wkp {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_bare = !name.contains('/') && !matches!(name, "" | "." | "..");
        if is_bare && name.len() <= LONGEST {
            Ok(Self(name.into()))
        } else {
            Err(format!("a bare name of at most {LONGEST} bytes: the pipe is made in the demo's directory"))
        }
    }
}

impl Wkp {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Whether a server makes this name: the pipe itself, its lock, the next pipe before its rename, or a
    /// fresh pipe.
    pub(super) fn is_of_server(&self, name: &str) -> bool {
        let made_of = |rest: &str| rest.is_empty() || rest.starts_with(".new.") || rest.starts_with(".up.");
        let is_lock = name.strip_prefix('.').and_then(|name| name.strip_prefix(&self.0)) == Some(".lock");
        is_lock || name.strip_prefix(&self.0).is_some_and(made_of)
    }

    /// Whether this is the private pipe of the client with this PID.
    pub(super) fn is_of_client(&self, name: &str, pid: u32) -> bool {
        name.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with(&format!(".client.{pid}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bare() {
        assert_eq!("luigi".parse::<Wkp>().unwrap().name(), "luigi");
        for wrong in ["", ".", "..", "/tmp/mario", "a/b", &"x".repeat(LONGEST + 1)] {
            assert!(wrong.parse::<Wkp>().is_err(), "{wrong:?} is no bare name");
        }
    }

    #[test]
    fn names_of_server_and_client_are_distinguished() {
        let wkp: Wkp = "mario".parse().unwrap();
        for name in ["mario", ".mario.lock", "mario.new.1", "mario.up.1.0123456789abcdef"] {
            assert!(wkp.is_of_server(name) && !wkp.is_of_client(name, 1), "{name}");
        }
        assert!(wkp.is_of_client("mario.client.4711.0123456789abcdef", 4711));
        for name in ["4711", "mario.client.47110.0123456789abcdef", "mariox", ".mario", "mario.lock", "luigi"]
        {
            assert!(!wkp.is_of_server(name) && !wkp.is_of_client(name, 4711), "{name}");
        }
    }
}
