//! The programs that the lab starts, and the traces that they leave.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;

use handshake_core::error::{Error, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::paradigm::Paradigm;
use crate::proc;

/// The paths of the server and the client, which must be in this program's directory.
///
/// # Errors
/// A program is missing.
pub fn programs(paradigm: Paradigm) -> Result<(PathBuf, PathBuf)> {
    Ok((program(paradigm.server())?, program("client")?))
}

/// The path of the program `name`, which must be in this program's directory.
///
/// # Errors
/// The program is missing.
pub fn program(name: &str) -> Result<PathBuf> {
    let directory = directory()?;
    let program = directory.join(name);
    let release = if directory.ends_with("release") { " --release" } else { "" };
    let hint = format!("build it first: cargo build{release} --package {name}");
    program.metadata().map_err(|error| Error::at("start", &program, error, &hint))?;
    Ok(program)
}

/// A command of this program itself.
///
/// # Errors
/// The kernel does not report where it is.
pub fn this_program() -> Result<Command> {
    let failed = |error: std::io::Error| Error::on("find", "this program", error);
    std::env::current_exe().map(Command::new).map_err(failed)
}

/// A command as a person would type it.
pub fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = [program].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy);
    words.collect::<Vec<_>>().join(" ")
}

/// The directory of this program and the others.
///
/// # Errors
/// The kernel does not report it.
pub fn directory() -> Result<PathBuf> {
    let failed = |error: std::io::Error| Error::on("find", "this program's own directory", error);
    let own = std::env::current_exe().and_then(|path| path.canonicalize()).map_err(failed)?;
    Ok(own.parent().unwrap_or(Path::new("/")).into())
}

/// Ends and reaps the subservers that outlived their server: they are children of this process now (see
/// [`proc::adopt_orphans`]). Returns the PIDs of those that were alive.
pub fn end_orphans(server: &Path) -> Vec<u32> {
    let (dead, living): (Vec<_>, Vec<_>) =
        proc::children(std::process::id()).into_iter().partition(|child| child.state == 'Z');
    let is_ours = |pid: &u32| proc::program(*pid).is_some_and(|program| program == server);
    let orphans: Vec<u32> = living.iter().map(|child| child.pid).filter(is_ours).collect();
    // They are children of this process and not reaped yet, so their PIDs are still valid.
    for pid in &orphans {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
    }
    for pid in dead.iter().map(|child| &child.pid).chain(&orphans) {
        let _ = waitpid(Pid::from_raw(pid.cast_signed()), None);
    }
    orphans
}

/// The limit for killing children: one that leaves more forks faster than they can be killed.
const CHILDREN_MAX: usize = 1000;

/// Kills and reaps the children of this process; their own children are adopted in turn (see
/// [`proc::adopt_orphans`]). Returns the PIDs of those that were alive.
pub fn end_children() -> Vec<u32> {
    let mut alive = Vec::new();
    for _ in 0..CHILDREN_MAX {
        let Some(child) = proc::children(std::process::id()).into_iter().next() else { break };
        // It is a child of this process and not reaped yet, so its PID is still valid.
        let pid = Pid::from_raw(child.pid.cast_signed());
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, None);
        alive.extend((child.state != 'Z').then_some(child.pid));
    }
    alive
}

/// The lines of an unnamed file that other processes have written.
pub fn lines_of(file: &mut File) -> Vec<String> {
    let mut text = Vec::new();
    // A failed read of an unnamed file in /tmp would only hide complaints, so it is ignored.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).lines().map(str::to_string).collect()
}
