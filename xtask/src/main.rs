//! The project's tasks, `cargo xtask TASK`. Each task has a file, whose doc comment is its help; the tasks
//! that run the lab share one file. This program only builds and starts the lab.

mod api;
mod cargo;
mod ci;
mod compare;
mod lab;
mod pictures;
mod sweep;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run the project's tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the programs of a demo, and run `lab demo` with these options.
    ///
    /// Paradigms: basic, forking, dispatch. All options are those of `lab demo`; `cargo xtask demo forking
    /// --help` lists them.
    #[command(disable_help_flag = true)]
    #[command(mut_arg("options", |paradigm| paradigm.required(true).value_name("PARADIGM [OPTIONS]")))]
    Demo(lab::Options),

    /// Build the programs of a race, and run `lab race` with these options.
    ///
    /// All options are those of `lab race`; `cargo xtask race --help` lists them.
    #[command(disable_help_flag = true)]
    Race(lab::Options),

    /// Build the programs of a crowd, and run `lab crowd` with these options.
    ///
    /// Paradigms: forking, dispatch. All options are those of `lab crowd`; `cargo xtask crowd --help` lists
    /// them.
    #[command(disable_help_flag = true)]
    #[command(mut_arg("options", |paradigm| paradigm.required(true).value_name("PARADIGM [OPTIONS]")))]
    Crowd(lab::Options),

    Compare(compare::Args),

    /// Build the programs of a soak, and run `lab soak` with these options.
    ///
    /// Without --paradigm, it runs all four, one after the other. All options are those of `lab soak`; `cargo
    /// xtask soak --help` lists them.
    #[command(disable_help_flag = true)]
    Soak(lab::Options),

    Api(api::Args),
    Ci(ci::Args),
    Pictures(pictures::Args),
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
        Task::Api(args) => api::run(&args),
        Task::Ci(args) => ci::run(&args),
        Task::Pictures(args) => pictures::run(&args),
        Task::Sweep(args) => sweep::run(&args),
        Task::Tidy(args) => tidy::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}
