//! Which processes a look is about.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::gather::Gathered;
use super::model::{PipeId, Process, State, Target, Thread, Wait};
use super::threads::living_thread;
use super::{Error, Scope, stat};

impl Gathered {
    /// The processes that were asked for.
    pub(super) fn chosen(&self, scope: &Scope) -> Result<BTreeSet<u32>, Error> {
        let exists = |pid: &u32| self.processes.contains_key(pid);
        Ok(match scope {
            Scope::Trees(roots) => match roots.first() {
                Some(first) if !roots.iter().any(exists) => return Err(Error::NoProcess(*first)),
                _ => self.descendants(roots.iter().copied().filter(exists)),
            },
            Scope::Children(parent) => {
                let own = std::process::id();
                let mut children = self.descendants([*parent]);
                children.retain(|pid| *pid != own && *pid != *parent);
                children
            }
            Scope::Directory(directory) => self.at(directory)?,
            Scope::Pipe(pipe) => self.users(*pipe),
        })
    }

    fn descendants(&self, roots: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let mut family: BTreeSet<u32> = roots.into_iter().collect();
        loop {
            let is_new =
                |process: &&Process| family.contains(&process.parent) && !family.contains(&process.pid);
            let more: Vec<u32> = self.processes.values().filter(is_new).map(|process| process.pid).collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }

    /// The processes at a directory: by their working directory, and by the FIFOs in it.
    fn at(&self, directory: &Path) -> Result<BTreeSet<u32>, Error> {
        let failed = |error| Error::NoDirectory(directory.to_owned(), error);
        let real = directory.canonicalize().map_err(failed)?;
        let identity = |path: &Path| stat::node(path).map(|node| node.id);
        let wanted = identity(&real).map_err(failed)?;
        let is_inside = |id: &PipeId| self.directory_of(id) == Some(&real);
        let opens_inside = |thread: &Thread| match &thread.wait {
            Wait::Open { target: Target::Fifo(id), .. } => is_inside(id),
            _ => false,
        };
        let cwd = |pid: u32| identity(Path::new(&format!("/proc/{pid}/cwd")));
        let works_there = |pid: u32| match cwd(pid) {
            // The first thread has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                living_thread(pid).is_some_and(|tid| cwd(tid).ok() == Some(wanted))
            }
            found => found.ok() == Some(wanted),
        };
        let is_at = |process: &&Process| {
            works_there(process.pid)
                || process.ends.iter().any(|end| is_inside(&end.pipe))
                || process.threads.iter().any(opens_inside)
        };
        let own = std::process::id();
        let others = self.processes.values().filter(|process| process.pid != own);
        let at: BTreeSet<u32> = others.filter(is_at).map(|process| process.pid).collect();
        // A zombie has no working directory; its parent tells where it belongs.
        let zombies =
            self.processes.values().filter(|one| one.state == State::Zombie && at.contains(&one.parent));
        Ok(zombies.map(|process| process.pid).chain(at.iter().copied()).collect())
    }

    /// The other processes that hold a pipe, or wait to open it.
    fn users(&self, pipe: PipeId) -> BTreeSet<u32> {
        let opens = |thread: &Thread| match &thread.wait {
            Wait::Open { target, .. } => *target == Target::Fifo(pipe),
            _ => false,
        };
        let uses = |process: &&Process| {
            process.ends.iter().any(|end| end.pipe == pipe) || process.threads.iter().any(opens)
        };
        let own = std::process::id();
        let others = self.processes.values().filter(|process| process.pid != own);
        others.filter(uses).map(|process| process.pid).collect()
    }
}
