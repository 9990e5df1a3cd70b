//! The command line.

use clap::Parser;
use handshake_cli::{ServerArgs, Status, at_least_one};
use handshake_core::Result;

use crate::serve;

/// Serve many clients over named pipes, each by a subserver of its own.
///
/// SIGTERM, SIGINT, SIGHUP: remove the well-known pipe, let subservers finish the requests that run, exit 0;
/// a second signal ends the server at once.
#[derive(Debug, Parser)]
#[command(name = "forking-server", version)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,

    /// The most clients at the same time; further clients wait [default: what the limits allow, see -v]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_clients: Option<usize>,
}

/// Runs the program.
///
/// # Errors
/// As [`serve`].
pub fn run(args: Args) -> Result<Status> {
    let (_, mut options) = args.server.start()?;
    options.max_clients = args.server.max_clients(args.max_clients, 0);
    serve(options)?;
    Ok(Status::Done)
}
