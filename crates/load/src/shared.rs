//! What all connections share.

use std::rc::Rc;

use handshake_core::process::Process;
use handshake_core::sys::Poller;

use super::Plan;
use super::tally::Tally;

/// The process, the plan, and one of everything that no connection needs alone.
#[derive(Debug)]
pub(crate) struct Shared {
    /// None: no signal is waited for.
    pub(crate) process: Option<Rc<Process>>,
    pub(crate) is_watched: bool,
    pub(crate) plan: Plan,
    pub(crate) poller: Poller,
    pub(crate) tally: Tally,
    /// A buffer for a request, or for its expected reply.
    pub(crate) message: Vec<u8>,
    /// A buffer for requests that are not written yet.
    pub(crate) out: Vec<u8>,
    /// A buffer for replies.
    pub(crate) room: Vec<u8>,
}
