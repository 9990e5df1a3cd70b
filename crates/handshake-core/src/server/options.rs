//! How a server is to serve.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::server::course::open::CourseOptions;
use crate::server::session::SessionLimits;
use crate::service::{BuiltIn, Service};

/// Which pipe brings what a client sends: how the last arc of central dispatch, client --> well-known pipe --> server, is
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamMode {
    /// The well-known pipe that the client shook hands on. It has no name since step 6, and is this client's alone: the
    /// kernel gives each client backpressure, EOF and privacy.
    PerClient,
    /// One well-known pipe that is never removed (`--shared-wkp`). All clients write their frames to it for good, and the
    /// session number says whose they are. Each has a window, and cannot flood the others.
    Shared,
}

/// How to serve: the command line as meant.
pub struct Options {
    /// The well-known pipe.
    pub wkp: PathBuf,
    /// Makes a service for each new session.
    pub service: Box<dyn Fn() -> Box<dyn Service>>,
    /// The most clients at a time, where there may be several.
    pub max_clients: usize,
    /// Which pipe brings what a client sends, in dispatch.
    pub upstream: UpstreamMode,
    /// The longest message, limits in time.
    pub limits: SessionLimits,
    /// What course clients expect.
    pub course: CourseOptions,
    /// One newline goes there once clients can connect; then it is closed.
    pub ready: Option<OwnedFd>,
}

impl Options {
    /// Serve at `wkp`, with the defaults of the commands.
    pub fn at(wkp: impl Into<PathBuf>) -> Self {
        Self {
            wkp: wkp.into(),
            service: Box::new(|| BuiltIn::default().for_session()),
            max_clients: 100,
            upstream: UpstreamMode::PerClient,
            limits: SessionLimits::default(),
            course: CourseOptions::default(),
            ready: None,
        }
    }

    /// Serve with this service; `new` makes one for each session.
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
