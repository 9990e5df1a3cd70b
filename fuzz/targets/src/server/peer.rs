//! A peer of the server, and what it may expect to hear.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use handshake_core::fifo::{Fifo, Standing, look, open_to_read, open_to_write};
use handshake_core::sys::{Lock, try_lock};
use handshake_core::wire::{Ack, Header, Kind, Part, Scanner, VERSION};

use crate::stage::{name, put, take};

pub(super) struct Peer {
    directory: PathBuf,
    pub(super) name: String,
    private: Option<(Fifo, OwnedFd)>,
    upstream: Option<OwnedFd>,
    /// The well-known pipe, if that is its upstream, whether it has lost its name or not.
    door: Option<Standing>,
    pub(super) nonce: u64,
    /// HELLOs that named its private pipe: 1 if it alone did, once.
    pub(super) named: usize,
    /// Whether one of them was a good one that must be answered.
    pub(super) is_owed: bool,
    received: Vec<u8>,
    scan: Scanner,
    pub(super) ack: Option<Ack>,
    /// Which request is answered next.
    due: u32,
    /// The reply that is coming in.
    reply: Vec<u8>,
    /// The number of its part that comes next.
    part_due: u16,
}

impl Peer {
    pub(super) fn new(directory: &Path, number: usize) -> Self {
        let (name, path) = name(directory, "client", number);
        let fifo = Fifo::make(path.clone()).expect("the name is free");
        let from_server = open_to_read(&path).expect("it was just made");
        Self {
            directory: directory.into(),
            name,
            private: Some((fifo, from_server)),
            upstream: None,
            door: None,
            nonce: 1000 + number as u64,
            named: 0,
            is_owed: false,
            received: Vec::new(),
            scan: Scanner::default(),
            ack: None,
            due: 1,
            reply: Vec::new(),
            part_due: 0,
        }
    }

    /// Opens the well-known pipe, if there is one.
    pub(super) fn open(&mut self) {
        let path = self.directory.join("mario");
        if let (Ok(wkp), Ok(standing)) = (open_to_write(&path), look(&path)) {
            (self.upstream, self.door) = (Some(wkp), Some(standing));
        }
    }

    /// Whether its upstream still is the well-known pipe, so that a HELLO counts.
    pub(super) fn is_at_the_door(&self) -> bool {
        self.door.is_some() && self.door == look(&self.directory.join("mario")).ok()
    }

    pub(super) fn write(&self, bytes: &[u8]) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| put(upstream, bytes))
    }

    pub(super) fn lock(&self, how: Lock) {
        if let Some(upstream) = &self.upstream {
            let _ = try_lock(upstream.as_fd(), how);
        }
    }

    pub(super) fn close(&mut self) {
        (self.upstream, self.door) = (None, None);
    }

    pub(super) fn leave(&mut self) {
        self.private = None;
        self.is_owed = false;
    }

    /// The pipe in which its answers come.
    pub(super) fn answers(&self) -> Option<&OwnedFd> {
        self.private.as_ref().map(|(_, pipe)| pipe)
    }

    /// Goes over to the fresh upstream that the ACK names, if it names one. It is not there any more if the server has lost
    /// its patience.
    pub(super) fn follow_ack(&mut self) {
        let Some(ack) = self.ack.as_ref().filter(|ack| !ack.upstream.is_empty()) else { return };
        let name = String::from_utf8(ack.upstream.clone()).expect("the server's names are text");
        assert!(!name.contains('/') && name.starts_with("mario.up."), "{name}");
        if fs::exists(self.directory.join(&name)).is_ok_and(|is| is) {
            (self.upstream, self.door) = (open_to_write(&self.directory.join(&name)).ok(), None);
        }
    }

    /// Reads what came, and looks whether it may be: sound frames, of its own session, answers in order; each reply is
    /// handed to `reply`.
    pub(super) fn receive(&mut self, mut reply: impl FnMut(u64, &[u8])) {
        let Some((_, pipe)) = &self.private else { return };
        take(pipe, &mut self.received);
        while let Some((frame, _)) = self.scan.next_frame(&self.received, false) {
            let Header { kind, part, session, sequence } = frame.header;
            // What was meant for somebody who took this name is none of its business.
            let is_answer_to_hello = session == self.nonce && matches!(kind, Kind::Ack | Kind::Refuse);
            if self.named != 1 {
                if is_answer_to_hello && kind == Kind::Ack {
                    self.ack = Ack::decode(&frame.payload());
                }
                continue;
            }
            match (kind, &self.ack) {
                (Kind::Ack, None) if is_answer_to_hello => {
                    let ack = Ack::decode(&frame.payload()).expect("a sound ACK");
                    assert_eq!(ack.version, VERSION);
                    self.ack = Some(ack);
                }
                (Kind::Refuse, None) if is_answer_to_hello => {}
                (Kind::Reply, Some(ack)) if session == ack.session => {
                    assert_eq!(sequence, self.due, "an answer that was not due");
                    assert_eq!(part.number, self.part_due, "a part that was not due");
                    self.part_due = part.next();
                    frame.append_payload_to(&mut self.reply);
                    if !part.more {
                        reply(session, &self.reply);
                        self.reply.clear();
                        self.due += 1;
                    }
                }
                (Kind::Refuse, Some(ack)) if session == ack.session => {
                    assert_eq!((sequence, part), (self.due, Part::ONLY), "a refusal that was not due");
                    assert!(self.reply.is_empty(), "a refusal in the middle of a reply");
                    self.due += 1;
                }
                (Kind::Bye, Some(ack)) if session == ack.session => {}
                _ => panic!("{kind:?} of session {session:x} to a client of {:?}", self.ack),
            }
        }
        assert!(self.named > 1 || self.scan.skipped == 0, "the server wrote what is no frame");
    }
}
