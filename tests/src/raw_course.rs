//! A client of the course dialect made by hand: a name as text, then one write and one read for each record. It does what it
//! is told, in any order; the programs in `peers/` do it as students do.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::wait::{until, within};

/// A client that does what it is told. Its pipes are non-blocking, and closed when it is dropped; its private pipe then goes.
#[derive(Debug)]
pub struct CourseClient {
    place: PathBuf,
    name: String,
    from_server: Option<File>,
    to_server: Option<File>,
}

/// What one read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A record.
    Record(Vec<u8>),
    /// End of file.
    End,
}

impl CourseClient {
    /// A private pipe that is in another directory than the well-known one, and is open.
    pub fn elsewhere(place: &Path, name: &str) -> Self {
        let mut client = Self::at(place, name);
        client.opens_private_pipe();
        client
    }

    /// Named like this; its private pipe is there already.
    pub(crate) fn at(place: &Path, name: &str) -> Self {
        mkfifo(&place.join(name), Mode::S_IRUSR | Mode::S_IWUSR).expect("a new private pipe");
        Self { place: place.into(), name: name.into(), from_server: None, to_server: None }
    }

    /// The private pipe's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects: opens the well-known pipe.
    pub fn open_wkp(&mut self) {
        let wkp = self.place.join("mario");
        let open = || OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&wkp).ok();
        self.to_server = Some(until("a well-known pipe with a reader", open));
    }

    /// One write.
    pub fn says(&mut self, bytes: &[u8]) {
        let mut to_server = self.to_server.as_ref().expect("the well-known pipe was opened");
        let written = to_server.write(bytes).expect("the pipe has room");
        assert_eq!(written, bytes.len(), "a write in one piece");
    }

    /// Writes this until nobody has taken any for a while; returns how often.
    pub fn says_while_there_is_room(&mut self, bytes: &[u8]) -> usize {
        let mut to_server = self.to_server.as_ref().expect("the well-known pipe was opened");
        let room = || {
            let mut shown = [PollFd::new(to_server.as_fd(), PollFlags::POLLOUT)];
            poll(&mut shown, PollTimeout::from(1000_u16)) == Ok(1)
        };
        let mut count = 0;
        while count < 10_000 && room() {
            match to_server.write(bytes) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("cannot write: {error}"),
            }
        }
        count
    }

    /// Its private pipe gets another name.
    pub fn is_renamed(&mut self, name: &str) {
        fs::rename(self.place.join(&self.name), self.place.join(name)).expect("its own pipe");
        self.name = name.into();
    }

    /// The same, if there is still somebody to read it, and room.
    pub fn can_say(&mut self, bytes: &[u8]) -> bool {
        let mut to_server = self.to_server.as_ref().expect("the well-known pipe was opened");
        to_server.write(bytes).is_ok()
    }

    /// Connects, and says this.
    pub fn connects_saying(&mut self, bytes: &[u8]) {
        self.open_wkp();
        self.says(bytes);
    }

    /// Opens its private pipe, as the others do only after they have sent its name.
    pub fn opens_private_pipe(&mut self) {
        let path = self.place.join(&self.name);
        let from_server = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
        self.from_server = Some(from_server.expect("its own pipe"));
    }

    /// Stops writing, and goes on reading.
    pub fn closes_wkp(&mut self) {
        self.to_server = None;
    }

    /// Its end of the well-known pipe, for another one, as if that had opened it.
    pub fn hands_wkp_over(&mut self) -> File {
        self.to_server.take().expect("the well-known pipe was opened")
    }

    /// The same, and keeps it.
    pub fn lends_wkp(&self) -> File {
        let to_server = self.to_server.as_ref().expect("the well-known pipe was opened");
        to_server.try_clone().expect("a copy of a descriptor")
    }

    /// Has opened the well-known pipe that another one has.
    pub fn has_wkp(&mut self, wkp: File) {
        self.to_server = Some(wkp);
    }

    /// The whole handshake but the third step, with the name in 10 bytes; returns the acknowledgement.
    pub fn shakes_hands(&mut self) -> Vec<u8> {
        let mut record = self.name.clone().into_bytes();
        record.resize(10, 0);
        self.connects_saying(&record);
        self.opens_private_pipe();
        self.record()
    }

    /// What one read gives, once there is something.
    pub fn hears(&self) -> Heard {
        self.hears_within(Duration::from_secs(60))
    }

    /// The same, as soon as that.
    pub fn hears_within(&self, patience: Duration) -> Heard {
        within(patience, "something in the private pipe", || self.looks())
    }

    /// Whether all that was written has been read.
    pub fn has_been_read(&self) -> bool {
        let to_server = self.to_server.as_ref().expect("the well-known pipe was opened");
        // Whoever has it open for reading and writing may look without reading: a pipe is a pipe (/proc/self/fd).
        let path = format!("/proc/self/fd/{}", to_server.as_raw_fd());
        let reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).expect("it is open");
        poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0)
    }

    /// What one read gives; none if it `is` so before there is something.
    pub fn hears_or(&self, is: impl Fn() -> bool) -> Option<Heard> {
        until("something in the private pipe, or that", || {
            let over = is();
            self.looks().map(Some).or_else(|| over.then_some(None))
        })
    }

    /// The next record.
    pub fn record(&self) -> Vec<u8> {
        match self.hears() {
            Heard::Record(record) => record,
            Heard::End => panic!("end of file where a record was due"),
        }
    }

    /// Whether there is neither a record now, nor the end.
    pub fn hears_nothing(&self) -> bool {
        self.looks().is_none()
    }

    /// Asks, and gets a reply.
    pub fn asks(&mut self, request: &[u8]) -> Vec<u8> {
        self.says(request);
        self.record()
    }

    /// Closes both pipes, and removes its own.
    pub fn leaves(self) {}

    /// A read of 0 bytes is the end only if somebody has had the pipe open: a hang-up tells (poll(2)).
    fn looks(&self) -> Option<Heard> {
        let mut file = self.from_server.as_ref().expect("the private pipe was opened");
        let mut shown = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut shown, PollTimeout::ZERO) != Ok(1) {
            return None;
        }
        let mut record = vec![0; 65_536];
        match file.read(&mut record) {
            Ok(0) => Some(Heard::End),
            Ok(count) => {
                record.truncate(count);
                Some(Heard::Record(record))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot read the private pipe: {error}"),
        }
    }
}

impl Drop for CourseClient {
    fn drop(&mut self) {
        // The test may have removed it as a part of its story.
        let _ = fs::remove_file(self.place.join(&self.name));
    }
}
