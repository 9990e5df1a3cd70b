//! The project's chores, `cargo xtask TASK`: one file for each task, whose doc comment is its help, and one for those that
//! are the lab's. What a task shows or measures is the lab's work; here it is only built and started.

mod cargo;
mod ci;
mod compare;
mod lab;
mod sweep;
mod tidy;

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
    /// Build what a demo needs, and run `lab demo` with these options.
    ///
    /// Paradigms: basic, forking, dispatch. All options are those of `lab demo`; `cargo xtask demo forking --help` tells them.
    #[command(disable_help_flag = true)]
    #[command(mut_arg("options", |paradigm| paradigm.required(true).value_name("PARADIGM [OPTIONS]")))]
    Demo(lab::Options),

    /// Build what a race needs, and run `lab race` with these options.
    ///
    /// All options are those of `lab race`; `cargo xtask race --help` tells them.
    #[command(disable_help_flag = true)]
    Race(lab::Options),

    /// Build what a crowd needs, and run `lab crowd` with these options.
    ///
    /// Paradigms: forking, dispatch. All options are those of `lab crowd`; `cargo xtask crowd --help` tells them.
    #[command(disable_help_flag = true)]
    #[command(mut_arg("options", |paradigm| paradigm.required(true).value_name("PARADIGM [OPTIONS]")))]
    Crowd(lab::Options),

    Compare(compare::Args),

    /// Build what a soak needs, and run `lab soak` with these options.
    ///
    /// Without --paradigm, all four, one after the other. All options are those of `lab soak`; `cargo xtask soak --help`
    /// tells them.
    #[command(disable_help_flag = true)]
    Soak(lab::Options),

    Ci(ci::Args),
    Sweep(sweep::Args),
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Demo(options) => lab::run("demo", &options),
        Task::Race(options) => lab::run("race", &options),
        Task::Crowd(options) => lab::run("crowd", &options),
        Task::Compare(args) => compare::run(&args),
        Task::Soak(options) => lab::run("soak", &options),
        Task::Ci(args) => ci::run(&args),
        Task::Sweep(args) => sweep::run(&args),
        Task::Tidy(args) => tidy::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}
