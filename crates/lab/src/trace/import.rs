//! Our programs' own event logs, as events of a timeline. They say what was sent and received; the kernel's
//! closes and the ends of processes are not in them.

use std::collections::HashMap;

use handshake_core::event::{Event as Own, Role, What};
use pipe_watch::event::{Call, Event, PipeKey, Source};

/// Parses a log. The last line may be incomplete: a process was killed while it wrote.
///
/// # Errors
/// The number of the line that is no event, and why.
pub(super) fn parse(text: &str) -> Result<Vec<Own>, String> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if !line.ends_with('\n') || line.trim().is_empty() => {}
            Err(error) => return Err(format!("line {number} is no event of our programs: {error}")),
        }
    }
    Ok(events)
}

/// Converts logs, of any number of processes, into events in the order of time.
pub(super) fn events(mut own: Vec<Own>) -> Vec<Event> {
    own.sort_by_key(|event| (event.ns, event.step.unwrap_or(u8::MAX), event.what as u8));
    let mut importer = Importer { is_dispatch: is_dispatch(&own), ..Importer::default() };
    let mut next_of: HashMap<u32, (u64, What)> = HashMap::new();
    // What a process waits for, it waits for until its next event.
    let nexts: Vec<_> =
        own.iter().rev().map(|event| next_of.insert(event.pid, (event.ns, event.what))).collect();
    let with_next = (1..).zip(own.iter().zip(nexts.into_iter().rev()));
    with_next.map(|(seq, (event, next))| importer.convert(seq, event, next)).collect()
}

/// Whether a client did nothing but wait between two of its events: for the well-known pipe, its turn, or a
/// reply.
fn is_answered(own: &Own, next: What) -> bool {
    let is_wait = match own.what {
        What::PrivateCreated => next == What::WkpOpened,
        What::RequestSent => matches!(next, What::ReplyReceived | What::RequestRefused),
        What::TryingAgain => true,
        _ => false,
    };
    is_wait && own.role == Role::Client
}

/// Whether a central process routes what these clients send.
fn is_dispatch(own: &[Own]) -> bool {
    own.iter().any(|event| event.what == What::Routed)
}

/// The pipes of a session.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// To the client: its private pipe.
    down: PipeKey,
    /// From the client.
    up: PipeKey,
    /// From the central process to the subserver, in place of `up`.
    routed: Option<PipeKey>,
}

#[derive(Debug, Default)]
struct Importer {
    is_dispatch: bool,
    pipes: u64,
    /// The pipe that has this name now.
    named: HashMap<String, PipeKey>,
    /// The well-known pipe that each process uses: a server's, after it has its name no more, is where it
    /// receives from.
    wkp: HashMap<u32, PipeKey>,
    sessions: HashMap<String, Session>,
}

impl Importer {
    fn convert(&mut self, seq: u64, own: &Own, next: Option<(u64, What)>) -> Event {
        let pipe = self.pipe(own);
        let (call, text) = self.words(own);
        let mut event = Event::new(seq, own.ns, own.pid, call, Source::Program);
        let until_next = next.map_or(0, |(ns, _)| ns.saturating_sub(own.ns + 1));
        if call == Call::Poll || next.is_some_and(|(_, next)| is_answered(own, next)) {
            event.took = Some(until_next);
        }
        if call == Call::Signal {
            event.signal.clone_from(&own.text);
        }
        if call == Call::Splice {
            event.pipe_to = self.session(own).and_then(|session| session.routed);
        }
        let is_message = matches!(own.what, What::RequestSent | What::RequestReceived)
            || matches!(own.what, What::ReplySent | What::ReplyReceived);
        event.data = match own.what {
            What::HelloSent => own.text.as_deref().map(escape),
            What::HelloReceived => own.pipe.as_deref().map(escape),
            _ if is_message => own.text.as_deref().map(escape),
            _ => None,
        };
        event.who = Some(own.role.to_string());
        event.pipe = pipe;
        // What a HELLO brings is the name of another pipe.
        event.path = own.pipe.clone().filter(|_| own.what != What::HelloReceived);
        event.ret = own.bytes.and_then(|bytes| i64::try_from(bytes).ok());
        event.peer = own.peer;
        event.step = own.step;
        event.text = text;
        event
    }

    /// The pipe that the event is about.
    fn pipe(&mut self, own: &Own) -> Option<PipeKey> {
        let name = own.pipe.as_deref();
        let session = self.session(own);
        match own.what {
            What::WkpCreated | What::PrivateCreated | What::UpstreamCreated => {
                let key = self.fresh();
                self.named.insert(name?.to_owned(), key);
                match own.what {
                    What::WkpCreated => drop(self.wkp.entry(own.pid).or_insert(key)),
                    What::UpstreamCreated => {
                        let session = own.session.as_ref().and_then(|id| self.sessions.get_mut(id));
                        session.into_iter().for_each(|session| session.up = key);
                    }
                    _ => {}
                }
                Some(key)
            }
            What::WkpRemoved | What::WkpOpened => {
                let key = self.by_name(name?);
                self.wkp.insert(own.pid, key);
                Some(key)
            }
            What::HelloSent => Some(self.wkp.get(&own.pid).copied().unwrap_or(self.by_name(name?))),
            What::HelloReceived => {
                let down = self.by_name(name?);
                let up = match self.wkp.get(&own.pid) {
                    Some(key) => *key,
                    None => self.fresh(),
                };
                let routed = self.is_dispatch.then(|| self.fresh());
                if let Some(id) = &own.session {
                    self.sessions.insert(id.clone(), Session { down, up, routed });
                }
                Some(up)
            }
            What::ReadySent | What::RequestSent | What::ByeSent => {
                session.map(|session| session.up).or_else(|| self.wkp.get(&own.pid).copied())
            }
            What::ReadyReceived | What::RequestReceived | What::SessionEnded => {
                let is_subserver = matches!(own.role, Role::Subserver(_));
                session.map(|session| session.routed.filter(|_| is_subserver).unwrap_or(session.up))
            }
            What::Routed => session.map(|session| session.up),
            What::ReplySent | What::ReplyReceived | What::RequestRefused => {
                session.map(|session| session.down)
            }
            _ => name.map(|name| self.by_name(name)),
        }
    }

    fn session(&self, own: &Own) -> Option<Session> {
        own.session.as_ref().and_then(|id| self.sessions.get(id)).copied()
    }

    fn by_name(&mut self, name: &str) -> PipeKey {
        if let Some(key) = self.named.get(name) {
            return *key;
        }
        let key = self.fresh();
        self.named.insert(name.to_owned(), key);
        key
    }

    /// An identity for a pipe whose inode the log does not have.
    fn fresh(&mut self) -> PipeKey {
        self.pipes += 1;
        PipeKey { device: 0, inode: self.pipes, generation: 0 }
    }

    /// The call that the event stands for, and what it says in a picture. Without a text the call says it.
    fn words(&self, own: &Own) -> (Call, Option<String>) {
        let text = own.text.as_deref().unwrap_or_default();
        let bytes = own.bytes.unwrap_or_default();
        let is_client = own.role == Role::Client;
        let (call, words) = match own.what {
            What::WkpCreated | What::PrivateCreated | What::UpstreamCreated => return (Call::Mkfifo, None),
            What::Waiting => (Call::Poll, "wait for a client".to_owned()),
            What::WkpOpened => (Call::Open, format!("open {}", name(own))),
            What::HelloSent => (Call::Write, "write its pipe's name".to_owned()),
            What::AwaitingAck => (Call::Poll, "wait for the acknowledgement".to_owned()),
            What::WkpRemoved | What::PrivateRemoved | What::UpstreamRemoved | What::WkpClosed => {
                return (Call::Unlink, None);
            }
            What::HelloReceived => (Call::Read, "read the pipe's name".to_owned()),
            What::SubserverForked => return (Call::Fork, None),
            What::SubserverBegan => (Call::Note, "begin".to_owned()),
            What::AckSent => (Call::Write, "write the acknowledgement".to_owned()),
            What::AckReceived => (Call::Read, "read the acknowledgement".to_owned()),
            What::ReadySent => (Call::Write, "write READY".to_owned()),
            What::ReadyReceived => (Call::Read, "read READY".to_owned()),
            What::RequestSent => (Call::Write, format!("ask \"{}\"", brief(text))),
            What::RequestReceived => (Call::Read, format!("read \"{}\"", brief(text))),
            What::ReplySent => (Call::Write, format!("reply \"{}\"", brief(text))),
            What::ReplyReceived => (Call::Read, format!("read \"{}\"", brief(text))),
            What::RequestRefused if is_client => (Call::Read, format!("refused: {text}")),
            What::RequestRefused => (Call::Write, format!("refuse: {text}")),
            What::ByeSent => (Call::Write, "write BYE".to_owned()),
            What::SessionEnded if text == "BYE" => (Call::Read, "read BYE".to_owned()),
            What::SessionEnded => (Call::Note, format!("session over: {text}")),
            What::Routed => (Call::Splice, format!("pass {bytes} bytes on")),
            What::SubserverReaped => return (Call::Wait, None),
            What::AskedToEnd => return (Call::Signal, None),
            What::Ended => (Call::Note, "end, all cleaned up".to_owned()),
            What::StatusReceived => (Call::Note, format!("told: {text}")),
            What::ClientDropped => (Call::Note, format!("drop a client: {text}")),
            What::TryingAgain => (Call::Note, format!("try again: {text}")),
            What::Skipped => (Call::Note, format!("skip {bytes} bytes")),
            What::Shortage => (Call::Note, format!("let clients wait: {text}")),
            What::NoConfirmation => (Call::Note, format!("no third step: {text}")),
            What::InDoubt => (Call::Note, format!("in doubt: {text}")),
            What::Queued => (Call::Note, format!("let {} wait", name(own))),
            What::EventsDropped => (Call::Note, format!("events are missing: {text}")),
        };
        (call, Some(words))
    }
}

/// The name of the event's pipe, as pictures have it.
fn name(own: &Own) -> String {
    pipe_watch::timeline::short_name(own.pipe.as_deref().unwrap_or("a pipe"))
}

/// The beginning of a message.
fn brief(text: &str) -> String {
    const LONGEST: usize = 14;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// As in a Rust byte string.
fn escape(text: &str) -> String {
    text.as_bytes().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<Event> {
        events(parse(&lines.join("\n")).unwrap())
    }

    #[test]
    fn a_handshake_has_its_pipes() {
        let events = log(&[
            r#"{"ns":1,"pid":1,"role":"server","step":1,"what":"wkp-created","pipe":"mario"}"#,
            r#"{"ns":2,"pid":1,"role":"server","step":2,"what":"waiting","pipe":"mario"}"#,
            r#"{"ns":3,"pid":2,"role":"client","step":3,"what":"private-created","pipe":"2"}"#,
            r#"{"ns":4,"pid":2,"role":"client","step":4,"what":"wkp-opened","pipe":"mario"}"#,
            r#"{"ns":5,"pid":2,"role":"client","step":4,"what":"hello-sent","pipe":"mario","text":"2"}"#,
            r#"{"ns":9,"pid":1,"role":"server","step":6,"what":"wkp-removed","pipe":"mario"}"#,
            r#"{"ns":10,"pid":1,"role":"server","step":1,"what":"wkp-created","pipe":"mario"}"#,
            r#"{"ns":11,"pid":1,"role":"server","session":"a","step":6,"what":"hello-received","pipe":"2"}"#,
            r#"{"ns":12,"pid":1,"role":"server","session":"a","step":7,"what":"ack-sent","pipe":"2"}"#,
            r#"{"ns":13,"pid":2,"role":"client","session":"a","what":"ready-sent"}"#,
        ]);
        let pipe = |at: usize| events[at].pipe.unwrap().inode;
        assert_eq!([0, 1, 3, 4, 5, 7, 9].map(pipe), [1; 7], "the first well-known pipe");
        assert_eq!([2, 8].map(pipe), [2; 2], "the private pipe");
        assert_eq!(pipe(6), 3, "the next well-known pipe");
        assert_eq!(events[1].took, Some(6), "the server waits until its next event");
    }

    #[test]
    fn a_client_waits_for_its_turn_and_for_a_reply() {
        let events = log(&[
            r#"{"ns":10,"pid":2,"role":"client","step":3,"what":"private-created","pipe":"2"}"#,
            r#"{"ns":20,"pid":2,"role":"client","step":4,"what":"wkp-opened","pipe":"mario"}"#,
            r#"{"ns":30,"pid":2,"role":"client","what":"request-sent","text":"a"}"#,
            r#"{"ns":90,"pid":2,"role":"client","what":"reply-received","text":"A"}"#,
            r#"{"ns":95,"pid":2,"role":"client","what":"request-sent","text":"b"}"#,
            r#"{"ns":99,"pid":2,"role":"client","what":"bye-sent"}"#,
        ]);
        let took: Vec<_> = events.iter().map(|event| event.took).collect();
        assert_eq!(took, [Some(9), None, Some(59), None, None, None]);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("{\"ns\":1").unwrap(), []);
        assert!(parse("\n{}\n").unwrap_err().starts_with("line 2 is no event"));
    }
}
