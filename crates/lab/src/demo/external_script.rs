//! The sections of an external client: it connects, receives messages, leaves. It may fail in any of them, so
//! each wait has a limit.

use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;

use super::blocked::Blocked;
use super::director::{Director, Halt};
use super::external_client::ExternalProgram;
use super::roster::{Actor, message};

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an answer may take before the next message.
const ANSWER: Duration = Duration::from_secs(3);
/// How long the program may take to end: after the end of its input, and after each signal.
const END: Duration = Duration::from_secs(3);

/// The signals that ask it to end, one after the other: programs of the course end by Ctrl-C.
const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGKILL];

/// Starts the program. Returns whether it completed the handshake; if not, ends it.
pub(super) fn connect(director: &mut Director, external: &ExternalProgram) -> Result<bool, Halt> {
    let number = director.roster.clients().count() + 1;
    director.section(&format!("Client {number} connects"))?;
    director.printer.note(&format!("Client {number} is a program of yours: {}", external.words()))?;
    director.printer.note("\"seen\" marks what can be seen of it from outside.")?;
    director.start_external(external)?;
    let client = Actor::Client(number);
    director.attempt(HANDSHAKE, |now| {
        is_connected(now, number) && now.server_waits()
            || now.has_ended(client)
            || now.has_ended(Actor::Server)
    })?;
    if is_connected(director, number) {
        return Ok(true);
    }
    let why = if director.has_ended(client) {
        "has ended".into()
    } else {
        format!("still has not{}", blocked(director))
    };
    director.printer.note(&format!("It was to shake hands, and {why}."))?;
    end(director, number)?;
    Ok(false)
}

/// Whether the server waits for nothing more in the handshake. The external client itself writes no event
/// log.
pub(super) fn is_connected(director: &Director, number: usize) -> bool {
    let confirmed =
        director.count_of(What::ReadyReceived, number) + director.count_of(What::NoConfirmation, number);
    director.count_of(What::AckSent, number) > 0 && confirmed > 0
}

/// Gives the program a message, as a line of its stdin.
pub(super) fn give(director: &mut Director, number: usize) -> Result<(), Halt> {
    let Some(external) = &mut director.external else { return Ok(()) };
    let client = Actor::Client(external.number);
    if director.processes.ended(client).is_some() {
        return Ok(());
    }
    if external.given == 0 {
        external.closed_wkp = external.watch.has_closed_wkp(external.pid);
    }
    external.given += 1;
    let of_external = external.number;
    director.section(&format!("Client {of_external} is given message {number}"))?;
    let line = message(of_external, number);
    director.printer.note(&format!("typed: {line}"))?;
    director.processes.send_line(client, &line);
    let is_answered = director.attempt(ANSWER, |now| {
        now.count_of(What::ReplySent, of_external) >= number
            || now.has_ended(client)
            || now.has_ended(Actor::Server)
    })?;
    if !is_answered {
        let (seconds, blocked) = (ANSWER.as_secs(), blocked(director));
        director
            .printer
            .note(&format!("The server has seen no such request within {seconds} s{blocked}."))?;
    }
    Ok(())
}

/// Ends the program's input, and then the program.
pub(super) fn leave(director: &mut Director) -> Result<(), Halt> {
    let Some(number) = director.roster.external() else { return Ok(()) };
    director.section(&format!("Client {number} leaves: its input ends"))?;
    end(director, number)?;
    director.until(format!("the server to be done with client {number}"), |now| {
        let is_reaped = now.count(What::SubserverReaped) >= now.count(What::SubserverForked);
        is_reaped && now.server_waits() || now.has_ended(Actor::Server)
    })
}

/// What the program waits for, and the server meanwhile, as the end of a sentence; empty if it is not known.
fn blocked(director: &mut Director) -> String {
    let server = director.roster.pid(Actor::Server);
    let Some(external) = &mut director.external else { return String::new() };
    external.note_blocked(server);
    let waits = |blocked: &Blocked| format!(": it {}{}", blocked.waits, blocked.meanwhile);
    external.blocked.as_ref().map_or(String::new(), waits)
}

/// Ends the program: by the end of its input, or else by signals.
fn end(director: &mut Director, number: usize) -> Result<(), Halt> {
    let client = Actor::Client(number);
    director.processes.close_stdin(client);
    director.attempt(END, |now| now.has_ended(client))?;
    for signal in SIGNALS {
        if director.has_ended(client) {
            break;
        }
        blocked(director);
        director.printer.note(&format!("It goes on; it is sent {signal}."))?;
        director.processes.signal(client, signal);
        if let Some(external) = &mut director.external {
            external.ended_by = Some(signal);
        }
        director.attempt(END, |now| now.has_ended(client))?;
    }
    Ok(())
}
