//! The processes at each pipe: a pipe's identity, how its ends are open, and the index of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A pipe's identity. The kernel reuses the number of a pipe that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId {
    /// The device of its file system.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

/// How a file is open, or is to be opened (open(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    Both,
}

impl Access {
    /// Whether this end reads.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether this end writes.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// The processes at each pipe. It is made once, since each thread of a crowd asks for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// The ends of each pipe: PID, file descriptor and access, in the order of the PIDs.
    pub(super) ends: BTreeMap<PipeId, Vec<(u32, u32, Access)>>,
    /// The FIFO that each thread waits to open, and how.
    pub(super) opening: BTreeMap<u32, Opening>,
    /// The threads and processes that each of these is about.
    pub(super) openings: BTreeMap<Opening, Openers>,
}

/// A FIFO, and how it is to be opened.
pub(super) type Opening = (PipeId, Option<Access>);

#[derive(Debug, Clone, Default)]
pub(super) struct Openers {
    /// The threads that wait to open the FIFO in the same way, with their PIDs.
    pub(super) threads: Vec<(u32, u32)>,
    /// The processes that may open its other end.
    pub(super) candidates: Vec<u32>,
}
