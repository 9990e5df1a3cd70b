//! Which descriptor of a process is which pipe end, and which pipes there were.
//!
//! A [`Table`] belongs to the threads and processes that share it (`CLONE_FILES`). It learns from calls, and
//! looks into /proc/PID/fd where it knows nothing. A [`Description`] is an open file description: copies of a
//! descriptor share it. [`Pipes`] counts the pipes that had the same inode.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::rc::{Rc, Weak};

use crate::event::{HeldEnd, PipeKey};
use crate::look::{Access, PipeId, ends};

/// A table of descriptors, which threads and processes may share.
pub(super) type Files = Rc<RefCell<Table>>;

/// What a descriptor is.
#[derive(Debug, Clone)]
enum Slot {
    Other,
    End(Rc<Description>),
}

/// An open pipe end.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) pipe: PipeKey,
    pub(super) access: Access,
    pub(super) is_nonblocking: Cell<bool>,
    _life: Life,
}

/// As long as one exists, the pipe exists.
pub(super) type Life = Rc<()>;

/// The descriptors of a process. One that is missing is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    slots: BTreeMap<i32, Slot>,
}

impl Table {
    /// The pipe end behind a descriptor of this thread, if it is one.
    pub(super) fn end(&mut self, tid: i32, fd: i32, pipes: &mut Pipes) -> Option<Rc<Description>> {
        let mut look = || {
            let (id, flags) = ends::pipe(tid, fd)?;
            Some(pipes.open(id, ends::access_of(flags)?, flags))
        };
        match self.slots.entry(fd).or_insert_with(|| look().map_or(Slot::Other, Slot::End)) {
            Slot::End(end) => Some(Rc::clone(end)),
            Slot::Other => None,
        }
    }

    /// The pipe end behind a descriptor, as far as it is known.
    pub(super) fn known(&self, fd: i32) -> Option<&Rc<Description>> {
        match self.slots.get(&fd) {
            Some(Slot::End(end)) => Some(end),
            _ => None,
        }
    }

    /// Reads the descriptors of /proc/PID/fd: those that are not known are looked up, those that are not
    /// there are forgotten.
    pub(super) fn refresh(&mut self, tid: i32, pipes: &mut Pipes) {
        let Ok(entries) = fs::read_dir(format!("/proc/{tid}/fd")) else { return };
        let fds: HashSet<i32> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        self.slots.retain(|fd, _| fds.contains(fd));
        for fd in fds {
            self.end(tid, fd, pipes);
        }
    }

    pub(super) fn set(&mut self, fd: i32, end: Option<Rc<Description>>) {
        self.slots.insert(fd, end.map_or(Slot::Other, Slot::End));
    }

    pub(super) fn remove(&mut self, fd: i32) -> Option<Rc<Description>> {
        match self.slots.remove(&fd) {
            Some(Slot::End(end)) => Some(end),
            _ => None,
        }
    }

    /// Forgets a range of descriptors. Returns those that were pipe ends.
    pub(super) fn remove_range(&mut self, first: i32, last: i32) -> Vec<(i32, Rc<Description>)> {
        let fds: Vec<i32> = self.slots.range(first..=last).map(|(fd, _)| *fd).collect();
        fds.into_iter().filter_map(|fd| Some((fd, self.remove(fd)?))).collect()
    }

    /// The pipe ends.
    pub(super) fn ends(&self) -> Vec<HeldEnd> {
        let end = |(fd, slot): (&i32, &Slot)| match slot {
            Slot::End(end) => Some(HeldEnd { fd: *fd, pipe: end.pipe, access: end.access }),
            Slot::Other => None,
        };
        self.slots.iter().filter_map(end).collect()
    }
}

/// How many pipes without an end are remembered.
const FORGET_FROM: usize = 4096;

/// The pipes of a trace.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    known: HashMap<PipeId, Known>,
    /// The generation of an inode that was never seen, or was forgotten.
    first: u32,
    /// At so many, those that are gone are forgotten.
    full: usize,
}

#[derive(Debug)]
struct Known {
    generation: u32,
    life: Weak<()>,
    /// Whether a process had it open.
    was_open: bool,
    /// The last known path, if it is a FIFO.
    path: Option<String>,
    is_named: bool,
}

impl Pipes {
    /// An end was opened. A pipe that had lost its last end is a new one: the kernel has dropped its bytes.
    pub(super) fn open(&mut self, id: PipeId, access: Access, flags: i32) -> Rc<Description> {
        let (pipe, life) = self.hold(id);
        self.known(id).was_open = true;
        let is_nonblocking = Cell::new(flags & libc::O_NONBLOCK != 0);
        Rc::new(Description { pipe, access, is_nonblocking, _life: life })
    }

    /// A process is about to open it. While it waits in open(2), the kernel keeps the bytes.
    pub(super) fn hold(&mut self, id: PipeId) -> (PipeKey, Life) {
        let known = self.known(id);
        let life = known.life.upgrade().unwrap_or_else(|| {
            if known.was_open {
                known.generation += 1;
                known.was_open = false;
            }
            let life = Rc::new(());
            known.life = Rc::downgrade(&life);
            life
        });
        (self.key(id), life)
    }

    /// A FIFO was made: another pipe than the one that had its inode before.
    pub(super) fn made(&mut self, id: PipeId) -> PipeKey {
        if let Some(before) = self.known.get_mut(&id) {
            let generation = before.generation + 1;
            *before = Known::new(generation);
        }
        self.key(id)
    }

    /// The pipe that has this inode now.
    pub(super) fn key(&mut self, id: PipeId) -> PipeKey {
        let generation = self.known(id).generation;
        PipeKey { device: id.device, inode: id.inode, generation }
    }

    /// The FIFO has this path now; `None`: no path any more.
    pub(super) fn rename(&mut self, id: PipeId, path: Option<String>) {
        let known = self.known(id);
        known.is_named = path.is_some();
        known.path = path.or_else(|| known.path.take());
    }

    /// The FIFO's last known path.
    pub(super) fn path(&self, pipe: PipeKey) -> Option<String> {
        self.known.get(&PipeId { device: pipe.device, inode: pipe.inode })?.path.clone()
    }

    fn known(&mut self, id: PipeId) -> &mut Known {
        if self.known.len() >= self.full.max(FORGET_FROM) && !self.known.contains_key(&id) {
            self.forget();
        }
        let first = self.first;
        self.known.entry(id).or_insert_with(|| Known::new(first))
    }

    /// Forgets the pipes that have no end and no name. Their inodes begin with a later generation.
    fn forget(&mut self) {
        let is_alive = |known: &Known| known.is_named || known.life.strong_count() > 0;
        let gone = self.known.values().filter(|known| !is_alive(known)).map(|known| known.generation + 1);
        self.first = gone.fold(self.first, u32::max);
        self.known.retain(|_, known| is_alive(known));
        self.full = self.known.len() * 2;
    }
}

impl Known {
    fn new(generation: u32) -> Self {
        Self { generation, life: Weak::new(), was_open: false, path: None, is_named: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PipeId = PipeId { device: 1, inode: 2 };

    #[test]
    fn an_inode_that_comes_back_is_another_pipe() {
        let mut pipes = Pipes::default();
        let generations = [pipes.made(ID).generation, pipes.made(ID).generation];
        assert_eq!(generations, [0, 1]);
        let end = pipes.open(ID, Access::Read, 0);
        assert_eq!((end.pipe.generation, pipes.open(ID, Access::Write, 0).pipe.generation), (1, 1));
        drop(end);
        // A failed open makes no new pipe.
        assert_eq!((pipes.hold(ID).0.generation, pipes.hold(ID).0.generation), (2, 2));
        assert_eq!(pipes.open(ID, Access::Read, 0).pipe.generation, 2);
    }

    #[test]
    fn what_waits_in_open_keeps_a_pipe() {
        let mut pipes = Pipes::default();
        let reader = pipes.hold(ID);
        let writer = pipes.open(ID, Access::Write, 0);
        drop(writer);
        assert_eq!(pipes.open(ID, Access::Read, 0).pipe, reader.0);
    }

    #[test]
    fn pipes_that_are_gone_are_forgotten_and_their_numbers_are_not_reused() {
        let mut pipes = Pipes::default();
        let first = pipes.open(ID, Access::Read, 0).pipe;
        for inode in 10..10 + 3 * FORGET_FROM as u64 {
            pipes.open(PipeId { device: 1, inode }, Access::Read, 0);
        }
        assert!(pipes.known.len() <= FORGET_FROM);
        assert_ne!(pipes.open(ID, Access::Read, 0).pipe, first);
    }
}
