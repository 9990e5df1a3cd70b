//! How the comparison starts a program: pinned to its processors, with no signal blocked.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use handshake_core::error::{Error, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The processors, by number; none: wherever the kernel likes
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Only returns if it fails.
pub(super) fn run(args: &Args) -> Result<()> {
    let failed = |errno| Error::on("keep to", format!("processors {:?}", args.cpus), errno);
    // The comparison blocks signals, and its children inherit that.
    SigSet::empty().thread_set_mask().map_err(failed)?;
    if !args.cpus.is_empty() {
        let mut cpus = CpuSet::new();
        args.cpus.iter().try_for_each(|cpu| cpus.set(*cpu)).map_err(failed)?;
        sched_setaffinity(Pid::from_raw(0), &cpus).map_err(failed)?;
    }
    let (program, arguments) = args.command.split_first().expect("clap has seen to it");
    let error = Command::new(program).args(arguments).exec();
    Err(Error::at("start", program.as_ref(), error, ""))
}
