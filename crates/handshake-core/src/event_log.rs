//! The event log: a file with a line for each event, a gate at which the process waits after each event, and
//! an observer.
//!
//! Writing to the file never makes the process wait. If the file cannot take an event now, the event is
//! dropped and counted. That happens with a FIFO or a pipe whose reader has stopped, a full disk, or a file
//! at its limit.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use crate::deadline::stand_still;
use crate::error::{Named, errno_of};
use crate::event::{Event, What};

/// Called with each event.
pub type Observer = Box<dyn Fn(&Event)>;

/// Where events go.
#[derive(Default)]
pub struct EventLog {
    /// `--events`: opened non-blocking and for appending. Each event is one write.
    file: Option<File>,
    /// `--gate`: the process reads one byte from here after each event.
    gate: Option<OwnedFd>,
    /// The log lines on stderr.
    observer: Option<Observer>,
    /// How many events were dropped since the last one that the file took.
    dropped: Cell<usize>,
    /// Whether the file ends in a part of a line.
    torn: Cell<bool>,
    line: RefCell<Vec<u8>>,
    gate_open: Cell<bool>,
}

impl EventLog {
    /// Makes a log that writes to `file`, waits at `gate` and calls `observer`, if they exist. `file` must be
    /// open non-blocking (`O_NONBLOCK`).
    pub fn new(file: Option<File>, gate: Option<OwnedFd>, observer: Option<Observer>) -> Self {
        Self { file, gate, observer, ..Self::default() }
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.file.is_some() || self.gate.is_some()
    }

    /// Returns whether any part of the log uses events.
    pub(crate) fn is_read(&self) -> bool {
        self.is_traced() || self.observer.is_some()
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd).into_iter().chain(self.gate.as_ref().map(AsFd::as_fd))
    }

    pub(crate) fn write_event(&self, event: &Event) {
        self.observe(event);
        if let Some(file) = &self.file {
            self.append(file, event);
        }
        if let Some(gate) = self.gate.as_ref().filter(|_| !self.gate_open.get()) {
            // Signals are blocked here, so the process really stands still.
            stand_still(|| self.gate_open.set(!wait_at_gate(gate)));
        }
    }

    /// Called in a child just forked: the parent reports what was dropped.
    pub(crate) fn forget(&self) {
        self.dropped.set(0);
    }

    fn observe(&self, event: &Event) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    /// Appends the event, and before it the number of dropped events, if any.
    fn append(&self, file: &File, event: &Event) {
        let dropped = self.dropped.get();
        let gap = |text: String| Event::new(event.ns, event.role, What::EventsDropped).text(text);
        let appended = if dropped == 0 {
            self.write(file, event)
        } else {
            let missing = gap(format!("{dropped} missing"));
            self.write(file, &missing).and_then(|()| {
                self.dropped.set(0);
                self.observe(&missing);
                self.write(file, event)
            })
        };
        if let Err(errno) = appended
            && self.dropped.replace(self.dropped.get() + 1) == 0
        {
            self.observe(&gap(format!("the file takes no more now: {}", Named(errno))));
        }
    }

    fn write(&self, mut file: &File, event: &Event) -> Result<(), Errno> {
        let mut line = self.line.borrow_mut();
        line.clear();
        line.extend(self.torn.get().then_some(b'\n'));
        serde_json::to_writer(&mut *line, event).expect("an event is plain data");
        line.push(b'\n');
        let mut rest = &line[..];
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) => {
                    self.torn.set(self.torn.get() || rest.len() < line.len());
                    return Err(errno_of(&error));
                }
            }
        }
        self.torn.set(false);
        Ok(())
    }
}

/// Waits for a byte at the gate. A closed gate lets the process through from then on.
fn wait_at_gate(gate: &OwnedFd) -> bool {
    loop {
        match read(gate, &mut [0]) {
            Ok(1) => return true,
            // The other end of the gate may have set it to non-blocking. This process waits all the same.
            Err(Errno::EAGAIN) => {
                if poll(&mut [PollFd::new(gate.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).is_err() {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
