//! A client of the course dialect that the test controls. It sends a name as text; each record is one write
//! and one read. The programs in `peers/` do the same in the way of the course's students.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::PollFlags;

use crate::pipe::{self, READ_SIZE};
use crate::wait::{until, within};

/// A client that the test controls. Its pipes are non-blocking. Dropping it closes them and removes its
/// private pipe.
#[derive(Debug)]
pub struct CourseClient {
    place: PathBuf,
    name: String,
    from_server: Option<File>,
    to_server: Option<File>,
}

/// The result of one read.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A record.
    Record(Vec<u8>),
    /// EOF.
    End,
}

impl CourseClient {
    /// Makes a client whose private pipe is in another directory than the well-known pipe, and is open.
    pub fn elsewhere(place: &Path, name: &str) -> Self {
        let mut client = Self::at(place, name);
        client.opens_private_pipe();
        client
    }

    /// Makes a client with this name and its private pipe.
    pub(crate) fn at(place: &Path, name: &str) -> Self {
        pipe::make(&place.join(name));
        Self { place: place.into(), name: name.into(), from_server: None, to_server: None }
    }

    /// The private pipe's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the well-known pipe.
    pub fn open_wkp(&mut self) {
        self.to_server = Some(pipe::wait_to_write(&self.place.join("mario")));
    }

    /// Writes these bytes in one write.
    pub fn says(&mut self, bytes: &[u8]) {
        pipe::write(self.to_server(), bytes);
    }

    fn to_server(&self) -> &File {
        self.to_server.as_ref().expect("the well-known pipe was opened")
    }

    /// Writes this record again and again, until the pipe has no room for one second. Returns the number of
    /// writes.
    pub fn write_until_full(&mut self, bytes: &[u8]) -> usize {
        let mut to_server = self.to_server();
        let mut count = 0;
        while count < 10_000 && pipe::shows(to_server, PollFlags::POLLOUT, 1000) {
            match to_server.write(bytes) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("cannot write: {error}"),
            }
        }
        count
    }

    /// Renames the private pipe.
    pub fn is_renamed(&mut self, name: &str) {
        fs::rename(self.place.join(&self.name), self.place.join(name)).expect("the private pipe exists");
        self.name = name.into();
    }

    /// Writes these bytes once. Returns whether the pipe has a reader and room.
    pub fn can_say(&mut self, bytes: &[u8]) -> bool {
        self.to_server().write(bytes).is_ok()
    }

    /// Opens the well-known pipe, and writes these bytes.
    pub fn connects_saying(&mut self, bytes: &[u8]) {
        self.open_wkp();
        self.says(bytes);
    }

    /// Opens the private pipe. Real clients do that only after they have sent its name.
    pub fn opens_private_pipe(&mut self) {
        self.from_server = Some(pipe::open_to_read(self.place.join(&self.name)));
    }

    /// Closes the well-known pipe, and keeps the private pipe open.
    pub fn closes_wkp(&mut self) {
        self.to_server = None;
    }

    /// Gives away the open well-known pipe, so that another client can use it.
    pub fn hands_wkp_over(&mut self) -> File {
        self.to_server.take().expect("the well-known pipe was opened")
    }

    /// Returns a copy of the open well-known pipe for another client.
    pub fn lends_wkp(&self) -> File {
        self.to_server().try_clone().expect("a copy of a descriptor")
    }

    /// Uses a well-known pipe that another client has opened.
    pub fn has_wkp(&mut self, wkp: File) {
        self.to_server = Some(wkp);
    }

    /// Does the handshake without the third step, with the name in 10 bytes. Returns the acknowledgement.
    pub fn shakes_hands(&mut self) -> Vec<u8> {
        let mut record = self.name.clone().into_bytes();
        record.resize(10, 0);
        self.connects_saying(&record);
        self.opens_private_pipe();
        self.record()
    }

    /// Waits for the result of one read, at most 60 seconds.
    pub fn hears(&self) -> Heard {
        self.hears_within(Duration::from_secs(60))
    }

    /// Waits for the result of one read, at most `patience`.
    pub fn hears_within(&self, patience: Duration) -> Heard {
        within(patience, "a record or EOF in the private pipe", || self.looks())
    }

    /// Whether the server has read all that was written.
    pub fn has_been_read(&self) -> bool {
        // A process that has the pipe open may open it for reading, too (/proc/self/fd). Opening it reads no
        // byte.
        let reader = pipe::open_to_read(pipe::path_of(self.to_server()));
        !pipe::shows(&reader, PollFlags::POLLIN, 0)
    }

    /// Waits for the result of one read, or `None` if `is` becomes true before that.
    pub fn hears_or(&self, is: impl Fn() -> bool) -> Option<Heard> {
        until("a record, EOF, or the other condition", || {
            let over = is();
            self.looks().map(Some).or_else(|| over.then_some(None))
        })
    }

    /// Waits for the next record.
    pub fn record(&self) -> Vec<u8> {
        match self.hears() {
            Heard::Record(record) => record,
            Heard::End => panic!("EOF where a record was due"),
        }
    }

    /// Whether there is neither a record nor EOF now.
    pub fn hears_nothing(&self) -> bool {
        self.looks().is_none()
    }

    /// Writes a request, and waits for the reply.
    pub fn asks(&mut self, request: &[u8]) -> Vec<u8> {
        self.says(request);
        self.record()
    }

    /// Closes both pipes, and removes the private pipe.
    pub fn leaves(self) {}

    /// A read of 0 bytes is EOF only if the pipe once had a writer; then poll(2) shows a hang-up.
    fn looks(&self) -> Option<Heard> {
        let pipe = self.from_server.as_ref().expect("the private pipe was opened");
        if !pipe::shows(pipe, PollFlags::POLLIN, 0) {
            return None;
        }
        let record = pipe::read(pipe, READ_SIZE)?;
        Some(if record.is_empty() { Heard::End } else { Heard::Record(record) })
    }
}

impl Drop for CourseClient {
    fn drop(&mut self) {
        // The test itself may have removed the pipe.
        let _ = fs::remove_file(self.place.join(&self.name));
    }
}
