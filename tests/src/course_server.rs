//! A server of the course that the test controls: it makes, removes, reads and writes its pipes on command.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use handshake_core::course::text_of;
use nix::poll::PollFlags;

use crate::pipe::{self, READ_SIZE};
use crate::wait::{until, until_true};

/// A server of the course, for one client at a time. Its pipes are non-blocking, so no test hangs in an open.
#[derive(Debug)]
pub struct CourseServer {
    wkp: PathBuf,
    from_client: Option<File>,
    to_client: Option<File>,
}

impl CourseServer {
    pub(crate) fn at(place: &Path) -> Self {
        let mut server = Self { wkp: place.join("mario"), from_client: None, to_client: None };
        server.make_wkp();
        server
    }

    /// Makes the well-known pipe and opens it for the next client.
    pub fn make_wkp(&mut self) {
        self.leave();
        pipe::make(&self.wkp);
        self.open_wkp();
    }

    /// Opens the well-known pipe, which exists.
    pub fn open_wkp(&mut self) {
        self.from_client = Some(pipe::open_to_read(&self.wkp));
    }

    /// Removes the well-known pipe's name.
    pub fn remove_wkp(&self) {
        fs::remove_file(&self.wkp).expect("the well-known pipe has its name");
    }

    /// Makes the well-known pipe as small as the kernel allows.
    pub fn shrink_wkp(&self) {
        pipe::shrink(self.reader());
    }

    /// Waits for a record: the bytes of one read.
    pub fn receive(&mut self) -> Vec<u8> {
        until("a record from the client", || self.received())
    }

    /// Returns the bytes of one read, or `None` if the pipe is empty.
    pub fn received(&mut self) -> Option<Vec<u8>> {
        // A read of no byte: no process has the pipe open for writing.
        pipe::read(self.reader(), READ_SIZE).filter(|record| !record.is_empty())
    }

    /// Waits for a name, and opens the private pipe of that name. Returns the record.
    pub fn receive_name(&mut self) -> Vec<u8> {
        let record = self.receive();
        let name = str::from_utf8(text_of(&record)).expect("the client's name is UTF-8");
        self.connect(name);
        record
    }

    /// Opens the private pipe of this name.
    pub fn connect(&mut self, name: &str) {
        self.to_client = Some(pipe::wait_to_write(&self.wkp.with_file_name(name)));
    }

    /// Opens the private pipe that a record names, if its client still has it open.
    pub fn may_connect(&mut self, record: &[u8]) {
        let name = str::from_utf8(text_of(record)).expect("the client's name is UTF-8");
        self.to_client = pipe::open_to_write(self.wkp.with_file_name(name));
    }

    /// Receives a name, removes the well-known pipe, and writes `ack`. Returns the name's record.
    pub fn acknowledge(&mut self, ack: &[u8]) -> Vec<u8> {
        let name = self.receive_name();
        self.remove_wkp();
        self.say(ack);
        name
    }

    /// Writes a record in one write.
    pub fn say(&mut self, record: &[u8]) {
        pipe::write(self.to_client.as_ref().expect("the server is connected"), record);
    }

    /// Waits until no process has the pipe from the client open for writing.
    pub fn wait_until_client_leaves(&mut self) {
        until_true("the client to leave", || pipe::read(self.reader(), 1) == Some(Vec::new()));
    }

    /// Returns the private pipe to the caller. The server is then free for the next client.
    pub fn hand_over(&mut self) -> File {
        self.to_client.take().expect("the server is connected")
    }

    /// Closes the private pipe.
    pub fn close(&mut self) {
        self.to_client = None;
    }

    /// Closes the pipe from the client, and waits until no process reads it. A program that another test
    /// starts at this moment holds a copy of every file descriptor until its exec(2).
    pub fn stop_reading(&mut self) {
        let Some(reader) = self.from_client.take() else { return };
        let writer = pipe::open_to_write(pipe::path_of(&reader)).expect("the pipe has a reader");
        drop(reader);
        until_true("the pipe to have no reader", || pipe::shows(&writer, PollFlags::empty(), 0));
    }

    /// Closes both pipes.
    pub fn leave(&mut self) {
        self.close();
        self.stop_reading();
    }

    fn reader(&self) -> &File {
        self.from_client.as_ref().expect("the pipe from the client is open")
    }
}
