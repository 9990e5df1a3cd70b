//! The project's chores, `cargo xtask TASK`: one file for each task, whose doc comment is its help. What a task shows
//! or measures is the lab's work; here it is only built and started.

mod cargo;
mod ci;
mod compare;
mod crowd;
mod demo;
mod race;
mod soak;
mod sweep;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Demo(demo::Args),
    Race(race::Args),
    Crowd(crowd::Args),
    Compare(compare::Args),
    Soak(soak::Args),
    Ci(ci::Args),
    Sweep(sweep::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Race(args) => race::run(&args),
        Task::Crowd(args) => crowd::run(&args),
        Task::Compare(args) => compare::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Ci(args) => ci::run(&args),
        Task::Sweep(args) => sweep::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}
