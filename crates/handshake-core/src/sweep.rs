//! Removes the pipes that dead processes left at a place.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::stat::stat;
use nix::unistd::Pid;

use crate::fifo::{Identity, Standing, look, open_to_write};
use crate::place::Place;

/// How long a client may take from making its private pipe to opening it, before a sweep takes the pipe for one that was
/// left. A client that takes longer makes another one.
const NEW: Duration = Duration::from_secs(1);

impl Place {
    /// Removes pipes that are named by the rule and that nobody reads. Call it holding the claim, so that no other server
    /// is between making a pipe and opening it. A client may be: see `may_be_left`.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.directory()) else { return };
        let mut makers = Makers::default();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((kind, pid)) = self.kind_and_pid(&name) else { continue };
            let path = self.beside(&name);
            let Ok(Standing::Fifo(pipe)) = look(&path) else { continue };
            let may_be_left = kind != "client" || makers.may_have_left(pid, pipe, &path);
            if may_be_left && matches!(open_to_write(&path), Err(Errno::ENXIO)) {
                // Another sweep may have been quicker.
                let _ = fs::remove_file(&path);
            }
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
    /// None, if it is another user's: such a process cannot have opened a pipe of ours.
    Open(HashSet<Identity>),
    Unknown,
}

impl Makers {
    /// Whether a client may have left this private pipe. To open a pipe that a client reads would look like a server's "try
    /// again" to that client. So a pipe stays untouched if the process of that number has it open. A client of another
    /// container has a number that means nothing here: its pipe is tried, unless it is new.
    fn may_have_left(&mut self, pid: Pid, pipe: Identity, path: &Path) -> bool {
        match self.holdings.entry(pid).or_insert_with(|| holdings(pid)) {
            Holdings::Dead => true,
            Holdings::Open(open) => !open.contains(&pipe) && !is_new(path),
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
            let stats = open.flatten().filter_map(|entry| stat(&entry.path()).ok());
            Holdings::Open(stats.map(|stat| Identity::of(&stat)).collect())
        }
        Err(_) => Holdings::Unknown,
    }
}

fn is_new(path: &Path) -> bool {
    let made = fs::symlink_metadata(path).and_then(|file| file.modified());
    // A clock that was set back gives no age: then it is new.
    made.is_ok_and(|made| made.elapsed().unwrap_or_default() < NEW)
}
