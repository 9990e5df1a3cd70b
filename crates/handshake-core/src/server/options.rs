//! How a server serves.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::server::course::open::CourseOptions;
use crate::server::session::SessionLimits;
use crate::service::{BuiltIn, Service};

/// Which pipe brings a client's frames: how the last arc of central dispatch, client --> well-known pipe -->
/// server, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamMode {
    /// The well-known pipe that the client used for the handshake. It has no name after step 6, and belongs
    /// to this client alone. The kernel gives each client backpressure, EOF and privacy.
    PerClient,
    /// One well-known pipe that is never removed (`--shared-wkp`). All clients write all their frames to it,
    /// and the session number identifies the sender. Each client has a window, and cannot flood the others.
    Shared,
}

/// How to serve: the parsed command line.
pub struct Options {
    /// The path of the well-known pipe.
    pub wkp: PathBuf,
    /// Makes a service for each new session.
    pub service: Box<dyn Fn() -> Box<dyn Service>>,
    /// The most clients at a time, in the paradigms that serve several.
    pub max_clients: usize,
    /// Which pipe brings a client's frames, in dispatch.
    pub upstream: UpstreamMode,
    /// The longest message, and the limits in time.
    pub limits: SessionLimits,
    /// What course clients expect.
    pub course: CourseOptions,
    /// The server writes one newline here once clients can connect, and then closes it.
    pub ready: Option<OwnedFd>,
}

impl Options {
    /// Returns the options for a server at `wkp`, with the defaults of the commands.
    pub fn at(wkp: impl Into<PathBuf>) -> Self {
        Self {
            wkp: wkp.into(),
            service: Box::new(|| Box::new(BuiltIn::default())),
            max_clients: 100,
            upstream: UpstreamMode::PerClient,
            limits: SessionLimits::default(),
            course: CourseOptions::default(),
            ready: None,
        }
    }

    /// Sets the service; `new` makes one for each session.
    #[must_use]
    pub fn service<S: Service + 'static>(mut self, new: impl Fn() -> S + 'static) -> Self {
        self.service = Box::new(move || Box::new(new()));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("wkp", &self.wkp)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
