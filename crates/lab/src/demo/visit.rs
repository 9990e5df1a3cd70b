//! The scenes of a guest: it connects, is given messages, leaves. Nothing here is ours to promise, so each wait has its end.

use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use probe::blocked::Call;

use super::cast::Actor;
use super::guest::Invitation;
use super::script::message;
use super::stage::{Halt, Stage};
use super::voice::unbroken;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an answer may take, before the next message is given.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it may take to end: after the end of its input, and after each signal.
const END: Duration = Duration::from_secs(3);

/// What it is asked to end by, one after the other: Ctrl-C is how programs of the course are ended.
const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGKILL];

/// Lets it come. Returns whether it has shaken hands; if not, it is ended.
pub(super) fn connect(stage: &mut Stage, guest: &Invitation) -> Result<bool, Halt> {
    let number = stage.cast.clients().count() + 1;
    stage.scene(&format!("Client {number} connects"))?;
    stage.voice.note(&format!("Client {number} is a program of yours: {}", guest.words()))?;
    stage.voice.note("What follows \"seen\" is what one sees of it from outside.")?;
    stage.start_guest(guest)?;
    let client = Actor::Client(number);
    stage.attempt(HANDSHAKE, |now| {
        is_connected(now, number) && now.server_waits()
            || now.has_ended(client)
            || now.has_ended(Actor::Server)
    })?;
    if is_connected(stage, number) {
        return Ok(true);
    }
    let why =
        if stage.has_ended(client) { "has ended".into() } else { format!("still has not{}", blocked(stage)) };
    stage.voice.note(&format!("It was to shake hands, and {why}."))?;
    end(stage, number)?;
    Ok(false)
}

/// The server has nothing more to wait for. Of a guest there is only its word.
pub(super) fn is_connected(stage: &Stage, number: usize) -> bool {
    let confirmed =
        stage.count_of(What::ReadyReceived, number) + stage.count_of(What::ThirdStepSpared, number);
    stage.count_of(What::AckSent, number) > 0 && confirmed > 0
}

/// Gives it a message, as a line of its stdin.
pub(super) fn give(stage: &mut Stage, number: usize) -> Result<(), Halt> {
    let Some(guest) = &mut stage.guest else { return Ok(()) };
    let client = Actor::Client(guest.number);
    if stage.troupe.ended(client).is_some() {
        return Ok(());
    }
    if guest.typed == 0 {
        guest.closed_wkp = guest.watch.has_closed_wkp(guest.pid);
    }
    guest.typed += 1;
    let of_guest = guest.number;
    stage.scene(&format!("Client {of_guest} is given message {number}"))?;
    let line = message(of_guest, number);
    stage.voice.note(&format!("typed: {line}"))?;
    stage.troupe.say(client, &line);
    let is_answered = stage.attempt(ANSWER, |now| {
        now.count_of(What::ReplySent, of_guest) >= number
            || now.has_ended(client)
            || now.has_ended(Actor::Server)
    })?;
    if !is_answered {
        let (seconds, blocked) = (ANSWER.as_secs(), blocked(stage));
        stage.voice.note(&format!("The server has seen no such request within {seconds} s{blocked}."))?;
    }
    Ok(())
}

/// Its input ends, and then it.
pub(super) fn leave(stage: &mut Stage) -> Result<(), Halt> {
    let Some(number) = stage.cast.guest() else { return Ok(()) };
    stage.scene(&format!("Client {number} leaves: its input ends"))?;
    end(stage, number)?;
    stage.until(format!("the server to be done with client {number}"), |now| {
        let is_reaped = now.count(What::SubserverReaped) >= now.count(What::SubserverForked);
        is_reaped && now.server_waits() || now.has_ended(Actor::Server)
    })
}

/// What it is blocked in, as the end of a sentence; nothing, if that is not known.
fn blocked(stage: &mut Stage) -> String {
    let Some(guest) = &mut stage.guest else { return String::new() };
    guest.note_blocked();
    let waits = |call: &Call| format!(": it waits in {}", unbroken(&call.to_string()));
    guest.blocked.as_ref().map_or(String::new(), waits)
}

/// Ends it: by the end of its input if it will, and else by its number.
fn end(stage: &mut Stage, number: usize) -> Result<(), Halt> {
    let client = Actor::Client(number);
    stage.troupe.hang_up(client);
    let mut has_ended = stage.attempt(END, |now| now.has_ended(client))?;
    for signal in SIGNALS {
        if has_ended || stage.has_ended(client) {
            break;
        }
        blocked(stage);
        stage.voice.note(&format!("It goes on; it is sent {signal}."))?;
        stage.troupe.signal(client, signal);
        if let Some(guest) = &mut stage.guest {
            guest.ended_by = Some(signal);
        }
        has_ended = stage.attempt(END, |now| now.has_ended(client))?;
    }
    Ok(())
}
