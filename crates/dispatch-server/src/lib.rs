//! The central dispatch server: all traffic is routed through one process.
//!
//! ```text
//! server --> subserver 1 --> client 1 --> well-known pipe --> server
//! server --> subserver 2 --> client 2 --> well-known pipe --> server
//! ```
//!
//! For each subserver the central process holds one end of each of two unnamed pipes. One carries the
//! client's frames down, the other the subserver's status up. Every byte from every client arrives at the
//! central process. The subserver answers straight into its client's private pipe, so replies do not pass the
//! central process.
//!
//! Read [`serve`], then `serve_client`, then `OwnPipes::route` in `own_pipe.rs`; the steps are those of
//! docs/protocol.md. `upstreams.rs` is the trait for the last arc, client --> well-known pipe --> server.
//! `own_pipe.rs` implements it, and with `--shared-wkp` `shared_wkp.rs` does.
//!
//! What is deliberately absent: the central process never waits for one client or subserver. It looks into no
//! message, except for names that course clients may have written into another client's pipe. A subserver
//! never reads a named pipe.

#[cfg(feature = "cli")]
mod args;
mod central;
mod client;
mod own_pipe;
mod pair;
mod shared_wkp;
mod token;
mod upstreams;

use std::rc::Rc;

use handshake_core::server::pending::PendingClient;
use handshake_core::{Options, Process, Result, Server};

use central::Central;
use pair::SubserverEnds;
use token::Arrival;

#[cfg(feature = "cli")]
pub use args::{Args, run};

/// Serves clients, each by a subserver, until the process is asked to end.
///
/// # Errors
/// The server cannot serve at this place, or not any longer; what a client does is no error. `EDEADLK`: this
/// process has other threads, beside which it cannot fork.
pub fn serve(process: &Rc<Process>, options: Options) -> Result<()> {
    let mut server = Server::start(process, options)?;
    let mut central = Central::new(&server)?;
    server.create_wkp()?; // Step 1.
    // Step 2. (Steps 3, 4 and 5 are the client's.) At capacity, clients queue in the well-known pipe.
    while let Some(arrivals) = central.wait(&mut server)? {
        for arrival in 0..arrivals {
            match central.arrival(arrival) {
                Arrival::Wkp(wkp) => central.receive(&mut server, wkp)?, // Step 6, and step 1 again.
                Arrival::Frames(client) => central.route(client),        // client --> server --> subserver
                Arrival::Status(client) => central.receive_status(client), // subserver --> server: gone, done
            }
        }
        central.check_idle_clients(&mut server)?;
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

/// Serves one client, from its acknowledgement to its end. A subserver does nothing else.
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
