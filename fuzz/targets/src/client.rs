//! The client: its handshake and its connection, and a server made by hand that says anything at any moment.

mod scenery;

use std::path::Path;
use std::rc::Rc;

use handshake_core::client::handshake::{Handshake, Progress};
use handshake_core::client::session::{Answer, Connection};
use handshake_core::deadline::Deadline;
use handshake_core::event::Role;
use handshake_core::place::Place;
use handshake_core::wire::{Ack, Header, Kind, Part, VERSION};
use handshake_core::{Error, Process};

use crate::script::{Script, payload};
use crate::stage::play;
use scenery::Scenery;

/// `a`: the client goes on with its handshake; `k`, whose nonce, upstream, window, longest message: ACK; `r`,
/// kind, session, number, length: a frame; `m`: the same with MORE; `b`, length, bytes: these bytes; `d`,
/// how, where: the next frame is damaged; `t`: the next part is lost; `x`: the private pipe is closed; `w`:
/// nobody reads the well-known pipe any more; `W`: there is a new one; `u`: nobody reads the fresh upstream
/// any more; `q`, length: the client sends a request; `g`: it reads; `z`: it says BYE.
pub fn client(data: &[u8]) {
    let mut script = Script::new(data);
    play(Role::Client, |process, directory| {
        let mut play = Play::new(process, directory);
        while play.client.is_some()
            && let Some(letter) = script.letter()
        {
            play.act(letter, &mut script);
        }
        play.end();
    });
}

/// Where the client stands.
enum Client {
    Shaking(Box<Handshake>),
    Talking(Box<Talk>),
}

struct Talk {
    connection: Connection,
    longest: u64,
    /// The number of the oldest request without an answer, and how many there are.
    oldest: u32,
    unanswered: usize,
}

struct Play {
    /// None once it has given up.
    client: Option<Client>,
    scenery: Scenery,
    /// The session of all ACKs, and the longest message of any.
    session: u64,
    longest: u64,
    /// Bytes of answers.
    answered: usize,
}

impl Play {
    fn new(process: &Rc<Process>, directory: &Path) -> Self {
        let scenery = Scenery::new(directory);
        let place = Place::new(&directory.join("mario")).expect("it ends in a name");
        let handshake = Handshake::new(process, &place, Deadline::NEVER);
        let client = Some(Client::Shaking(Box::new(handshake)));
        Self { client, scenery, session: 0, longest: 0, answered: 0 }
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
                self.scenery.send(&frame);
            }
            b'b' => self.scenery.send(&script.raw()),
            b'd' => script.damage(),
            b't' => script.lose_part(),
            b'x' => self.scenery.close_private(),
            b'w' => self.scenery.leave_wkp(),
            b'W' => self.scenery.new_wkp(),
            b'u' => self.scenery.leave_upstream(),
            b'q' => self.request(script.length()),
            b'g' => self.read(),
            b'z' => self.bye(),
            _ => {}
        }
    }

    /// By a digit: the nonce of the last HELLO (0), the session's number (1), or one that nobody has.
    fn session(&self, whose: usize) -> u64 {
        match whose {
            0 => self.scenery.nonce,
            1 => self.session,
            other => other as u64,
        }
    }

    fn acknowledge(&mut self, script: &mut Script) {
        let nonce = self.session(script.number());
        let upstream = self.scenery.upstream(script.number());
        let window = [0, 1, 16, u16::MAX][script.number() % 4];
        let longest = [10_000, 0, 100, u64::MAX][script.number() % 4];
        let version = VERSION;
        let ack = Ack { session: 77, version, window, longest, upstream };
        // Whichever it takes: several may be on their way.
        (self.session, self.longest) = (ack.session, self.longest.max(longest));
        let header = Header { kind: Kind::Ack, part: Part::ONLY, session: nonce, sequence: 0 };
        let (frame, _) = script.frame(header, &ack.encode());
        self.scenery.send(&frame);
    }

    /// Once; where it pauses before the next try, the short pauses are waited for.
    fn advance(&mut self) {
        let Some(Client::Shaking(handshake)) = &mut self.client else { return };
        let (_, until) = handshake.watch();
        if until.left().is_some_and(|left| left.as_micros() < 200) {
            while !until.passed() {}
        }
        match handshake.advance() {
            Ok(Progress::Pending) => self.scenery.hear(),
            Ok(Progress::Connected(connection)) => {
                self.scenery.hear();
                assert!(self.scenery.is_ready, "connected without READY");
                let talk = Talk { connection: *connection, longest: self.longest, oldest: 1, unanswered: 0 };
                self.client = Some(Client::Talking(Box::new(talk)));
                // Something may have come with the acknowledgement.
                self.take_answers();
            }
            Err(error) => self.give_up(&error),
        }
    }

    fn request(&mut self, length: usize) {
        let Some(Client::Talking(talk)) = &mut self.client else { return };
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
        self.scenery.hear();
    }

    /// What there is, as far as one read goes.
    fn read(&mut self) {
        let Some(Client::Talking(talk)) = &mut self.client else { return };
        match talk.connection.read() {
            Ok(()) => self.take_answers(),
            Err(error) => self.give_up(&error),
        }
    }

    fn take_answers(&mut self) {
        let mut reply = Vec::new();
        loop {
            let Some(Client::Talking(talk)) = &mut self.client else { return };
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
                    assert!(self.answered <= self.scenery.sent, "more than was sent");
                }
                Err(error) => return self.give_up(&error),
            }
        }
    }

    fn bye(&mut self) {
        if let Some(Client::Talking(talk)) =
            self.client.take_if(|client| matches!(client, Client::Talking(_)))
        {
            talk.connection.bye();
            self.scenery.hear();
        }
    }

    /// For a reason that a person can read, with a status that the protocol page has for it.
    fn give_up(&mut self, error: &Error) {
        assert!(
            matches!(
                error,
                Error::Refused { .. } | Error::Protocol { .. } | Error::Lost { .. } | Error::System { .. }
            ),
            "{error}"
        );
        let words = error.to_string();
        assert!(!words.contains(char::is_control), "this would move a terminal's cursor: {words:?}");
        self.client = None;
    }

    fn end(mut self) {
        self.client = None;
        self.scenery.hear();
        self.scenery.end();
    }
}
