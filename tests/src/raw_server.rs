//! A server made by hand, from nothing but the protocol's records, for one client: it can be slower than any server is.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use handshake_core::wire::{Ack, Front, Header, Hello, Kind, VERSION, append, front, pieces};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::raw::Answer;
use crate::wait::until;

/// The session that its one client has.
const SESSION: u64 = 0x1234_5678_9abc_def0;

/// A server that does what it is told. Its pipes are non-blocking, and closed when it is dropped.
#[derive(Debug)]
pub struct RawServer {
    place: PathBuf,
    /// Open both ways, so that it never shows an end.
    from_client: File,
    received: Vec<u8>,
    to_client: Option<File>,
}

impl RawServer {
    pub(crate) fn at(place: &Path) -> Self {
        let wkp = place.join("mario");
        mkfifo(&wkp, Mode::S_IRUSR | Mode::S_IWUSR).expect("a new well-known pipe");
        let from_client = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(wkp);
        Self {
            place: place.into(),
            from_client: from_client.expect("it was just made"),
            received: Vec::new(),
            to_client: None,
        }
    }

    /// Makes the well-known pipe as small as a pipe can be.
    pub fn shrink_pipe(&self) {
        fcntl(&self.from_client, FcntlArg::F_SETPIPE_SZ(4096)).expect("what is in it fits");
    }

    /// Waits for the client's next record, and reads no more bytes than this at a time.
    pub fn hears(&mut self, sip: usize) -> (Header, Vec<u8>) {
        until("a record from the client", || {
            loop {
                if let Front::Record(record) = front(&self.received) {
                    let (header, payload, length) = (record.header, record.payload.to_vec(), record.len());
                    self.received.drain(..length);
                    return Some((header, payload));
                }
                if self.sips(sip) == 0 {
                    return None;
                }
            }
        })
    }

    /// Reads no more bytes than this; returns how many there were.
    pub fn sips(&mut self, most: usize) -> usize {
        let mut bytes = vec![0; most];
        let count = self.from_client.read(&mut bytes).unwrap_or(0);
        self.received.extend_from_slice(&bytes[..count]);
        count
    }

    /// Its side of the handshake; the ACK goes out in pieces of so many bytes.
    pub fn shakes_hands(&mut self, bite: usize) {
        let (header, payload) = self.hears(65_536);
        assert_eq!(header.kind, Kind::Hello);
        let hello = Hello::decode(&payload).expect("a HELLO");
        let private = self.place.join(String::from_utf8_lossy(&hello.name).into_owned());
        let opened = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(private);
        self.to_client = Some(opened.expect("the client reads it"));
        let ack =
            Ack { session: SESSION, version: VERSION, window: 0, longest: 16 << 20, upstream: Vec::new() };
        self.writes(
            Header { kind: Kind::Ack, more: false, session: header.session, sequence: 0 },
            &ack.encode(),
            bite,
        );
        assert_eq!(self.hears(65_536).0.kind, Kind::Ready);
    }

    /// Waits for a whole request, read in sips of so many bytes.
    pub fn receives(&mut self, sip: usize) -> Answer {
        let mut message = Vec::new();
        loop {
            let (Header { kind, more, sequence, .. }, payload) = self.hears(sip);
            message.extend(payload);
            if !more {
                return Answer { kind, sequence, payload: message };
            }
        }
    }

    /// Replies, in pieces of so many bytes.
    pub fn replies(&mut self, sequence: u32, message: &[u8], bite: usize) {
        for (payload, more) in pieces(message) {
            self.writes(Header { kind: Kind::Reply, more, session: SESSION, sequence }, payload, bite);
        }
    }

    fn writes(&mut self, header: Header, payload: &[u8], bite: usize) {
        let mut record = Vec::new();
        append(&mut record, header, payload);
        let pipe = self.to_client.as_mut().expect("it has a client");
        for piece in record.chunks(bite) {
            until("room in the pipe to the client", || match pipe.write(piece) {
                Ok(count) => (count == piece.len()).then_some(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) => panic!("cannot write to the client: {error}"),
            });
        }
    }
}
