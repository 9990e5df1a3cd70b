//! An event as a sentence, in the course's words.

use handshake_core::event::{Event, Role, What};
use handshake_core::text::words;

use super::roster::{Actor, Roster};

/// How many digits of RANDOM are shown; all 16 would fill the line without more information.
const RANDOM_SHOWN: usize = 4;

/// What the event's process did; `None` if the demo does not print the event. `replaces_wkp`: the server
/// removes the well-known pipe's name by renaming the next pipe to it, in one step.
pub(super) fn of_event(
    event: &Event,
    roster: &Roster,
    is_first_wkp: bool,
    replaces_wkp: bool,
) -> Option<String> {
    let text = event.text.as_deref().unwrap_or_default();
    let pipe = shorten(event.pipe.as_deref().unwrap_or_default());
    let client = Actor::Client(roster.client_of(event).unwrap_or(0)).to_string();
    let peer = event.peer.map(|pid| roster.name_of(pid)).unwrap_or_default();
    let bytes = event.bytes.unwrap_or_default();
    let sentence = match event.what {
        What::WkpCreated if is_first_wkp => format!("creates the well-known pipe {pipe}"),
        What::WkpCreated => format!("creates a new well-known pipe {pipe}"),
        What::Waiting => "waits for a connection".into(),
        What::PrivateCreated => format!("creates its private pipe {pipe}"),
        What::WkpOpened => format!("connects to the server: opens {pipe}"),
        What::HelloSent => format!("sends its private pipe's name through {pipe}"),
        What::AwaitingAck => "waits for the private pipe's connection".into(),
        What::WkpRemoved if replaces_wkp => format!("takes {pipe} away and puts the next in its place"),
        What::WkpRemoved => format!("removes the well-known pipe {pipe}"),
        What::HelloReceived => format!("receives from {client} [{pipe}]"),
        What::SubserverForked => format!("forks off {peer} for {client}"),
        // This event adds nothing to the fork.
        What::SubserverBegan => return None,
        What::UpstreamCreated => format!("makes a fresh pipe {pipe}"),
        What::AckSent => format!("connects to {pipe}, acknowledges"),
        What::AckReceived => "receives the server's message".into(),
        What::PrivateRemoved => format!("removes its private pipe {pipe}"),
        What::ReadySent => "confirms: READY".into(),
        What::ReadyReceived if text.is_empty() => "receives READY: connected, both ways verified".into(),
        What::ReadyReceived => format!("receives the third step [{text}]: connected"),
        What::NoConfirmation => format!("expects no confirmation: {text}"),
        What::InDoubt => format!("is in doubt: {text}"),
        What::Queued => format!("lets [{pipe}] wait for a pipe that another client has"),
        What::UpstreamRemoved => format!("removes the name of {pipe}"),
        What::Routed => format!("routes {bytes} bytes of {client} down to {}", subserver_of(event, roster)),
        What::RequestSent | What::RequestReceived | What::ReplySent | What::ReplyReceived => message(event),
        What::RequestRefused if event.role == Role::Client => format!("is refused a request: {text}"),
        What::RequestRefused => format!("refuses a request: {text}"),
        What::ByeSent => "needs nothing more: says BYE".into(),
        What::SessionEnded => format!("its session with {client} is over: {text}"),
        What::StatusReceived => format!("is notified by {}: {text}", subserver_of(event, roster)),
        What::SubserverReaped => format!("reaps {peer}: {text}"),
        What::ClientDropped => format!("drops {client}: {text}"),
        What::TryingAgain => format!("tries again: {text}"),
        What::Skipped if event.text.is_some() => {
            format!("skips {bytes} bytes that are no private pipe's name: [{text}]")
        }
        What::Skipped => format!("skips {bytes} bytes that are no frame"),
        What::Shortage => format!("lets clients wait: {text}"),
        What::AskedToEnd => format!("is asked to end: {text}"),
        What::WkpClosed => format!("removes the well-known pipe {pipe} for good"),
        What::Ended => "has cleaned up".into(),
        What::EventsDropped => format!("has a gap in its event log: {text}"),
    };
    Some(words(sentence.as_bytes()))
}

fn message(event: &Event) -> String {
    let verb = match event.what {
        What::RequestSent => "sends request",
        What::RequestReceived => "receives request",
        What::ReplySent => "sends reply",
        _ => "receives reply",
    };
    let text = event.text.as_deref().unwrap_or_default();
    quoted(&format!("{verb} {}", event.seq.unwrap_or_default()), text)
}

/// Aligns the texts of several lines.
pub(super) fn quoted(what: &str, text: &str) -> String {
    format!("{what:<18} [{text}]")
}

fn subserver_of(event: &Event, roster: &Roster) -> String {
    let number = roster.client_of(event).and_then(|client| roster.subserver_of(client));
    number.map_or_else(|| "its subserver".into(), |number| Actor::Subserver(number).to_string())
}

/// A pipe's own name in printable text, without its directory.
pub(super) fn own_name(pipe: &str) -> String {
    words(pipe.rsplit('/').next().unwrap_or(pipe).as_bytes())
}

/// The name that [`own_name`] gives, with only the beginning of RANDOM.
pub(super) fn shorten(pipe: &str) -> String {
    let name = own_name(pipe);
    match name.rsplit_once('.') {
        Some((rest, random)) if random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!("{rest}.{}…", &random[..RANDOM_SHOWN])
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_random_is_shortened() {
        assert_eq!(shorten("/tmp/lab/mario"), "mario");
        assert_eq!(shorten("mario.client.4711.98223bc06169d123"), "mario.client.4711.9822…");
        assert_eq!(shorten("mario.new.4711"), "mario.new.4711");
        assert_eq!(shorten("/tmp/\u{9b}2J\u{202e}"), "\u{fffd}2J\u{fffd}");
    }
}
