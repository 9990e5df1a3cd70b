//! The command line, and the options that it stands for.

use clap::Parser;
use handshake_cli::Status;
use handshake_cli::{ServerArgs, at_least_one};
use handshake_core::Result;
use handshake_core::server::options::UpstreamMode;

use crate::serve;

/// Serve many clients over named pipes: one process routes all they send to subservers, which answer.
///
/// SIGTERM, SIGINT, SIGHUP: remove the well-known pipe, let subservers finish the requests that run, exit 0;
/// a second one ends at once.
#[derive(Debug, Parser)]
#[command(name = "dispatch-server", version)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,

    /// The most clients at the same time; further ones wait [default: what the limits carry, see -v]
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
    let (process, mut options) = args.server.start()?;
    // For each client, the central process holds an end of two unnamed pipes, and an upstream unless it is
    // shared.
    let descriptors_each = if args.shared_wkp { 2 } else { 3 };
    options.upstream = if args.shared_wkp { UpstreamMode::Shared } else { UpstreamMode::PerClient };
    options.max_clients = args.server.max_clients(args.max_clients, descriptors_each);
    serve(&process, options)?;
    Ok(Status::Done)
}
