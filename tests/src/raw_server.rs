//! A server that the test controls frame by frame. It can send what a correct server never sends, and can be
//! very slow.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use handshake_core::wire::{Ack, Front, Header, Hello, Kind, Part, VERSION, front};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::O_NONBLOCK;

use crate::pipe::{self, READ_SIZE, wait_to_write};
use crate::raw::{Answer, frame};
use crate::wait::until;

/// A server that the test controls, for one client at a time. Its pipes are non-blocking.
#[derive(Debug)]
pub struct RawServer {
    place: PathBuf,
    /// The well-known pipe, open for reading and writing, so that it shows neither EOF nor a hang-up.
    from_client: File,
    received: Vec<u8>,
    to_client: Option<File>,
    /// The nonce in the last HELLO.
    nonce: u64,
    /// The most bytes of one read.
    max_read: usize,
}

impl RawServer {
    /// The number of every session.
    pub const SESSION: u64 = 0xfeed_face_cafe_beef;

    pub(crate) fn at(place: &Path) -> Self {
        let path = place.join("mario");
        pipe::make(&path);
        let from_client = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(path);
        let from_client = from_client.expect("the pipe was just made");
        Self {
            place: place.into(),
            from_client,
            received: Vec::new(),
            to_client: None,
            nonce: 0,
            max_read: READ_SIZE,
        }
    }

    /// Makes the well-known pipe as small as the kernel allows.
    pub fn shrink_wkp(&self) {
        pipe::shrink(&self.from_client);
    }

    /// Limits each later read to this number of bytes.
    pub fn reads_at_most(&mut self, bytes: usize) {
        self.max_read = bytes;
    }

    /// Waits for a HELLO, and opens its private pipe.
    pub fn receive_hello(&mut self) {
        let hello = self.receive(Kind::Hello);
        let name = Hello::decode(&hello.payload).expect("a valid HELLO").name;
        let name = std::str::from_utf8(name).expect("the client's names are text");
        self.to_client = Some(wait_to_write(&self.place.join(name)));
    }

    /// Opens the private pipe of the next HELLO, if a HELLO has come and its client still waits. Returns
    /// whether it did.
    pub fn may_receive_hello(&mut self) -> bool {
        let Some(frame) = self.received() else { return false };
        let Some(hello) = Hello::decode(&frame.payload) else { return false };
        let name = std::str::from_utf8(hello.name).expect("the client's names are text");
        self.to_client = pipe::open_to_write(self.place.join(name));
        self.to_client.is_some()
    }

    /// Discards the frames that have come.
    pub fn forget(&mut self) {
        while self.received().is_some() {}
    }

    /// Waits for the next frame, which must be of this kind.
    pub fn receive(&mut self, kind: Kind) -> Answer {
        let answer = until(format_args!("{kind:?} from the client"), || self.received());
        assert_eq!(answer.kind, kind, "{answer:?}");
        answer
    }

    /// Waits for a whole request, of any number of frames.
    pub fn receive_request(&mut self) -> Answer {
        let mut message = Vec::new();
        loop {
            let (header, payload) = until("a frame from the client", || self.next());
            assert_eq!(header.kind, Kind::Request);
            message.extend(payload);
            if !header.part.more {
                return Answer { kind: header.kind, sequence: header.sequence, payload: message };
            }
        }
    }

    fn received(&mut self) -> Option<Answer> {
        let (Header { kind, sequence, .. }, payload) = self.next()?;
        Some(Answer { kind, sequence, payload })
    }

    /// Returns the next frame, if it has come.
    fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Front::Frame(frame) = front(&self.received) {
                let (header, payload, length) = (frame.header, frame.payload().into_owned(), frame.len());
                self.received.drain(..length);
                if header.kind == Kind::Hello {
                    self.nonce = header.session;
                }
                return Some((header, payload));
            }
            assert_eq!(front(&self.received), Front::Beginning, "the client wrote bytes that are no frame");
            // No bytes now: the caller waits with a deadline.
            self.received.extend(pipe::read(&self.from_client, self.max_read)?);
        }
    }

    /// The nonce in the last HELLO.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// An acknowledgement that every correct client accepts.
    pub fn good_ack() -> Ack {
        Ack { session: Self::SESSION, version: VERSION, window: 0, longest: 10_000, upstream: Vec::new() }
    }

    /// Returns the bytes of this acknowledgement, for the client of the last HELLO.
    pub fn ack(&self, ack: &Ack) -> Vec<u8> {
        frame(Kind::Ack, self.nonce, 0, Part::ONLY, &ack.encode())
    }

    /// Does the server's part of the handshake by the rules.
    pub fn shake_hands(&mut self) {
        self.receive_hello();
        self.write(&self.ack(&Self::good_ack()));
        self.receive(Kind::Ready);
    }

    /// Sends a frame of any kind in its session.
    pub fn say(&mut self, kind: Kind, sequence: u32, part: Part, payload: &[u8]) {
        self.write(&frame(kind, Self::SESSION, sequence, part, payload));
    }

    /// Writes any bytes into the private pipe.
    pub fn write(&mut self, bytes: &[u8]) {
        let pipe = self.to_client.as_mut().expect("the server is connected");
        pipe.write_all(bytes).expect("the client reads, and there is room");
    }

    /// Writes these bytes into the private pipe until it is full or has no reader. Returns whether any write
    /// succeeded.
    pub fn flood(&mut self, bytes: &[u8]) -> bool {
        let pipe = self.to_client.as_mut().expect("the server is connected");
        std::iter::from_fn(|| pipe.write(bytes).ok()).count() > 0
    }

    /// Writes bytes into the private pipe so that each read of the client returns one byte (O_DIRECT in
    /// pipe(2)). The pipe must be empty, or the first bytes are added to its content.
    pub fn write_byte_by_byte(&mut self, bytes: &[u8]) {
        let pipe = self.to_client.as_mut().expect("the server is connected");
        let mode = |flags| {
            fcntl(&*pipe, FcntlArg::F_SETFL(flags)).expect("a pipe accepts O_DIRECT");
        };
        mode(OFlag::O_NONBLOCK | OFlag::O_DIRECT);
        for byte in bytes {
            until("room in the private pipe", || (&*pipe).write(&[*byte]).ok());
        }
        mode(OFlag::O_NONBLOCK);
    }

    /// Closes the private pipe.
    pub fn close(&mut self) {
        self.to_client = None;
    }

    /// Ends the server, and removes its well-known pipe.
    pub fn end(self) {
        fs::remove_file(self.place.join("mario")).expect("the well-known pipe exists");
    }
}
