//! The command line: one subcommand for each task of the lab.

use clap::{Parser, Subcommand};
use handshake_cli::{ColourArgs, Status};
use handshake_core::Result;
use handshake_core::sys::keep_inherited_to_ourselves;

use crate::{crowd, demo, race, soak, trace, why};

/// Show, measure and break servers over named pipes.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub struct Args {
    #[command(flatten)]
    colour: ColourArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Why(why::Args),
    Trace(trace::Args),
    Load(load::Args),
    Crowd(crowd::Args),
    Race(race::Args),
    Soak(soak::Args),
    Compare(bench::Args),
    #[command(hide = true)]
    Reference(bench::ReferenceArgs),
}

/// Runs the program.
///
/// # Errors
/// Those of the subcommand.
pub fn run(args: Args) -> Result<Status> {
    // Otherwise the lab would count inherited file descriptors as the server's.
    keep_inherited_to_ourselves();
    args.colour.choose();
    match args.command {
        Command::Demo(args) => demo::run(args),
        Command::Why(args) => why::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Load(args) => load::run(args),
        Command::Crowd(args) => crowd::run(args),
        Command::Race(args) => race::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Compare(args) => bench::run(args),
        Command::Reference(args) => bench::play(args),
    }
}
