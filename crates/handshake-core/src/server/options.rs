//! How a server is to serve.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::server::course::open::CourseOptions;
use crate::server::session::SessionLimits;
use crate::service::{BuiltIn, Service};

/// How to serve: the command line as meant.
pub struct Options {
    /// The well-known pipe.
    pub wkp: PathBuf,
    /// Makes a service for each new session.
    pub service: Box<dyn Fn() -> Box<dyn Service>>,
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
