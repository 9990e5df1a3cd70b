//! The record of all that the programs of a scene did: the file that each of them has as `--events`.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use handshake_core::event::{Event, Role, What};
use nix::sys::stat::fstat;

use crate::proc::{Descriptor, Target, descriptors, left_open_by_others};
use crate::wait::until;

/// Follows the file. Every look at the record reads what has been added.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    /// Bytes of the file that are in `events`.
    read: Cell<u64>,
    events: RefCell<Vec<Event>>,
    /// The inodes of the pipes that are programs' stdin, of which they may take a copy.
    gates: RefCell<Vec<u64>>,
}

impl Record {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, read: Cell::new(0), events: RefCell::default(), gates: RefCell::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All events so far for which `is` is true, in the order of the file.
    pub fn all(&self, is: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.read_on();
        self.events.borrow().iter().filter(|event| is(event)).cloned().collect()
    }

    /// How many events there are so far: a mark, for [`Record::wait_after`].
    pub fn mark(&self) -> usize {
        self.read_on();
        self.events.borrow().len()
    }

    /// Waits for an event; returns the first.
    pub fn wait_for(&self, what: What, is: impl Fn(&Event) -> bool) -> Event {
        self.wait_after(0, what, is)
    }

    /// Waits for an event after this mark; returns the first.
    pub fn wait_after(&self, mark: usize, what: What, is: impl Fn(&Event) -> bool) -> Event {
        until(format_args!("the event {what:?}"), || {
            self.read_on();
            self.events.borrow().iter().skip(mark).find(|event| event.what == what && is(event)).cloned()
        })
    }

    /// Waits until there are `count` such events.
    pub fn wait_for_many(&self, count: usize, what: What, is: impl Fn(&Event) -> bool) -> Vec<Event> {
        until(format_args!("{count} events {what:?}"), || {
            let found = self.all(|event| event.what == what && is(event));
            (found.len() >= count).then_some(found)
        })
    }

    /// The process that has the session of this client: its subserver, or the basic server.
    pub fn server_of(&self, client: u32) -> u32 {
        let acknowledged = self.wait_for(What::AckReceived, |event| event.pid == client);
        self.wait_for(What::AckSent, |event| event.session == acknowledged.session).pid
    }

    /// The descriptors of a process of the scene, without those that the test gave it: 0, 1 and 2, the record's file, the
    /// gate, and stdout, where a server has just said that it is ready.
    pub fn descriptors(&self, pid: u32) -> Vec<Descriptor> {
        let is_of_test = |fd: &Descriptor| match &fd.target {
            Target::Other(path) => path.parent() == self.path.parent(),
            Target::Unnamed(inode) => self.gates.borrow().contains(inode),
            Target::Named { .. } => false,
        };
        let mut all = descriptors(pid);
        all.retain(|fd| fd.number > 2 && !is_of_test(fd) && !left_open_by_others(fd));
        all
    }

    /// Takes note of a pipe that the test gives to a program.
    pub(crate) fn gives(&self, pipe: impl AsFd) {
        self.gates.borrow_mut().push(fstat(pipe).expect("it is open").st_ino);
    }

    fn read_on(&self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let mut text = String::new();
        let read = file.seek(SeekFrom::Start(self.read.get())).and_then(|_| file.read_to_string(&mut text));
        read.unwrap_or_else(|error| panic!("cannot read the record {:?}: {error}", self.path));
        // The last line may not be whole yet.
        let Some(end) = text.rfind('\n') else { return };
        self.read.set(self.read.get() + end as u64 + 1);
        self.events.borrow_mut().extend(text[..end].lines().map(event));
    }
}

/// The event that a line tells of. A line with anything more, or else, fails the test.
fn event(line: &str) -> Event {
    let parsed = serde_json::from_str::<Event>(line);
    let event = parsed.unwrap_or_else(|error| panic!("no event: {line}: {error}"));
    assert_eq!(serde_json::to_string(&event).expect("an event is plain data"), line);
    event
}

/// Whether a server or a subserver did this.
pub(crate) fn is_of_server(event: &Event) -> bool {
    event.role != Role::Client
}
