//! The program `forking-server`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    handshake_cli::main("forking-server", forking_server::run)
}
