//! Removes the pipes that dead processes left at a place.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::fifo::{Standing, look, open_to_write};
use crate::place::Place;

/// How long a client may take from making its private pipe to opening it and setting its mode. After that a
/// sweep may remove the pipe as abandoned. A slower client makes another one.
const NEW: Duration = Duration::from_secs(1);

/// Removes pipes that have a protocol name and no reader. The caller must hold the claim, so that no other
/// server is between making a pipe and opening it. A client may be: see `may_have_left`.
pub fn sweep(place: &Place) {
    let Ok(entries) = fs::read_dir(place.directory()) else { return };
    let mut makers = HashMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((kind, pid)) = place.kind_and_pid(&name) else { continue };
        let path = place.beside(name.as_bytes());
        let Ok(Standing::Fifo(_)) = look(&path) else { continue };
        let may_be_left = kind != "client"
            || makers.entry(pid).or_insert_with(|| Maker::of(pid)).may_have_left(&name, &path);
        // EACCES: its maker died before it had set the intended mode.
        if may_be_left && matches!(open_to_write(&path), Err(Errno::ENXIO | Errno::EACCES)) {
            // Another sweep may have been faster.
            let _ = fs::remove_file(&path);
        }
    }
}

/// A process whose PID is in a pipe's name.
enum Maker {
    /// No process has this PID.
    Dead,
    /// The names of the files that it has open. Empty for another user's process: such a process cannot have
    /// opened a pipe of ours.
    Open(HashSet<OsString>),
    Unknown,
}

impl Maker {
    fn of(pid: Pid) -> Self {
        match kill(pid, None) {
            Ok(()) => {}
            Err(Errno::EPERM) => return Self::Open(HashSet::new()),
            Err(_) => return Self::Dead,
        }
        // Read as links, and not followed: looking up a file may hang in a dead file system.
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Self::Unknown };
        let files = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        Self::Open(files.filter_map(|file| Some(file.file_name()?.to_owned())).collect())
    }

    /// Returns whether a client may have left this private pipe. Opening a pipe that a client reads would
    /// look like a server's "try again" to that client. A pipe therefore stays untouched if the process with
    /// that PID has it open. If that process lives and does not have it open, the PID may be one of another
    /// container. A client there may be about to open the pipe, so a new pipe stays, too.
    fn may_have_left(&self, pipe: &OsStr, path: &Path) -> bool {
        match self {
            Self::Dead => true,
            Self::Open(open) => !open.contains(pipe) && !is_new(path),
            Self::Unknown => false,
        }
    }
}

fn is_new(path: &Path) -> bool {
    let made = fs::symlink_metadata(path).and_then(|file| file.modified());
    // A clock that was set back gives no age. The pipe then counts as new.
    made.is_ok_and(|made| made.elapsed().unwrap_or_default() < NEW)
}
