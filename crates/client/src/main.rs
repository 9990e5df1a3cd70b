//! The program `client`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    handshake_cli::main("client", client::run)
}
