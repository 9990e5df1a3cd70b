//! The program `dispatch-server`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    handshake_cli::main("dispatch-server", dispatch_server::run)
}
