//! The names that FIFOs have or had, and opens that failed because there was none.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::path::Path;

use crate::event::Event;
use crate::look::{PipeId, stat};

/// A name in a directory. Relative and absolute paths lead to the same one.
pub(super) type Name = (PipeId, OsString);

/// The name of a path: its directory must exist.
pub(super) fn name(path: &Path) -> Option<Name> {
    let directory = stat::node(path.parent()?).ok()?.id;
    Some((directory, path.file_name()?.to_owned()))
}

/// As many names, and as many failed opens, are remembered.
const NAMES_MAX: usize = 10_000;
const WAITING_MAX: usize = 1000;

/// The names of FIFOs.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<Name>,
    /// The directories of these names.
    directories: HashSet<PipeId>,
    /// Failed opens of names that may become a FIFO's.
    waiting: VecDeque<(Name, Event)>,
}

impl Names {
    /// A FIFO has this name. Returns the opens of it that had failed.
    pub(super) fn learn(&mut self, name: Name) -> Vec<Event> {
        if self.known.contains(&name) {
            return Vec::new();
        }
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
            self.directories.clear();
        }
        let (of_it, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(waiting, _)| *waiting == name);
        self.waiting = others;
        self.directories.insert(name.0);
        self.known.insert(name);
        of_it.into_iter().map(|(_, event)| event).collect()
    }

    /// Whether a FIFO has or had this name.
    pub(super) fn is_known(&self, name: &Name) -> bool {
        self.known.contains(name)
    }

    /// Whether a FIFO was seen in the directory of this name.
    pub(super) fn is_beside_fifos(&self, name: &Name) -> bool {
        self.directories.contains(&name.0)
    }

    /// Keeps a failed open, until a FIFO has its name.
    pub(super) fn wait(&mut self, name: Name, event: Event) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((name, event));
    }
}
