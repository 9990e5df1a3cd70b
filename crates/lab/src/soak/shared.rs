//! What all clients share.

use std::rc::Rc;

use handshake_core::error::{Error, Result};
use handshake_core::place::Place;
use handshake_core::process::Process;
use handshake_core::sys::Poller;

use super::score::Score;
use crate::server_under_test::ServerUnderTest;

/// One of everything that no client needs alone.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) process: Rc<Process>,
    pub(super) place: Place,
    pub(super) poller: Poller,
    pub(super) score: Score,
    /// A buffer for a request, or for its expected reply.
    pub(super) message: Vec<u8>,
    /// A buffer for a reply.
    pub(super) reply: Vec<u8>,
}

impl Shared {
    /// The shared state before the first client.
    ///
    /// # Errors
    /// No file descriptor is left for the poller.
    pub(super) fn new(process: &Rc<Process>, server: &ServerUnderTest) -> Result<Self> {
        Ok(Self {
            process: Rc::clone(process),
            place: server.place.clone(),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            score: Score::default(),
            message: Vec::new(),
            reply: Vec::new(),
        })
    }
}
