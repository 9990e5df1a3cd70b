//! On which processors a trial's processes run: what moves latency more than anything else.

use serde::{Deserialize, Serialize};

/// So many processes keep processors busy in [`Placement::Busy`].
pub(crate) const BUSY: usize = 2;

/// Where server and clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placement {
    /// Wherever the kernel puts them.
    Free,
    /// All on one.
    SameCore,
    /// The server with its subservers on one, the clients on another.
    DifferentCores,
    /// Wherever the kernel puts them, beside two processes that never sleep.
    Busy,
}

impl Placement {
    /// For tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::SameCore => "same core",
            Self::DifferentCores => "different cores",
            Self::Busy => "free, 2 busy others",
        }
    }
}
