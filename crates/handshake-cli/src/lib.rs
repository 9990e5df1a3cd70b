//! What the commands share: options as typed and as meant, the talk on stderr, exit statuses.
//!
//! It stands between clap and [`handshake_core`], which knows no command line and prints nothing. Each program is
//! a library with a `run` and a `main` that hands it to [`main()`].

mod colour;
mod options;
mod talk;

use std::process::ExitCode;

use clap::Parser;
use handshake_core::Error;
use handshake_core::error::Status;
use handshake_core::wait::signals::die_by;

pub use colour::{ColourArgs, has_colour, has_escapes};
pub use options::{Common, ServerArgs, at_least_one, duration, size};
pub use talk::{complain, observer};

/// Parses the command line, runs the program, and turns how it ended into its exit status: the table in
/// docs/protocol.md. clap itself exits with 2 for a wrong command line.
pub fn main<A: Parser>(program: &str, run: impl FnOnce(A) -> Result<Status, Error>) -> ExitCode {
    let status = match run(A::parse()) {
        Ok(status) => status,
        Err(Error::Signal(signal)) => die_by(signal),
        Err(error) => {
            complain(program, &error);
            error.status()
        }
    };
    ExitCode::from(status as u8)
}
