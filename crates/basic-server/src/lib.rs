//! The basic server: one client at a time.
//!
//! After the handshake, the server receives data from the client, processes it, and sends a response. When
//! the client
//! exits, the server recreates the well-known pipe, removes the old client's connections, and starts again.
//!
//! Read [`serve`], then `serve_client`; the steps are those of docs/protocol.md. Deliberately absent: the
//! server never forks, and while it serves one client there is no well-known pipe for the next.

#[cfg(feature = "cli")]
mod args;

use handshake_core::server::pending::PendingClient;
use handshake_core::{Options, Response, Result, Server};

#[cfg(feature = "cli")]
pub use args::{Args, run};

/// Serves clients, one after the other, until this process is asked to end.
///
/// # Errors
/// The server cannot use the well-known pipe, or can no longer use it; a client's mistake is no error.
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
    session.await_ready()?; // (The client's step 8, confirmed.)
    let (mut message, mut response) = (Vec::new(), Response::default());
    while session.receive(&mut message)? {
        session.process(service.as_mut(), &mut message, &mut response)?;
        session.reply(&response)?;
    }
    Ok(())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
