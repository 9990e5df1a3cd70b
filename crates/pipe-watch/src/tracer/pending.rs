//! System calls that have begun: what their returns will complete.

use std::path::PathBuf;
use std::rc::Rc;

use super::numbers as nr;
use super::table::{Description, Life};
use crate::event::Event;
use crate::look::PipeId;
use crate::look::memory::Memory;

/// A system call that begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) tid: i32,
    pub(super) pid: i32,
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
    pub(super) ns: u64,
}

impl Entry {
    /// The memory of its thread.
    pub(super) fn memory(&self) -> Memory {
        Memory::of_traced(self.tid)
    }
}

/// A system call that has not returned.
#[derive(Debug)]
pub(super) struct PendingCall {
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
    /// When a signal interrupted it.
    pub(super) interrupted_at: u64,
    /// How many signal handlers run since then.
    pub(super) handlers: u32,
    pub(super) event: Event,
    pub(super) kind: Kind,
}

impl PendingCall {
    /// Whether this call is the same one, which goes on after a signal.
    pub(super) fn is_continued_by(&self, entry: &Entry) -> bool {
        let is_same = self.number == entry.number && self.arguments == entry.arguments;
        is_same || entry.number == nr::RESTART
    }
}

/// What its return completes.
#[derive(Debug)]
pub(super) enum Kind {
    Read(Buffers),
    /// The bytes were read when it began: the program may change them.
    Write(Vec<u8>),
    Splice,
    Copy(Box<Copied>),
    /// The address of two descriptors, and flags.
    Pipe {
        address: u64,
        flags: i32,
    },
    Open(Opening),
    Mkfifo(At),
    Unlink(At, Option<PipeId>),
    Rename(Renaming),
    Poll(Polling),
    Clone {
        flags: u64,
    },
    Exec,
    Unshare,
    Kill,
    /// The address of the child's `siginfo_t`, of waitid(2).
    Wait(u64),
}

/// What a call is when it begins: `None` if its return is of no interest.
pub(super) type Begun = Option<(Event, Kind)>;

/// The parts of a program's memory that a call reads into: address and length.
pub(super) type Buffers = Vec<(u64, u64)>;

/// A dup(2) that has begun.
#[derive(Debug)]
pub(super) struct Copied {
    /// The pipe end that is copied. `None`: another file, which takes the place of a pipe end.
    pub(super) end: Option<Rc<Description>>,
    /// The event that says that this pipe end was closed.
    pub(super) closed: Option<Event>,
}

/// A path, as a program gave it and as this process reaches it.
#[derive(Debug)]
pub(super) struct At {
    pub(super) given: String,
    pub(super) real: PathBuf,
}

/// An open(2) that has begun.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) at: At,
    pub(super) flags: i32,
    /// The FIFO, which lives as long as a process waits for it.
    pub(super) life: Option<Life>,
    /// Whether the path is that of another file. Then the event is not yet numbered.
    pub(super) is_other: bool,
}

impl Opening {
    pub(super) fn is_fifo(&self) -> bool {
        self.life.is_some()
    }
}

/// A rename(2) that has begun: the FIFOs that have the two paths.
#[derive(Debug)]
pub(super) struct Renaming {
    pub(super) from: (At, Option<PipeId>),
    pub(super) to: (At, Option<PipeId>),
    pub(super) exchanges: bool,
}

/// Where a call says which descriptors are ready.
#[derive(Debug)]
pub(super) enum Polling {
    /// The array of poll(2), and its length.
    Array(u64, u64),
    /// The sets of select(2): of how many descriptors, to read and to write.
    Sets(u64, u64, u64),
    /// epoll_wait(2) returns what the program had given it.
    Epoll,
}
