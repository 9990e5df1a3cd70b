//! The event log of a scene: the file that each program of the scene has as `--events`.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use handshake_core::event::{Event, Role, What};
use nix::sys::stat::fstat;

use crate::proc::{Descriptor, Target, descriptors, is_inherited};
use crate::wait::until;

/// The event log. Each query first reads the lines that were added to the file.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    /// The number of bytes of the file that are in `events`.
    read: Cell<u64>,
    events: RefCell<Vec<Event>>,
    /// The inodes of the pipes that are stdin of programs. A program may hold a copy of its stdin.
    gates: RefCell<Vec<u64>>,
}

impl EventLog {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, read: Cell::new(0), events: RefCell::default(), gates: RefCell::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all events so far for which `is` is true, in the order of the file.
    pub fn all(&self, is: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.read_on();
        self.events.borrow().iter().filter(|event| is(event)).cloned().collect()
    }

    /// Returns the number of events so far: a mark for [`EventLog::wait_after`].
    pub fn mark(&self) -> usize {
        self.read_on();
        self.events.borrow().len()
    }

    /// Waits for an event, and returns the first.
    pub fn wait_for(&self, what: What, is: impl Fn(&Event) -> bool) -> Event {
        self.wait_after(0, what, is)
    }

    /// Waits for an event after this mark, and returns the first.
    pub fn wait_after(&self, mark: usize, what: What, is: impl Fn(&Event) -> bool) -> Event {
        until(format_args!("the event {what:?}"), || {
            self.read_on();
            self.events.borrow().iter().skip(mark).find(|event| event.what == what && is(event)).cloned()
        })
    }

    /// Waits until there are `count` such events, and returns all of them.
    pub fn wait_for_many(&self, count: usize, what: What, is: impl Fn(&Event) -> bool) -> Vec<Event> {
        until(format_args!("{count} events {what:?}"), || {
            let found = self.all(|event| event.what == what && is(event));
            (found.len() >= count).then_some(found)
        })
    }

    /// Returns the PID of the process that has this client's session: its subserver, or the basic server.
    pub fn server_of(&self, client: u32) -> u32 {
        let acknowledged = self.wait_for(What::AckReceived, |event| event.pid == client);
        self.wait_for(What::AckSent, |event| event.session == acknowledged.session).pid
    }

    /// Returns the descriptors of a process of the scene, without those that the test gave to it. These are
    /// 0, 1, 2, the event log, the gate, and the copy of stdout for the ready message.
    pub fn descriptors(&self, pid: u32) -> Vec<Descriptor> {
        let is_of_test = |fd: &Descriptor| match &fd.target {
            Target::Other(path) => path.parent() == self.path.parent(),
            Target::Unnamed(inode) => self.gates.borrow().contains(inode),
            Target::Named { .. } => false,
        };
        let mut all = descriptors(pid);
        all.retain(|fd| fd.number > 2 && !is_of_test(fd) && !is_inherited(fd));
        all
    }

    /// Remembers a pipe that the test gives to a program.
    pub(crate) fn gives(&self, pipe: impl AsFd) {
        self.gates.borrow_mut().push(fstat(pipe).expect("the pipe is open").st_ino);
    }

    fn read_on(&self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let mut text = String::new();
        let read = file.seek(SeekFrom::Start(self.read.get())).and_then(|_| file.read_to_string(&mut text));
        read.unwrap_or_else(|error| panic!("cannot read the event log {:?}: {error}", self.path));
        // The last line may be incomplete.
        let Some(end) = text.rfind('\n') else { return };
        self.read.set(self.read.get() + end as u64 + 1);
        self.events.borrow_mut().extend(text[..end].lines().map(event));
    }
}

/// Parses a line of the event log. A line that does not have exactly an event's form fails the test.
fn event(line: &str) -> Event {
    let parsed = serde_json::from_str::<Event>(line);
    let event = parsed.unwrap_or_else(|error| panic!("not an event: {line}: {error}"));
    assert_eq!(serde_json::to_string(&event).expect("an event is plain data"), line);
    event
}

/// Whether a server or a subserver logged this event.
pub(crate) fn is_of_server(event: &Event) -> bool {
    event.role != Role::Client
}
