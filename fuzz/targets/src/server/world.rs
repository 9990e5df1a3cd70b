//! The environment of the server: the script, the peers, and the answers that the server must give them.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;

use handshake_core::sys::Lock;
use handshake_core::wire::{Header, Hello, Kind, Part, VERSION, pieces};

use super::peer::Peer;
use super::{LONGEST, was_answered};
use crate::script::{Script, payload};
use crate::setup::put;

pub(super) struct World {
    script: Script,
    peers: Vec<Peer>,
    /// The session that is served now.
    turn: Option<u64>,
    /// The service's replies for each session that the client has not read yet.
    replies: HashMap<u64, VecDeque<Vec<u8>>>,
    /// With a central process: its pipe to the subserver.
    pub(super) down: Option<OwnedFd>,
}

impl World {
    pub(super) fn new(directory: &Path, script: Script) -> Self {
        let peers = (0..4).map(|number| Peer::new(directory, number)).collect();
        Self { script, peers, turn: None, replies: HashMap::new(), down: None }
    }

    /// Lets the peers act until the script lets the server go on. Returns whether the script has more
    /// commands.
    pub(super) fn act(&mut self) -> bool {
        while let Some(letter) = self.script.letter() {
            match letter {
                b's' => return true,
                b'd' => self.script.damage(),
                b't' => self.script.lose_part(),
                b'o' | b'h' | b'n' | b'y' | b'r' | b'm' | b'b' | b'q' | b'p' | b'x' | b'X' | b'l' | b'u' => {
                    let peer = self.script.number() % self.peers.len();
                    self.act_of(peer, letter);
                }
                _ => {}
            }
        }
        false
    }

    fn act_of(&mut self, peer: usize, letter: u8) {
        match letter {
            b'o' => self.peers[peer].open(),
            b'h' => self.hello(peer),
            b'n' => {
                let name = self.script.raw();
                self.say(peer, Kind::Hello, self.peers[peer].nonce, 0, Part::ONLY, &hello(&name));
            }
            b'y' => self.confirm(peer),
            b'r' | b'm' => {
                let (kind, whose) = (self.script.kind(), self.script.number());
                let (number, length) = (self.script.number(), self.script.length());
                let session = self.session_of(peer, whose);
                let sequence = u32::try_from(number).expect("it was a byte");
                let part = self.script.part(letter == b'm');
                self.say(peer, kind, session, sequence, part, &payload(length));
            }
            b'b' => {
                let bytes = self.script.raw();
                self.write(peer, &bytes);
            }
            b'q' => {
                let (number, length) = (self.script.number(), self.script.length());
                let session = self.session_of(peer, 9);
                let message = payload(length);
                for (piece, part) in pieces(&message) {
                    self.say(peer, Kind::Request, session, number as u32, part, piece);
                }
            }
            b'p' => self.receive(peer),
            b'x' => self.peers[peer].close(),
            b'X' => self.peers[peer].leave(),
            b'l' => self.peers[peer].lock(Lock::Shared),
            _ => self.peers[peer].lock(Lock::Release),
        }
    }

    /// Writes HELLO, with the peer's own name or another's. The server must answer it if the frame is valid,
    /// the peer's upstream is the well-known pipe, and the named pipe has a reader.
    fn hello(&mut self, peer: usize) {
        let whose = self.script.number() % self.peers.len();
        let name = self.peers[whose].name.clone();
        let has_wkp = self.peers[peer].has_wkp();
        let nonce = self.peers[peer].nonce;
        let header = Header { kind: Kind::Hello, part: Part::ONLY, session: nonce, sequence: 0 };
        let (frame, sound) = self.script.frame(header, &hello(name.as_bytes()));
        if self.peers[peer].write(&frame) {
            let named = &mut self.peers[whose];
            named.named += if peer == whose { 1 } else { 2 };
            named.awaits_answer |= sound && has_wkp && named.answers().is_some();
        }
    }

    fn confirm(&mut self, peer: usize) {
        self.receive(peer);
        self.peers[peer].follow_ack();
        if let Some(session) = self.peers[peer].ack.as_ref().map(|ack| ack.session) {
            self.say(peer, Kind::Ready, session, 0, Part::ONLY, &[]);
        }
    }

    /// Returns a session chosen by a digit: the peer's own (9), another's, or one that does not exist.
    fn session_of(&mut self, peer: usize, whose: usize) -> u64 {
        let whose = if whose == 9 { peer } else { whose };
        if whose < self.peers.len() {
            self.receive(whose);
        }
        let ack = self.peers.get(whose).and_then(|peer| peer.ack.as_ref());
        ack.map_or(whose as u64, |ack| ack.session)
    }

    fn say(&mut self, peer: usize, kind: Kind, session: u64, sequence: u32, part: Part, payload: &[u8]) {
        let (frame, _) = self.script.frame(Header { kind, part, session, sequence }, payload);
        self.write(peer, &frame);
    }

    /// Writes through the peer's own pipe, or as the central process, which does not wait either.
    fn write(&self, peer: usize, bytes: &[u8]) {
        match &self.down {
            Some(down) => put(down, bytes),
            None => self.peers[peer].write(bytes),
        };
    }

    /// Closes the central process's pipe: no more frames will come.
    pub(super) fn nothing_more(&mut self) {
        // The last write may be the beginning of a frame, which would swallow a short answer.
        self.down = None;
    }

    pub(super) fn turn_of(&mut self, session: u64) {
        self.turn = Some(session);
    }

    pub(super) fn turn_is_over(&mut self) {
        self.turn = None;
        self.down = None;
    }

    /// Records a reply of the service.
    pub(super) fn processed(&mut self, reply: &[u8]) {
        let session = self.turn.expect("a session is served");
        if reply.len() <= LONGEST {
            self.replies.entry(session).or_default().push_back(reply.to_vec());
        }
    }

    fn receive(&mut self, peer: usize) {
        let replies = &mut self.replies;
        self.peers[peer].receive(|session, reply| {
            let due = replies.get_mut(&session).and_then(VecDeque::pop_front);
            assert!(due.as_deref() == Some(reply), "a reply to nothing that was asked");
        });
    }

    /// Checks that every HELLO has been answered. Called when the queue is empty.
    pub(super) fn check_answers(&mut self) {
        for number in 0..self.peers.len() {
            if std::mem::take(&mut self.peers[number].awaits_answer) {
                let answered =
                    self.peers[number].answers().is_none_or(was_answered) || self.peers[number].ack.is_some();
                assert!(answered, "peer {number} got no answer to its HELLO");
            }
            self.receive(number);
        }
    }

    pub(super) fn leave(&mut self) {
        self.peers.clear();
    }
}

fn hello(name: &[u8]) -> Vec<u8> {
    Hello { version: VERSION, name }.encode()
}
