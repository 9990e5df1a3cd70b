//! A fake server for the client: the files in the directory, and the server's ends of the pipes.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use handshake_core::fifo::{Fifo, open_to_write};
use handshake_core::wire::{Frame, Header, Hello, Kind, Scanner};

use crate::setup::{name, names, put, take};

const VALUE: &str = "of value";

pub(super) struct FakeServer {
    directory: PathBuf,
    wkp: Option<(Fifo, Option<OwnedFd>)>,
    /// A pipe that an ACK may name, and its reader.
    fresh: Fifo,
    from_client: Option<OwnedFd>,
    /// A pipe that an ACK may name. It has no reader.
    unread: Fifo,
    /// The last private pipe that a HELLO named.
    to_client: Option<OwnedFd>,
    pub(super) nonce: u64,
    /// Whether READY came.
    pub(super) is_ready: bool,
    /// The number of the next request.
    due: u32,
    /// The number of the next part of that request.
    part_due: u16,
    /// Bytes sent to the client so far.
    pub(super) sent: usize,
}

impl FakeServer {
    pub(super) fn new(directory: &Path) -> Self {
        let make = |path: PathBuf| Fifo::make(path).expect("the name is free");
        let (fresh, from_client) = make(name(directory, "up", 0).1);
        let (unread, _) = make(name(directory, "up", 1).1);
        fs::write(directory.join("victim"), VALUE).expect("a file");
        fs::write(name(directory, "up", 2).1, VALUE).expect("a file");
        symlink("victim", name(directory, "up", 3).1).expect("a link");
        let mut fake_server = Self {
            directory: directory.into(),
            wkp: None,
            fresh,
            from_client: Some(from_client),
            unread,
            to_client: None,
            nonce: 0,
            is_ready: false,
            due: 1,
            part_due: 0,
            sent: 0,
        };
        fake_server.new_wkp();
        fake_server
    }

    /// Returns a name for an ACK. 1: the fresh pipe. 2: a pipe without a reader. 3: a file. 4: a link. 5: a
    /// missing file. 6 to 9: invalid names. 0 and others: no name.
    pub(super) fn upstream(&self, which: usize) -> Vec<u8> {
        match which {
            1..=5 => name(&self.directory, "up", which - 1).0.into_bytes(),
            6 => b"../victim".to_vec(),
            7 => b"victim".to_vec(),
            8 => b"mario.up.1.0123456789abcdef/../victim".to_vec(),
            9 => vec![0xff; 255],
            _ => Vec::new(),
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if let Some(pipe) = &self.to_client {
            put(pipe, bytes);
            self.sent += bytes.len();
        }
    }

    pub(super) fn close_private(&mut self) {
        self.to_client = None;
    }

    pub(super) fn leave_wkp(&mut self) {
        if let Some((_, reader)) = &mut self.wkp {
            *reader = None;
        }
    }

    pub(super) fn leave_upstream(&mut self) {
        self.from_client = None;
    }

    /// Makes a new well-known pipe. The old one loses its name and its reader.
    pub(super) fn new_wkp(&mut self) {
        self.wkp = None;
        let (fifo, reader) = Fifo::make(self.directory.join("mario")).expect("the name is free");
        self.wkp = Some((fifo, Some(reader)));
    }

    /// Reads all frames that the client wrote, and checks that they are valid and due.
    pub(super) fn receive(&mut self) {
        let mut bytes = Vec::new();
        if let Some((_, Some(reader))) = &self.wkp {
            take(reader, &mut bytes);
        }
        if let Some(reader) = &self.from_client {
            take(reader, &mut bytes);
        }
        let mut scan = Scanner::default();
        while let Some((frame, _)) = scan.next_frame(&bytes, false) {
            self.check_frame(frame);
        }
        assert_eq!((scan.at, scan.skipped), (bytes.len(), 0), "the client wrote what is no frame");
    }

    fn check_frame(&mut self, frame: Frame<'_>) {
        let Header { kind, part, session, sequence } = frame.header;
        match kind {
            Kind::Hello => {
                let payload = frame.payload();
                let hello = Hello::decode(&payload).expect("a sound HELLO");
                let name = std::str::from_utf8(hello.name).expect("its names are text");
                // The client may have given up since.
                self.to_client = open_to_write(&self.directory.join(name)).ok();
                (self.nonce, self.is_ready) = (session, false);
            }
            Kind::Ready => self.is_ready = true,
            Kind::Request => {
                assert!(self.is_ready, "a request before READY");
                assert_eq!(sequence, self.due, "one request after the other");
                assert_eq!(part.number, self.part_due, "one part after the other");
                self.part_due = part.next();
                self.due += u32::from(!part.more);
            }
            Kind::Bye => assert!(self.is_ready, "BYE before READY"),
            _ => panic!("a client does not say {kind:?}"),
        }
    }

    /// Checks that only the original files are left, unchanged.
    pub(super) fn end(self) {
        let Self { directory, wkp, fresh, unread, .. } = self;
        drop((wkp, fresh, unread));
        let (file, link) = (name(&directory, "up", 2), name(&directory, "up", 3));
        for path in [&directory.join("victim"), &file.1] {
            assert_eq!(fs::read_to_string(path).expect("it is there"), VALUE);
        }
        assert_eq!(names(&directory), [file.0, link.0, "victim".into()], "just what was there");
        [directory.join("victim"), file.1, link.1]
            .iter()
            .for_each(|path| fs::remove_file(path).expect("it is there"));
    }
}
