//! The command line.

use clap::Parser;
use handshake_cli::{ServerArgs, Status, at_least_one};
use handshake_core::Result;
use handshake_core::server::options::UpstreamMode;

use crate::serve;

/// Serve many clients over named pipes: one process routes all they send to subservers, which answer.
///
/// SIGTERM, SIGINT, SIGHUP: remove the well-known pipe, let subservers finish the requests that run, exit 0;
/// a second signal ends the server at once.
#[derive(Debug, Parser)]
#[command(name = "dispatch-server", version)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,

    /// The most clients at the same time; further clients wait [default: what the limits allow, see -v]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_clients: Option<usize>,

    /// One well-known pipe that is never removed, for all that all clients send
    #[arg(long)]
    shared_wkp: bool,
}

/// Runs the program.
///
/// # Errors
/// As [`serve`].
pub fn run(args: Args) -> Result<Status> {
    let (_, mut options) = args.server.start()?;
    // For each client, the central process holds an end of two unnamed pipes, and its upstream.
    let (upstream, descriptors_each) =
        if args.shared_wkp { (UpstreamMode::Shared, 2) } else { (UpstreamMode::PerClient, 3) };
    options.upstream = upstream;
    options.max_clients = args.server.max_clients(args.max_clients, descriptors_each);
    serve(options)?;
    Ok(Status::Done)
}
