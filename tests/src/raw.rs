//! A client that the test controls frame by frame. It can send what a correct client never sends.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use handshake_core::sys::{Lock, try_lock};
use handshake_core::wire::{
    Ack, Front, Header, Hello, Kind, Part, Trust, VERSION, append, front_for, pieces,
};
use nix::poll::PollFlags;

use crate::pipe::{self, READ_SIZE, wait_to_write};
use crate::wait::{until, until_true};

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its kind.
    pub kind: Kind,
    /// Its sequence number.
    pub sequence: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A client that the test controls. Its pipes are non-blocking. Dropping it closes them, and removes its
/// private pipe if the pipe still has its name.
#[derive(Debug)]
pub struct RawClient {
    place: PathBuf,
    /// The private pipe's name.
    name: String,
    /// Whether the private pipe has its name.
    has_name: bool,
    from_server: File,
    received: Vec<u8>,
    to_server: Option<File>,
    nonce: u64,
    session: u64,
    /// The most bytes of one write.
    max_write: usize,
    /// The most bytes of one read.
    max_read: usize,
}

impl RawClient {
    pub(crate) fn at(place: &Path) -> Self {
        let name = Self::new_name();
        let path = place.join(&name);
        pipe::make(&path);
        Self {
            place: place.into(),
            nonce: number_of(&name),
            name,
            has_name: true,
            from_server: pipe::open_to_read(path),
            received: Vec::new(),
            to_server: None,
            session: 0,
            max_write: usize::MAX,
            max_read: READ_SIZE,
        }
    }

    /// Returns a new name for a private pipe of this process.
    pub fn new_name() -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        format!("mario.client.{}.{:016x}", process::id(), NEXT.fetch_add(1, Relaxed))
    }

    /// The private pipe's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the well-known pipe.
    pub fn open_wkp(&mut self) {
        self.to_server = Some(wait_to_write(&self.place.join("mario")));
    }

    /// Opens the well-known pipe, and sends HELLO with the private pipe's name.
    pub fn hello(&mut self) {
        let name = self.name.clone();
        self.hello_naming(name.as_bytes());
    }

    /// Opens the well-known pipe, and sends HELLO with this name. Follows the rules: takes the lock, and
    /// writes only while the pipe has its name.
    pub fn hello_naming(&mut self, name: &[u8]) {
        until_true("a well-known pipe that keeps its name", || {
            self.open_wkp();
            self.hello_if_allowed(name)
        });
    }

    fn hello_if_allowed(&mut self, name: &[u8]) -> bool {
        let payload = Hello { version: VERSION, name }.encode();
        let wkp = self.to_server();
        let locked = try_lock(wkp.as_fd(), Lock::Shared).is_ok();
        let says = locked && wkp.metadata().is_ok_and(|file| file.nlink() > 0);
        if says {
            self.say(Kind::Hello, self.nonce, 0, Part::ONLY, &payload);
        }
        try_lock(self.to_server().as_fd(), Lock::Release).expect("releasing a lock cannot fail");
        says
    }

    /// Sends HELLO into the open well-known pipe, by the rules. Returns whether the rules allowed it.
    pub fn hello_on_open_pipe(&mut self) -> bool {
        let name = self.name.clone();
        self.hello_if_allowed(name.as_bytes())
    }

    /// Sends HELLO into the open pipe without the lock and the check that the rules require.
    pub fn hello_against_the_rules(&mut self) {
        let payload = Hello { version: VERSION, name: self.name.as_bytes() }.encode();
        self.say(Kind::Hello, self.nonce, 0, Part::ONLY, &payload);
    }

    /// Limits each later write to this number of bytes.
    pub fn writes_at_most(&mut self, bytes: usize) {
        self.max_write = bytes;
    }

    /// Limits each later read to this number of bytes.
    pub fn reads_at_most(&mut self, bytes: usize) {
        self.max_read = bytes;
    }

    /// Does the whole handshake.
    pub fn shake_hands(&mut self) -> Ack {
        self.hello();
        self.accept()
    }

    /// Does the rest of the handshake after HELLO.
    pub fn accept(&mut self) -> Ack {
        let ack = self.acknowledged();
        self.ready();
        ack
    }

    /// Waits for the ACK, removes the private pipe's name, and opens the upstream that the ACK names.
    pub fn acknowledged(&mut self) -> Ack {
        let answer = self.answer();
        assert_eq!(answer.kind, Kind::Ack, "{answer:?}");
        let ack = Ack::decode(&answer.payload).expect("an acknowledgement");
        self.remove_private_pipe();
        self.session = ack.session;
        if !ack.upstream.is_empty() {
            let name = String::from_utf8_lossy(&ack.upstream).into_owned();
            self.to_server = Some(wait_to_write(&self.place.join(name)));
        }
        ack
    }

    /// Sends READY.
    pub fn ready(&mut self) {
        self.say(Kind::Ready, self.session, 0, Part::ONLY, &[]);
    }

    fn remove_private_pipe(&mut self) {
        let removed = fs::remove_file(self.place.join(&self.name));
        self.has_name = false;
        assert!(removed.is_ok() || thread::panicking(), "the private pipe has lost its name");
    }

    /// Sends a request of any length.
    pub fn request(&mut self, sequence: u32, message: &[u8]) {
        for (payload, part) in pieces(message) {
            self.say(Kind::Request, self.session, sequence, part, payload);
        }
    }

    /// Sends these requests in one write. Each fits one frame, and all have at most 4,096 bytes in total.
    pub fn requests_at_once(&mut self, messages: &[Vec<u8>]) {
        let mut frames = Vec::new();
        for (sequence, payload) in (1..).zip(messages) {
            let header = Header { kind: Kind::Request, part: Part::ONLY, session: self.session, sequence };
            append(&mut frames, header, payload);
        }
        self.write(&frames);
    }

    /// Waits for this number of bytes of this reply, and returns them.
    pub fn reply(&mut self, sequence: u32, length: usize) -> Vec<u8> {
        let mut reply = Vec::new();
        while reply.len() < length {
            let answer = self.answer();
            assert_eq!((answer.kind, answer.sequence), (Kind::Reply, sequence));
            reply.extend(answer.payload);
        }
        reply
    }

    /// Sends a request in these frames.
    pub fn request_in_pieces<const N: usize>(&mut self, sequence: u32, pieces: [&[u8]; N]) {
        for (number, payload) in (0..).zip(pieces) {
            let part = Part { number, more: usize::from(number) + 1 < N };
            self.say(Kind::Request, self.session, sequence, part, payload);
        }
    }

    /// Sends a request if the pipe has room within a second. Returns whether it did.
    pub fn may_request(&mut self, sequence: u32, message: &[u8]) -> bool {
        let has_room = pipe::shows(self.to_server(), PollFlags::POLLOUT, 1000);
        if has_room {
            self.request(sequence, message);
        }
        has_room
    }

    /// Sends BYE.
    pub fn bye(&mut self) {
        self.say(Kind::Bye, self.session, 0, Part::ONLY, &[]);
    }

    /// Sends a frame of any kind and session.
    pub fn say(&mut self, kind: Kind, session: u64, sequence: u32, part: Part, payload: &[u8]) {
        self.write(&frame(kind, session, sequence, part, payload));
    }

    /// Writes any bytes to the server.
    pub fn write(&mut self, bytes: &[u8]) {
        bytes.chunks(self.max_write).for_each(|piece| self.write_at_once(piece));
    }

    fn write_at_once(&mut self, bytes: &[u8]) {
        until("room in the pipe to the server", || match self.tries_to_write(bytes) {
            Ok(count) => {
                assert_eq!(count, bytes.len(), "a write of at most PIPE_BUF is written whole");
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot write to the server: {error}"),
        });
    }

    /// Writes once, and returns the result of the write.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn tries_to_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_server().write(bytes)
    }

    /// Whether the pipe to the server shows an error, because it has no reader.
    pub fn shows_error(&self) -> bool {
        pipe::shows(self.to_server(), PollFlags::empty(), 0)
    }

    fn to_server(&self) -> &File {
        self.to_server.as_ref().expect("the client is connected")
    }

    /// Makes the private pipe as small as the kernel allows. Its content must fit.
    pub fn shrink_private_pipe(&self) {
        pipe::shrink(&self.from_server);
    }

    /// The session's number.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Sets the session's number for later frames.
    pub fn pretend(&mut self, session: u64) {
        self.session = session;
    }

    /// Whether the server has closed the private pipe. Keeps the bytes that came before.
    pub fn server_has_closed(&mut self) -> bool {
        let bytes = pipe::read(&self.from_server, READ_SIZE);
        self.received.extend(bytes.iter().flatten());
        bytes.is_some_and(|bytes| bytes.is_empty())
    }

    /// Writes these bytes until the pipe is full, and returns the number of bytes written: 0 if the pipe has
    /// no reader.
    pub fn flood(&mut self, bytes: &[u8]) -> usize {
        let mut pipe = self.to_server();
        std::iter::from_fn(|| pipe.write(bytes).ok()).sum()
    }

    /// Waits for the server's next frame.
    pub fn answer(&mut self) -> Answer {
        until("a frame from the server", || {
            loop {
                if let Front::Frame(frame) = front_for(&self.received, Trust::Writer) {
                    let Header { kind, sequence, .. } = frame.header;
                    let (answer, length) =
                        (Answer { kind, sequence, payload: frame.payload().into_owned() }, frame.len());
                    self.received.drain(..length);
                    return Some(answer);
                }
                // No pause between two short reads.
                if self.receive() == 0 {
                    return None;
                }
            }
        })
    }

    /// Whether the client has received bytes that the test has not taken.
    pub fn has_answer(&mut self) -> bool {
        self.receive();
        !self.received.is_empty()
    }

    fn receive(&mut self) -> usize {
        // No byte now, or EOF: the caller waits with a deadline.
        let bytes = pipe::read(&self.from_server, self.max_read).unwrap_or_default();
        self.received.extend_from_slice(&bytes);
        bytes.len()
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        if self.has_name {
            self.remove_private_pipe();
        }
    }
}

/// The number at the end of a private pipe's name.
fn number_of(name: &str) -> u64 {
    u64::from_str_radix(&name[name.len() - 16..], 16).expect("the name ends in 16 digits")
}

/// Returns the bytes of a frame.
pub fn frame(kind: Kind, session: u64, sequence: u32, part: Part, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    append(&mut frame, Header { kind, part, session, sequence }, payload);
    frame
}
