//! A peer of the server, which checks everything that it receives.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use handshake_core::fifo::{Fifo, Standing, look, open_to_write};
use handshake_core::sys::{Lock, try_lock};
use handshake_core::wire::{Ack, Header, Kind, Part, Scanner, VERSION};

use crate::setup::{name, put, take};

pub(super) struct Peer {
    directory: PathBuf,
    pub(super) name: String,
    private: Option<(Fifo, OwnedFd)>,
    upstream: Option<OwnedFd>,
    /// The well-known pipe, if that is its upstream, whether the pipe has lost its name or not.
    wkp: Option<Standing>,
    pub(super) nonce: u64,
    /// How many HELLOs named its private pipe: 1 if only the peer did, once; 2 or more otherwise.
    pub(super) named: usize,
    /// Whether one of them was valid and must be answered.
    pub(super) awaits_answer: bool,
    received: Vec<u8>,
    scan: Scanner,
    pub(super) ack: Option<Ack>,
    /// The number of the request that is answered next.
    due: u32,
    /// The reply that is being received.
    reply: Vec<u8>,
    /// The number of the next part of that reply.
    part_due: u16,
}

impl Peer {
    pub(super) fn new(directory: &Path, number: usize) -> Self {
        let (name, path) = name(directory, "client", number);
        let (fifo, from_server) = Fifo::make(path).expect("the name is free");
        Self {
            directory: directory.into(),
            name,
            private: Some((fifo, from_server)),
            upstream: None,
            wkp: None,
            nonce: 1000 + number as u64,
            named: 0,
            awaits_answer: false,
            received: Vec::new(),
            scan: Scanner::default(),
            ack: None,
            due: 1,
            reply: Vec::new(),
            part_due: 0,
        }
    }

    /// Opens the well-known pipe, if it exists.
    pub(super) fn open(&mut self) {
        let path = self.directory.join("mario");
        if let (Ok(wkp), Ok(standing)) = (open_to_write(&path), look(&path)) {
            (self.upstream, self.wkp) = (Some(wkp), Some(standing));
        }
    }

    /// Returns whether its upstream is still the well-known pipe, so that a HELLO counts.
    pub(super) fn has_wkp(&self) -> bool {
        self.wkp.is_some() && self.wkp == look(&self.directory.join("mario")).ok()
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
        (self.upstream, self.wkp) = (None, None);
    }

    pub(super) fn leave(&mut self) {
        self.private = None;
        self.awaits_answer = false;
    }

    /// Returns the pipe that brings its answers.
    pub(super) fn answers(&self) -> Option<&OwnedFd> {
        self.private.as_ref().map(|(_, pipe)| pipe)
    }

    /// Opens the fresh upstream that the ACK names, if it names one. That pipe no longer exists if the server
    /// has ended the session.
    pub(super) fn follow_ack(&mut self) {
        let Some(ack) = self.ack.as_ref().filter(|ack| !ack.upstream.is_empty()) else { return };
        let name = String::from_utf8(ack.upstream.clone()).expect("the server's names are text");
        assert!(!name.contains('/') && name.starts_with("mario.up."), "{name}");
        if fs::exists(self.directory.join(&name)).is_ok_and(|is| is) {
            (self.upstream, self.wkp) = (open_to_write(&self.directory.join(&name)).ok(), None);
        }
    }

    /// Reads all bytes and checks them: valid frames, of its own session, answers in order. Passes each reply
    /// to `reply`.
    pub(super) fn receive(&mut self, mut reply: impl FnMut(u64, &[u8])) {
        let Some((_, pipe)) = &self.private else { return };
        take(pipe, &mut self.received);
        while let Some((frame, _)) = self.scan.next_frame(&self.received, false) {
            let Header { kind, part, session, sequence } = frame.header;
            // An answer for another peer that used this name is not checked.
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
