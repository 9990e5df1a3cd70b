//! The program `lab`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    handshake_cli::main("lab", lab::run)
}
