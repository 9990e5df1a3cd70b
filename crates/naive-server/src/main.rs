//! The program `naive-server`; all of it is in the library.

use std::process::ExitCode;

use clap::Parser;
use naive_server::Args;

fn main() -> ExitCode {
    naive_server::run(Args::parse())
}
