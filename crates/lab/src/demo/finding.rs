//! What can be said at the end of a guest: as far as one can judge that from outside.

use handshake_core::error::Result;
use handshake_core::event::{Event, What};
use nix::sys::signal::Signal;

use super::cast::Actor;
use super::guest::Guest;
use super::stage::Stage;
use super::tell::shorten;
use super::verdict::answer;
use super::{counted, script, visit};

/// Says what was found. Returns whether it is a client, and came to its end.
pub(super) fn judge(stage: &mut Stage) -> Result<bool> {
    let Some(guest) = &stage.guest else {
        stage.voice.verdict(false, "the program was never started")?;
        return Ok(false);
    };
    let (right, claim) = handshake(stage, guest);
    let advice = if right { None } else { Some(advice(stage, guest)) };
    let (is_over, end) = end(stage, guest);
    let remarks = remarks(stage, guest);
    stage.voice.verdict(right, &claim)?;
    advice.map_or(Ok(()), |advice| stage.voice.line(&format!("    {advice}")))?;
    stage.voice.verdict(is_over, &end)?;
    remarks.iter().try_for_each(|remark| stage.voice.remark(remark))?;
    Ok(right && is_over)
}

fn handshake(stage: &Stage, guest: &Guest) -> (bool, String) {
    let Some(hello) = first(stage, guest, What::HelloReceived) else {
        return (false, "handshake: the server never received a private pipe's name".into());
    };
    let name = hello.pipe.as_deref().unwrap_or_default();
    let received = format!("handshake: its name [{}] was received", shorten(name));
    if first(stage, guest, What::AckSent).is_none() {
        return (false, format!("{received}, and its pipe could not be answered"));
    }
    let third = match (first(stage, guest, What::ReadyReceived), first(stage, guest, What::ThirdStepSpared)) {
        (Some(ready), _) => match ready.text.as_deref() {
            Some(text) => format!("third step [{text}]"),
            None => "third step READY".into(),
        },
        (None, Some(_)) => "no third step".into(),
        (None, None) => return (false, format!("{received}, acknowledged, and then it left")),
    };
    (true, format!("{received}, acknowledged; {third}"))
}

/// The likeliest mistake.
fn advice(stage: &Stage, guest: &Guest) -> String {
    let wkp = stage.troupe.wkp().name();
    if let Some(dropped) = first(stage, guest, What::ClientDropped) {
        return format!("the server's word: {}", dropped.text.as_deref().unwrap_or_default());
    }
    if guest.watch.has_knocked() {
        return "what it wrote into the well-known pipe was no name of a pipe in this directory, or it wrote nothing"
            .into();
    }
    let made: Vec<&str> = guest.watch.made().collect();
    let made = if made.is_empty() { "no pipe".into() } else { made.join(", ") };
    format!("it made {made}, and was not seen to open {wkp}; if it looks for another name: --wkp NAME")
}

fn end(stage: &Stage, guest: &Guest) -> (bool, String) {
    let status = stage.troupe.ended(Actor::Client(guest.number));
    let status = status.map_or("it never ended".into(), |status| status.to_string());
    match guest.ended_by {
        None => (true, format!("its end: {status}")),
        Some(Signal::SIGKILL) => (false, "its end: it did nothing more, and had to be killed".into()),
        Some(signal) => {
            (true, format!("its end: {status}; it did not end with its input, and was sent {signal}"))
        }
    }
}

/// What is worth knowing.
fn remarks(stage: &Stage, guest: &Guest) -> Vec<String> {
    let count = |what| stage.count_of(what, guest.number);
    let due = (1..=guest.typed).map(|number| answer(&script::message(guest.number, number)));
    let said = due.filter(|due| guest.said.iter().any(|line| line.contains(due.as_str()))).count();
    let mut remarks = Vec::new();
    if visit::is_connected(stage, guest.number) {
        remarks.push(format!(
            "it was given {}; the server received {}, replies sent: {}; {said} of the expected stand in what it said",
            counted(guest.typed, "message"),
            counted(count(What::RequestReceived), "request"),
            count(What::ReplySent),
        ));
    }
    if count(What::Skipped) > 0 {
        remarks.push("the server skipped bytes of it that were no record".into());
    }
    let left: Vec<&str> = guest.watch.left().collect();
    remarks.push(match left.len() {
        0 => "it left nothing behind".into(),
        _ => format!(
            "it left behind: {}",
            left.iter().map(|name| shorten(name)).collect::<Vec<_>>().join(", ")
        ),
    });
    if !stage.troupe.strays.is_empty() {
        remarks.push(format!(
            "processes that it had started and left, ended by number: {:?}",
            stage.troupe.strays
        ));
    }
    remarks
}

fn first<'s>(stage: &'s Stage, guest: &Guest, what: What) -> Option<&'s Event> {
    let is_it = |event: &&Event| event.what == what && stage.cast.client_of(event) == Some(guest.number);
    stage.record.seen().iter().find(is_it)
}
