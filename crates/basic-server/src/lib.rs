//! The basic server: one client at a time.
//!
//! After the handshake, the server receives data from the client, processes it, and sends a response. When
//! the client exits, the server recreates the well-known pipe, removes the old client's connections, and
//! starts again.
//!
//! ```no_run
//! use std::{cell::Cell, rc::Rc};
//!
//! use handshake_core::{Options, Request, Response, Service};
//!
//! struct Total(Rc<Cell<usize>>); // shared by all sessions: they are in one process
//!
//! impl Service for Total {
//!     fn call(&mut self, request: Request<'_>, response: &mut Response) {
//!         self.0.set(self.0.get() + request.bytes().len());
//!         response.write(self.0.get().to_string().as_bytes());
//!     }
//! }
//!
//! fn main() -> handshake_core::Result<()> {
//!     let total = Rc::default();
//!     basic_server::serve(Options::at("total").service(move || Total(Rc::clone(&total))))
//! }
//! ```
//!
//! [handshake_core] has the client, and says when to use which server. Without its default feature `cli`,
//! this crate depends on no command line.
//!
//! To read the code, begin with [`serve`], then `serve_client`; the steps are those of docs/protocol.md.
//! Deliberately absent: the server never forks, and while it serves one client there is no well-known pipe
//! for the next.

#[cfg(feature = "cli")]
mod args;

use handshake_core::server::pending::PendingClient;
use handshake_core::{Options, Response, Result, Server};

#[cfg(feature = "cli")]
pub use args::{Args, run};

/// Serves clients, one after the other. Blocks until a signal or [`Options::stop_fd`] asks the server to end,
/// and then until the session has ended, at most for the grace. A program that has threads may serve in one
/// of them. A panic of the service ends the server, which removes its pipes.
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
    server.create_wkp()?; // Step 1.
    // Step 2. (Steps 3, 4 and 5 are the client's.)
    while let Some(arrived) = server.wait(true)? {
        if arrived.is_connection() {
            server.receive_and_remove()?; // Step 6.
        }
        while let Some(client) = server.next_pending()? {
            let (session, pipe) = (client.session, client.used_pipe());
            server.process().log_unless_signal(session, serve_client(&server, client))?; // Steps 7 and 8.
            if let Some(pipe) = pipe {
                server.release(pipe)?;
            }
        }
        server.create_wkp()?; // Step 1, for the next client.
    }
    server.end()
}

/// Serves one client, from its acknowledgement to its end.
fn serve_client(server: &Server, client: PendingClient) -> Result<()> {
    let mut service = server.new_service();
    let mut session = server.acknowledge(client)?; // Step 7.
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
