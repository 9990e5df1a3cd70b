//! Removes the pipes that dead processes left at a place.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::fifo::{Standing, look, open_to_write};
use crate::place::Place;

/// How long a client may take from making its private pipe to opening it, before a sweep takes the pipe for
/// one that was left. A client that takes longer makes another one.
const NEW: Duration = Duration::from_secs(1);

/// Removes pipes that are named by the rule and that nobody reads. Call it holding the claim, so that no
/// other server is between making a pipe and opening it. A client may be: see `may_be_left`.
pub fn sweep(place: &Place) {
    let Ok(entries) = fs::read_dir(place.directory()) else { return };
    let mut makers = Makers::default();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((kind, pid)) = place.kind_and_pid(&name) else { continue };
        let path = place.beside(&name);
        let Ok(Standing::Fifo(_)) = look(&path) else { continue };
        let may_be_left = kind != "client" || makers.may_have_left(pid, &name, &path);
        // EACCES: its maker died before it had the mode that was meant, and so before it was opened.
        if may_be_left && matches!(open_to_write(&path), Err(Errno::ENXIO | Errno::EACCES)) {
            // Another sweep may have been quicker.
            let _ = fs::remove_file(&path);
        }
    }
}

/// The processes whose numbers are in the names, and the pipes that they have open.
#[derive(Default)]
struct Makers {
    holdings: HashMap<Pid, Holdings>,
}

enum Holdings {
    /// There is no such process.
    Dead,
    /// The names of the files that it has open; none, if it is another user's: such a process cannot have
    /// opened a pipe of ours.
    Open(HashSet<OsString>),
    Unknown,
}

impl Makers {
    /// Whether a client may have left this private pipe. To open a pipe that a client reads would look like a
    /// server's "try again" to that client. So a pipe stays untouched if the process of that number has it
    /// open. If that process lives and does not, its number may be one of another container, where a client
    /// may be about to open the pipe: a new one stays, too.
    fn may_have_left(&mut self, pid: Pid, pipe: &OsStr, path: &Path) -> bool {
        match self.holdings.entry(pid).or_insert_with(|| holdings(pid)) {
            Holdings::Dead => true,
            Holdings::Open(open) => !open.contains(pipe) && !is_new(path),
            Holdings::Unknown => false,
        }
    }
}

fn holdings(pid: Pid) -> Holdings {
    match kill(pid, None) {
        Ok(()) => {}
        Err(Errno::EPERM) => return Holdings::Open(HashSet::new()),
        Err(_) => return Holdings::Dead,
    }
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => {
            // Read, and not followed: a look at a file may hang in a dead file system.
            let files = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
            Holdings::Open(files.filter_map(|file| Some(file.file_name()?.to_owned())).collect())
        }
        Err(_) => Holdings::Unknown,
    }
}

fn is_new(path: &Path) -> bool {
    let made = fs::symlink_metadata(path).and_then(|file| file.modified());
    // A clock that was set back gives no age: then it is new.
    made.is_ok_and(|made| made.elapsed().unwrap_or_default() < NEW)
}
