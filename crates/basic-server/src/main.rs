//! The program `basic-server`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    handshake_cli::main("basic-server", basic_server::run)
}
