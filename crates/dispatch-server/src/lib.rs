//! The central dispatch server: all that clients send goes through one process, the central process.
//!
//! ```text
//! client --> well-known pipe --> central process --> unnamed pipe --> subserver --> private pipe --> client
//! ```
//!
//! Steps 1 to 8 are those of the forking server; with `--shared-wkp` the WKP keeps its name. Then the central
//! process reads every byte from every client, and passes it on to that client's subserver. The subserver
//! answers straight into the private pipe. A second unnamed pipe carries the subserver's status back to the
//! central process.
//!
//! ```no_run
//! use handshake_core::{Options, Request, Response, Service, UpstreamMode};
//!
//! struct Describe;
//!
//! impl Service for Describe {
//!     fn call(&mut self, request: Request<'_>, response: &mut Response) {
//!         let text = format!("session {:016x}, request {}", request.session(), request.number());
//!         response.write(text.as_bytes());
//!     }
//! }
//!
//! fn main() -> handshake_core::Result<()> {
//!     dispatch_server::serve(Options::at("describe").upstream(UpstreamMode::Shared).service(|| Describe))
//! }
//! ```
//!
//! [handshake_core] has the client, and says when to use which server. Without its default feature `cli`,
//! this crate depends on no command line.
//!
//! To read the code, begin with [`serve`], then `central.rs`. A request takes this way:
//!
//! 1. client --> central process: `own_pipe.rs`, or with `UpstreamMode::Shared` (`--shared-wkp`)
//!    `shared_wkp.rs`. These are two readings of the course's text: each client has its own well-known pipe,
//!    or all clients share one.
//! 2. central process --> subserver: `clients.rs`, which writes to the unnamed pipe by `flow.rs`.
//! 3. subserver --> client: `serve_client`. `pair.rs` has the subserver's ends of the unnamed pipes.
//!
//! Deliberately absent: the central process never waits for one client or subserver. It looks into no
//! message, except for names that course clients may have written into another client's pipe. A subserver
//! never reads a named pipe.

#[cfg(feature = "cli")]
mod args;
mod arrival;
mod central;
mod clients;
mod flow;
mod own_pipe;
mod pair;
mod shared_wkp;
mod used_pipes;

use handshake_core::server::pending::PendingClient;
use handshake_core::{Options, Response, Result, Server};

use central::Central;
use pair::SubserverEnds;

#[cfg(feature = "cli")]
pub use args::{Args, run};

/// Serves clients, each by a subserver. Blocks until a signal or [`Options::stop_fd`] asks the server to end,
/// and then until all sessions have ended, at most for the grace. A panic of a service ends its session
/// alone.
///
/// This process must have one thread: with others it cannot fork, and gets `EDEADLK`. It reaps every child
/// that ends, also those that it made otherwise. [`Service`](handshake_core::Service) says what a fork means
/// for state and files.
///
/// # Errors
/// The server cannot use the well-known pipe, or can no longer use it: [`Error::NoName`], [`Error::NotOurs`],
/// [`Error::InUse`], [`Error::System`]. [`Error::Signal`]: a second signal asked the server to end at once. A
/// client's mistake is no error.
///
/// [`Error::NoName`]: handshake_core::Error::NoName
/// [`Error::NotOurs`]: handshake_core::Error::NotOurs
/// [`Error::InUse`]: handshake_core::Error::InUse
/// [`Error::System`]: handshake_core::Error::System
/// [`Error::Signal`]: handshake_core::Error::Signal
pub fn serve(options: Options) -> Result<()> {
    let mut server = Server::start(options)?;
    let mut central = Central::new(&server)?;
    server.create_wkp()?; // Step 1.
    // Step 2. (Steps 3, 4 and 5 are the client's.) At capacity, the well-known pipe is left to the kernel.
    while let Some(arrived) = central.wait(&mut server)? {
        central.receive(&mut server, arrived)?; // Steps 6 and 1, and client --> server --> subserver.
        central.reap();
        while central.has_room()
            && let Some(client) = server.next_pending()?
        {
            central.fork_subserver(&mut server, client, serve_client); // Step 7.
        }
    }
    central.end(server)
}

/// Serves one client, from its acknowledgement to its end.
fn serve_client(server: &Server, client: PendingClient, ends: SubserverEnds) -> Result<()> {
    let mut service = server.new_service();
    let mut session = ends.acknowledge(server, client)?; // Step 8.
    session.await_ready()?; // (The client's own step 8, confirmed.)
    let (mut message, mut response) = (Vec::new(), Response::default());
    while session.receive(&mut message)? {
        session.process(service.as_mut(), &mut message, &mut response)?;
        session.reply(&response)?; // Queued: `receive` writes it before it waits.
    }
    Ok(())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
