//! The forking server: the main server forks off a dedicated subserver for each client.
//!
//! Steps 1 to 6 are those of the basic server. Step 7: the server forks off a subserver. Step 8: the
//! *subserver* connects to the client's pipe and sends the acknowledgement. By then the main server already
//! has a new well-known pipe, and waits for a new client.
//!
//! ```no_run
//! use handshake_core::{Options, Request, Response, Service};
//!
//! #[derive(Default)]
//! struct Count(usize); // one value a session, each in a process of its own
//!
//! impl Service for Count {
//!     fn call(&mut self, request: Request<'_>, response: &mut Response) {
//!         self.0 += request.bytes().len();
//!         response.write(format!("{} bytes by process {}", self.0, std::process::id()).as_bytes());
//!     }
//! }
//!
//! fn main() -> handshake_core::Result<()> {
//!     forking_server::serve(Options::at("count").service(Count::default))
//! }
//! ```
//!
//! [handshake_core] has the client, and says when to use which server. Without its default feature `cli`,
//! this crate depends on no command line.
//!
//! To read the code, begin with [`serve`], then `serve_pipe` and `serve_client`; the steps are those of
//! docs/protocol.md. Deliberately absent: the main server never talks to a client, and keeps nothing of a
//! session once its subserver is forked.

#[cfg(feature = "cli")]
mod args;

use handshake_core::server::pending::PendingClient;
use handshake_core::server::subservers::Subservers;
use handshake_core::{Options, Response, Result, Server};

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
    let mut subservers = Subservers::of(&server)?;
    server.create_wkp()?; // Step 1.
    // Step 2. (Steps 3, 4 and 5 are the client's.) At capacity, the well-known pipe is left to the kernel.
    while let Some(arrived) = server.wait(subservers.have_room() && !server.has_queue())? {
        if arrived.is_connection() {
            server.receive_and_replace()?; // Step 6, and step 1 for the next client.
        }
        subservers.reap();
        while subservers.have_room()
            && let Some(client) = server.next_pending()?
        {
            fork_subserver(&mut server, &mut subservers, client); // Step 7.
        }
    }
    server.close()?;
    subservers.end(server.options().limits.grace)?;
    server.end()
}

/// Step 7. If the fork fails, the client stays at the head of the queue.
fn fork_subserver(server: &mut Server, subservers: &mut Subservers, client: PendingClient) {
    let forked = subservers.fork(client, &[], |client| serve_pipe(server, client));
    if let Err(failed) = forked {
        server.requeue(*failed);
    }
}

/// The whole life of a subserver. It serves its own client, and then the course clients whose names came
/// through that client's pipe, one after the other. They know no other pipe, and only this process reads it.
fn serve_pipe(server: &Server, client: PendingClient) -> Result<()> {
    let Some(mut pipe) = client.used_pipe() else { return serve_client(server, client) };
    let mut next = Some(client);
    while let Some(client) = next {
        server.process().log_unless_signal(client.session, serve_client(server, client))?;
        next = server.next_at(&mut pipe)?;
    }
    Ok(())
}

/// Serves one client, from its acknowledgement to its end.
fn serve_client(server: &Server, client: PendingClient) -> Result<()> {
    let mut service = server.new_service();
    let mut session = server.acknowledge(client)?; // Step 8.
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
