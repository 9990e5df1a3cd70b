//! The central dispatch server: all traffic is routed through one process.
//!
//! ```text
//! server --> subserver 1 --> client 1 --> well-known pipe --> server
//! server --> subserver 2 --> client 2 --> well-known pipe --> server
//! ```
//!
//! For each subserver the central process holds one read end and one write end of unnamed pipes: one carries the client's
//! frames down, the other the subserver's news up. Every byte from every client arrives at the central process; the
//! subserver answers straight into its client's private pipe, so replies do not pass the centre.
//!
//! Read [`serve`], then `serve_client`, then `Central::route` in `route.rs`; the steps are those of docs/protocol.md.
//! What is deliberately absent: the central process never waits for one client or subserver, and looks at no message, but
//! for the names that course clients may have written into somebody else's pipe; a subserver never reads a named pipe.

mod admission;
mod args;
mod central;
mod client;
mod pair;
mod route;
mod shared_wkp;

use std::rc::Rc;

use handshake_core::server::pending::PendingClient;
use handshake_core::{Options, Process, Result, Server};

use central::{Arrival, Central};
use pair::SubserverEnds;

pub use args::{Args, run};

/// Serves clients, each by a subserver, until the process is asked to end.
///
/// # Errors
/// The place cannot be served at, or not any longer; what a client does is no error. `EDEADLK`: this process has other threads,
/// beside which it cannot fork.
pub fn serve(process: &Rc<Process>, options: Options) -> Result<()> {
    let mut server = Server::start(process, options)?;
    let mut central = Central::new(&server)?;
    server.create_wkp()?; // Step 1.
    // Step 2. (Steps 3, 4 and 5 are the client's.) A full house leaves the well-known pipe to the kernel.
    while let Some(arrivals) = central.wait(&mut server)? {
        for arrival in 0..arrivals {
            match central.arrival(arrival) {
                Arrival::Wkp(wkp) => central.receive(&mut server, wkp)?, // Step 6, and step 1 for the next client.
                Arrival::Frames(client) => central.route(client),        // client --> server --> subserver
                Arrival::News(client) => central.hear(client), // subserver --> server: client gone, done
            }
        }
        central.look_for_the_silent(&mut server)?;
        central.hand_on(&mut server)?;
        central.reap();
        while central.has_room()
            && let Some(client) = server.next_pending()?
        {
            central.fork_subserver(&mut server, client); // Step 7.
        }
    }
    central.end(server)
}

/// One client, from its acknowledgement to its end; this is the whole life of a subserver.
fn serve_client(server: &Server, client: PendingClient, ends: SubserverEnds) -> Result<()> {
    let mut service = server.new_service();
    let mut session = ends.acknowledge(server, client)?; // Step 8.
    session.await_ready()?; // (The client's own step 8, confirmed.)
    let mut message = Vec::new();
    while session.receive(&mut message)? {
        session.process(service.as_mut(), &mut message)?;
        session.reply(&message)?; // subserver --> client
    }
    Ok(())
}
