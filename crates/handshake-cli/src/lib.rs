//! What the commands share: command-line options, messages on stderr, exit statuses.
//!
//! This crate stands between clap and [`handshake_core`], which has no command line and prints nothing. Each
//! program is a library with a `run`, and a `main` that passes `run` to [`main()`].

mod colour;
mod hints;
mod messages;
mod options;
mod status;
mod values;

use std::process::ExitCode;

use clap::Parser;
use handshake_core::Error;
use handshake_core::wait::signals::die_by;

pub use colour::{ColourArgs, has_colour, has_escapes};
pub use hints::explain;
pub use messages::{complain, observer};
pub use options::{Common, ServerArgs};
pub use status::Status;
pub use values::{at_least_one, duration, handshake_steps, size, wait_mode};

/// Parses the command line, runs the program, and turns its result into the exit status: the table in
/// docs/protocol.md. For a wrong command line, clap itself exits with 2.
pub fn main<A: Parser>(program: &str, run: impl FnOnce(A) -> Result<Status, Error>) -> ExitCode {
    let status = match run(A::parse()) {
        Ok(status) => status,
        Err(Error::Signal(signal)) => die_by(signal),
        Err(error) => {
            complain(program, explain(&error));
            Status::from(&error)
        }
    };
    ExitCode::from(status as u8)
}
