//! The program `forking-server`; all of it is in the library.

use std::process::ExitCode;

use handshake_core::sys::ForkArena;

/// So that what a subserver asks for costs no page that it could share.
#[global_allocator]
static ALLOCATOR: ForkArena = ForkArena;

fn main() -> ExitCode {
    handshake_cli::main("forking-server", forking_server::run)
}
