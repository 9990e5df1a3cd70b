//! How a server serves.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::event::Role;
use crate::event_log::EventLog;
use crate::process::Process;
use crate::server::course::open::CourseOptions;
use crate::service::{BuiltIn, Service};
use crate::wait::signals::Handling;

/// Which pipe brings the requests of a client to a dispatch server. The other servers know only `PerClient`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamMode {
    /// A pipe for each client: the well-known pipe that the client connected to, whose name the next pipe
    /// gets. The kernel gives each client backpressure, EOF and privacy.
    PerClient,
    /// One well-known pipe for all, which keeps its name. The session number identifies the sender. Each
    /// client has a window, and cannot flood the others.
    Shared,
}

/// The limits that a server sets for each client. The defaults are 16 MiB, 5 seconds for a handshake, no
/// limit for an idle client or one in a queue, and a grace of 2 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The longest request and the longest reply, in bytes. A longer one is refused, and the session goes on.
    pub longest: usize,
    /// The longest time from the acknowledgement to the client's confirmation. 0: forever.
    pub handshake_timeout: Duration,
    /// The longest time without a byte in either direction. 0: forever.
    pub idle_timeout: Duration,
    /// The longest time that a course client waits until another client leaves the pipe that its name came
    /// through. 0: forever.
    pub queue_timeout: Duration,
    /// How long a server that was asked to end still answers the requests that it has received. It then drops
    /// the sessions that are left.
    pub grace: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            longest: 16 << 20,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::ZERO,
            queue_timeout: Duration::ZERO,
            grace: Duration::from_secs(2),
        }
    }
}

/// How to serve, and where. The `serve` of each server crate takes it.
///
/// ```
/// # use handshake_core::{Options, BuiltIn};
/// let options = Options::at("adder").service(|| BuiltIn::Echo).max_clients(10);
/// ```
#[must_use]
#[non_exhaustive]
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
    /// The server ends when this is readable or at EOF.
    pub stop: Option<OwnedFd>,
    signals: Handling,
    /// The process, if the caller has set one up.
    process: Option<Rc<Process>>,
}

impl Options {
    /// Returns the options for a server at this path. The defaults are the service [`BuiltIn::Upper`], at
    /// most 100 clients, messages of at most 16 MiB, and the limits in time of the commands.
    pub fn at(wkp: impl Into<PathBuf>) -> Self {
        Self {
            wkp: wkp.into(),
            service: Box::new(|| Box::new(BuiltIn::default())),
            max_clients: 100,
            upstream: UpstreamMode::PerClient,
            limits: SessionLimits::default(),
            course: CourseOptions::default(),
            ready: None,
            stop: None,
            signals: Handling::Termination,
            process: None,
        }
    }

    /// Sets the service. `new` makes one for each session, in the process that serves the session.
    /// [`Service`] says what that means for its state and its files.
    pub fn service<S: Service + 'static>(mut self, new: impl Fn() -> S + 'static) -> Self {
        self.service = Box::new(move || Box::new(new()));
        self
    }

    /// Sets the most clients at a time; 0 counts as 1. Further clients wait in the well-known pipe. A basic
    /// server has one.
    pub fn max_clients(self, clients: usize) -> Self {
        Self { max_clients: clients, ..self }
    }

    /// Sets which pipe brings a client's frames, in dispatch.
    pub fn upstream(self, upstream: UpstreamMode) -> Self {
        Self { upstream, ..self }
    }

    /// Sets the longest message, and the limits in time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use handshake_core::{Options, SessionLimits};
    /// let idle_timeout = Duration::from_secs(60);
    /// let options = Options::at("adder").limits(SessionLimits { idle_timeout, ..SessionLimits::default() });
    /// ```
    pub fn limits(self, limits: SessionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets what course clients expect.
    pub fn course(self, course: CourseOptions) -> Self {
        Self { course, ..self }
    }

    /// Sets where the server reports that clients can connect: it writes one newline there, and closes the
    /// file descriptor. The writing end of a pipe is usual.
    pub fn ready_fd(self, ready: impl Into<OwnedFd>) -> Self {
        Self { ready: Some(ready.into()), ..self }
    }

    /// Sets what ends the server, as SIGTERM does: the file descriptor becomes readable, or is at EOF. A
    /// signal after that is the second order to end. With the reading end of [`std::io::pipe`], dropping the
    /// writing end ends the server.
    pub fn stop_fd(self, stop: impl Into<OwnedFd>) -> Self {
        Self { stop: Some(stop.into()), ..self }
    }

    /// Leaves all signals to the host program, except SIGCHLD in forking and dispatch. The server then ends
    /// in good order only by its [`stop_fd`](Options::stop_fd). A host with threads needs this, unless it
    /// blocks SIGTERM, SIGINT, SIGHUP and SIGQUIT in all other threads: another thread may receive the
    /// signal, and the server would not wake up.
    pub fn leave_signals(self) -> Self {
        Self { signals: Handling::Nothing, ..self }
    }

    /// Serves in a process that the caller has set up.
    #[doc(hidden)]
    pub fn in_process(self, process: &Rc<Process>) -> Self {
        Self { process: Some(Rc::clone(process)), ..self }
    }

    /// Returns the process, set up for a server.
    pub(super) fn take_process(&mut self) -> Result<Rc<Process>> {
        let process = match self.process.take() {
            Some(process) => process,
            None => Rc::new(Process::start(self.signals, Role::Server, EventLog::default())?),
        };
        if let Some(stop) = self.stop.take() {
            process.end_when_readable(stop);
        }
        Ok(process)
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
