//! The command line.

use clap::Parser;
use handshake_cli::{ServerArgs, Status};
use handshake_core::Result;

use crate::serve;

/// Serve clients over named pipes, one at a time.
///
/// The other clients wait in a queue. SIGTERM, SIGINT, SIGHUP: remove the well-known pipe, finish the
/// requests that run, exit 0; a second signal ends the server at once.
#[derive(Debug, Parser)]
#[command(name = "basic-server", version)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the program.
///
/// # Errors
/// As [`serve`].
pub fn run(args: Args) -> Result<Status> {
    let (process, options) = args.server.start()?;
    // The other servers reap all children with their own.
    process.reap_all_children();
    // Raises the limits of this process, and reports them with `-v`.
    args.server.max_clients(Some(1), 0);
    serve(options)?;
    Ok(Status::Done)
}
