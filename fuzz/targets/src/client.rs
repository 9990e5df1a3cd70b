//! The client: its handshake and its connection, with a fake server that may send anything at any moment.

mod fake_server;

use std::path::Path;
use std::rc::Rc;

use handshake_core::client::handshake::Handshake;
use handshake_core::client::session::{Answer, ClientSession as Connection};
use handshake_core::deadline::Deadline;
use handshake_core::event::Role;
use handshake_core::place::Place;
use handshake_core::wire::{Ack, Header, Kind, Part, VERSION};
use handshake_core::{Error, Process};

use crate::script::{Script, payload};
use crate::setup::in_directory;
use fake_server::FakeServer;

/// Runs a script. Commands:
///
/// - `a`: the client goes on with its handshake
/// - `k` whose nonce, upstream, window, longest message: ACK
/// - `r` kind, session, number, length: a frame
/// - `m` kind, session, number, length: a frame with MORE
/// - `b` length, bytes: these bytes
/// - `d` how, where: damages the next frame
/// - `t`: loses the next part
/// - `x`: closes the private pipe
/// - `w`: closes the reading end of the well-known pipe
/// - `W`: makes a new well-known pipe
/// - `u`: closes the reading end of the fresh upstream
/// - `q` length: the client sends a request
/// - `g`: the client reads
/// - `z`: the client sends BYE
pub fn client(data: &[u8]) {
    let mut script = Script::new(data);
    in_directory(Role::Client, |process, directory| {
        let mut run = Run::new(process, directory);
        while run.client.is_some()
            && let Some(letter) = script.letter()
        {
            run.act(letter, &mut script);
        }
        run.end();
    });
}

/// The state of the client.
enum Client {
    Connecting(Box<Handshake>),
    Connected(Box<Talk>),
}

struct Talk {
    connection: Connection,
    longest: u64,
    /// The number of the oldest request without an answer, and how many there are.
    oldest: u32,
    unanswered: usize,
}

struct Run {
    /// `None` once the client has given up.
    client: Option<Client>,
    fake_server: FakeServer,
    /// The session of all ACKs, and the longest message of any ACK.
    session: u64,
    longest: u64,
    /// Bytes of answers.
    answered: usize,
}

impl Run {
    fn new(process: &Rc<Process>, directory: &Path) -> Self {
        let fake_server = FakeServer::new(directory);
        let place = Place::new(&directory.join("mario")).expect("it ends in a name");
        let handshake = Handshake::new(process, &place, Deadline::NEVER);
        let client = Some(Client::Connecting(Box::new(handshake)));
        Self { client, fake_server, session: 0, longest: 0, answered: 0 }
    }

    fn act(&mut self, letter: u8, script: &mut Script) {
        match letter {
            b'a' => self.advance(),
            b'k' => self.acknowledge(script),
            b'r' | b'm' => {
                let (kind, session) = (script.kind(), self.session(script.number()));
                let (number, length) = (script.number(), script.length());
                let part = script.part(letter == b'm');
                let header = Header { kind, part, session, sequence: u32::try_from(number).expect("a byte") };
                let (frame, _) = script.frame(header, &payload(length));
                self.fake_server.send(&frame);
            }
            b'b' => self.fake_server.send(&script.raw()),
            b'd' => script.damage(),
            b't' => script.lose_part(),
            b'x' => self.fake_server.close_private(),
            b'w' => self.fake_server.leave_wkp(),
            b'W' => self.fake_server.new_wkp(),
            b'u' => self.fake_server.leave_upstream(),
            b'q' => self.request(script.length()),
            b'g' => self.read(),
            b'z' => self.bye(),
            _ => {}
        }
    }

    /// Returns a session chosen by a digit: the nonce of the last HELLO (0), the session's number (1), or one
    /// that does not exist.
    fn session(&self, whose: usize) -> u64 {
        match whose {
            0 => self.fake_server.nonce,
            1 => self.session,
            other => other as u64,
        }
    }

    fn acknowledge(&mut self, script: &mut Script) {
        let nonce = self.session(script.number());
        let upstream = self.fake_server.upstream(script.number());
        let window = [0, 1, 16, u16::MAX][script.number() % 4];
        let longest = [10_000, 0, 100, u64::MAX][script.number() % 4];
        let version = VERSION;
        let ack = Ack { session: 77, version, window, longest, upstream };
        // The longest of all ACKs: the client may take any of those on their way.
        (self.session, self.longest) = (ack.session, self.longest.max(longest));
        let header = Header { kind: Kind::Ack, part: Part::ONLY, session: nonce, sequence: 0 };
        let (frame, _) = script.frame(header, &ack.encode());
        self.fake_server.send(&frame);
    }

    /// Advances the handshake once, after a short pause of the client if one is due.
    fn advance(&mut self) {
        let Some(Client::Connecting(handshake)) = &mut self.client else { return };
        let (_, until) = handshake.watch();
        if until.left().is_some_and(|left| left.as_micros() < 200) {
            while !until.passed() {}
        }
        match handshake.advance() {
            Ok(None) => self.fake_server.receive(),
            Ok(Some(connection)) => {
                self.fake_server.receive();
                assert!(self.fake_server.is_ready, "connected without READY");
                let talk = Talk { connection: *connection, longest: self.longest, oldest: 1, unanswered: 0 };
                self.client = Some(Client::Connected(Box::new(talk)));
                // A frame may have come with the acknowledgement.
                self.take_answers();
            }
            Err(error) => self.give_up(&error),
        }
    }

    fn request(&mut self, length: usize) {
        let Some(Client::Connected(talk)) = &mut self.client else { return };
        if !talk.connection.may_send(length) {
            return;
        }
        match talk.connection.send(&payload(length)) {
            Ok(number) => {
                assert!(length as u64 <= talk.longest, "{length} bytes are more than the server takes");
                assert_eq!(number as usize, talk.oldest as usize + talk.unanswered, "the next number");
                talk.unanswered += 1;
            }
            Err(Error::TooLong { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        talk.connection.flush().expect("a pipe can be written, or has lost its reader");
        self.fake_server.receive();
    }

    /// Reads once, and takes all answers.
    fn read(&mut self) {
        let Some(Client::Connected(talk)) = &mut self.client else { return };
        match talk.connection.read() {
            Ok(()) => self.take_answers(),
            Err(error) => self.give_up(&error),
        }
    }

    fn take_answers(&mut self) {
        let mut reply = Vec::new();
        loop {
            let Some(Client::Connected(talk)) = &mut self.client else { return };
            let answer = talk.connection.answer(&mut reply);
            match answer {
                Ok(Answer::Nothing) => return,
                Ok(Answer::Reply(number) | Answer::Refused(number)) => {
                    assert_eq!(number, talk.oldest, "in order");
                    assert!(talk.unanswered > 0, "an answer without its request");
                    talk.oldest += 1;
                    talk.unanswered -= 1;
                    assert_eq!(talk.connection.unanswered(), talk.unanswered);
                    let refused = matches!(answer, Ok(Answer::Refused(_)));
                    assert!(
                        refused || reply.len() as u64 <= talk.longest,
                        "a reply of {} bytes",
                        reply.len()
                    );
                    self.answered += reply.len();
                    assert!(self.answered <= self.fake_server.sent, "more than was sent");
                }
                Err(error) => return self.give_up(&error),
            }
        }
    }

    fn bye(&mut self) {
        if let Some(Client::Connected(talk)) =
            self.client.take_if(|client| matches!(client, Client::Connected(_)))
        {
            talk.connection.bye();
            self.fake_server.receive();
        }
    }

    /// Checks the error with which the client gives up: an expected kind, and a printable text.
    fn give_up(&mut self, error: &Error) {
        assert!(
            matches!(
                error,
                Error::Refused { .. }
                    | Error::Protocol { .. }
                    | Error::AnswerTooLong { .. }
                    | Error::Lost { .. }
                    | Error::System { .. }
            ),
            "{error}"
        );
        let words = error.to_string();
        assert!(!words.contains(char::is_control), "this would move a terminal's cursor: {words:?}");
        self.client = None;
    }

    fn end(mut self) {
        self.client = None;
        self.fake_server.receive();
        self.fake_server.end();
    }
}
