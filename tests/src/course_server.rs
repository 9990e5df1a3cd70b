//! A server of the course that the test controls: it makes, removes, reads and writes its pipes on command.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use handshake_core::course::text_of;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::raw::open_to_write;
use crate::wait::{until, until_true};

/// The most bytes that one read takes.
const READ_SIZE: usize = 65_536;

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
        mkfifo(&self.wkp, Mode::S_IRUSR | Mode::S_IWUSR).expect("a new well-known pipe");
        self.open_wkp();
    }

    /// Opens the well-known pipe, which exists.
    pub fn open_wkp(&mut self) {
        let opened = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&self.wkp);
        self.from_client = Some(opened.expect("the well-known pipe exists"));
    }

    /// Removes the well-known pipe's name.
    pub fn remove_wkp(&self) {
        fs::remove_file(&self.wkp).expect("the well-known pipe has its name");
    }

    /// Makes the well-known pipe as small as the kernel allows.
    pub fn shrink_wkp(&self) {
        fcntl(self.reader(), FcntlArg::F_SETPIPE_SZ(4096)).expect("the pipe is still empty");
    }

    /// Waits for a record: the bytes of one read.
    pub fn receive(&mut self) -> Vec<u8> {
        until("a record from the client", || self.received())
    }

    /// Returns the bytes of one read, or `None` if the pipe is empty.
    pub fn received(&mut self) -> Option<Vec<u8>> {
        let mut record = vec![0; READ_SIZE];
        match self.reader().read(&mut record) {
            // No process has the pipe open for writing.
            Ok(0) => None,
            Ok(count) => {
                record.truncate(count);
                Some(record)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot read from the client: {error}"),
        }
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
        self.to_client = Some(open_to_write(&self.wkp.with_file_name(name)));
    }

    /// Opens the private pipe that a record names, if its client still has it open.
    pub fn may_connect(&mut self, record: &[u8]) {
        let name = str::from_utf8(text_of(record)).expect("the client's name is UTF-8");
        let path = self.wkp.with_file_name(name);
        self.to_client = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path).ok();
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
        let pipe = self.to_client.as_mut().expect("the server is connected");
        let written = pipe.write(record).expect("the client reads, and there is room");
        assert_eq!(written, record.len(), "the pipe took only a part");
    }

    /// Waits until no process has the pipe from the client open for writing.
    pub fn wait_until_client_leaves(&mut self) {
        until_true("the client to leave", || matches!(self.reader().read(&mut [0; 1]), Ok(0)));
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
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let writer = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path);
        let writer = writer.expect("the pipe has a reader");
        drop(reader);
        until_true("the pipe to have no reader", || {
            let mut shown = [PollFd::new(writer.as_fd(), PollFlags::empty())];
            poll(&mut shown, PollTimeout::ZERO) == Ok(1)
        });
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
