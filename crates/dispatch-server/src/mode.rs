//! The ring's last arc, client --> well-known pipe --> server, which has two readings.

/// How the ring's last arc, client --> well-known pipe --> server, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamMode {
    /// Each client's upstream is the well-known pipe that it shook hands on, nameless since step 6 and kept open here as
    /// long as the client lives. Back-pressure, end of file and privacy come per client, from the kernel.
    PerClient,
    /// One well-known pipe that is never removed; all clients write their frames to it for good, and the session number
    /// says whose they are. So that nobody can flood the rest, each has a window.
    Shared,
}

impl UpstreamMode {
    /// How many descriptors the central process holds for each client.
    pub fn descriptors_each(self) -> u64 {
        match self {
            Self::PerClient => 3,
            Self::Shared => 2,
        }
    }
}

/// `--shared-wkp`: why a client of the course dialect cannot be served.
pub(crate) const NO_COURSE: &str =
    "it speaks the course dialect, whose messages do not say whose they are; with --shared-wkp they must";

/// `--shared-wkp`: frames that a client may have unanswered. Sixteen full ones are the 64 KiB of a pipe: nobody can
/// fill the well-known pipe by keeping the rules.
pub(crate) const WINDOW: u16 = 16;
