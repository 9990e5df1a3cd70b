//! The program `forking-server`; all of it is in the library.

use std::process::ExitCode;

use handshake_core::sys::ForkArena;

/// Keeps a subserver's allocations off the pages that it shares with the main server.
#[global_allocator]
static ALLOCATOR: ForkArena = ForkArena;

fn main() -> ExitCode {
    handshake_cli::main("forking-server", forking_server::run)
}
