//! What is checked at the end: what was seen against what had to be.

use std::fs;

use handshake_core::error::Result;
use handshake_core::event::{Event, What};
use handshake_core::service::BuiltIn;
use probe::proc;

use super::cast::Actor;
use super::stage::Stage;
use super::{Args, counted, script};

/// A client's handshake, each before the next.
const HANDSHAKE: [What; 11] = [
    What::PrivateCreated,
    What::WkpOpened,
    What::HelloSent,
    What::HelloReceived,
    What::SubserverForked,
    What::AckSent,
    What::AckReceived,
    What::PrivateRemoved,
    What::ReadySent,
    What::ReadyReceived,
    What::ByeSent,
];

/// One thing that was checked.
struct Check {
    claim: String,
    /// Nothing, if it is right; else what was seen and what was expected.
    wrong: Vec<String>,
}

/// Checks a play that came to its end. Returns whether all is right.
pub(super) fn judge(stage: &mut Stage, args: &Args, missing: Vec<String>, left: &[u32]) -> Result<bool> {
    let replies = replies(stage, args);
    let order = order(stage, args);
    let wrong = missing.into_iter().map(|what| format!("expected {what}; there was none")).collect();
    let pipes = Check { claim: "each round trip found in /proc, pipe by pipe".into(), wrong };
    let checks = [replies, order, causes(stage), pipes, statuses(stage, args.clients)];
    let right = say(stage, checks)?;
    Ok(judge_rest(stage, left)? && right)
}

/// Checks what any end must leave: nothing.
pub(super) fn judge_rest(stage: &mut Stage, left: &[u32]) -> Result<bool> {
    let checks = [files(stage), processes(stage, left), complaints(stage)];
    say(stage, checks)
}

fn say<const N: usize>(stage: &mut Stage, checks: [Check; N]) -> Result<bool> {
    let mut right = true;
    for check in checks {
        stage.voice.verdict(check.wrong.is_empty(), &check.claim)?;
        right &= check.wrong.is_empty();
        for wrong in &check.wrong {
            stage.voice.detail(wrong)?;
        }
    }
    Ok(right)
}

/// Each reply of each client against what the service must answer.
fn replies(stage: &mut Stage, args: &Args) -> Check {
    let (mut right, mut wrong) = (0, Vec::new());
    for client in 1..=args.clients {
        let printed = stage.troupe.printed(Actor::Client(client));
        let due: Vec<_> =
            (1..=args.messages).map(|number| answer(&script::message(client, number))).collect();
        for number in 0..printed.len().max(due.len()) {
            let (seen, expected) = (printed.get(number), due.get(number));
            if seen == expected {
                right += 1;
            } else {
                let [expected, seen] =
                    [expected, seen].map(|line| line.map_or("nothing".into(), |line| format!("[{line}]")));
                wrong.push(format!("client {client}: expected {expected}, seen {seen}"));
            }
        }
    }
    let all = args.clients * args.messages;
    Check { claim: format!("{right} of {all} replies right"), wrong }
}

/// What the servers' default service makes of it.
pub(super) fn answer(message: &str) -> String {
    let mut bytes = message.as_bytes().to_vec();
    BuiltIn::default().for_session().process(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each client's steps, in the course's order.
fn order(stage: &Stage, args: &Args) -> Check {
    let mut wrong = Vec::new();
    for client in 1..=args.clients {
        let mut before: Option<&Event> = None;
        for what in HANDSHAKE {
            if what == What::SubserverForked && !args.paradigm.forks() {
                continue;
            }
            let is_it = |event: &&Event| event.what == what && stage.cast.client_of(event) == Some(client);
            let Some(event) = stage.record.seen().iter().find(is_it) else {
                wrong.push(format!("client {client}: expected {what:?}; it did not happen"));
                continue;
            };
            if let Some(before) = before.filter(|before| before.ns > event.ns) {
                wrong.push(format!("client {client}: expected {:?} before {what:?}", before.what));
            }
            before = Some(event);
        }
    }
    let last = if args.paradigm.forks() { 8 } else { 7 };
    Check { claim: format!("steps 3 to 8 of each client in order, acknowledged in step {last}"), wrong }
}

/// What was sent was sent before it was received. A client that somebody else started keeps no record.
fn causes(stage: &Stage) -> Check {
    let of_ours = |event: &Event| stage.cast.client_of(event).is_some() && !stage.cast.concerns_guest(event);
    let (mut pairs, mut wrong) = (0, Vec::new());
    for (event, cause) in stage.record.pairs(of_ours) {
        pairs += 1;
        match cause {
            Some(cause) if cause.ns <= event.ns => {}
            Some(cause) => wrong.push(format!("expected {:?} before {:?}", cause.what, event.what)),
            None => wrong.push(format!("{:?} was recorded, and never what caused it", event.what)),
        }
    }
    Check { claim: format!("each of {pairs} receptions was recorded after its sending"), wrong }
}

/// Everybody has ended, with status 0.
fn statuses(stage: &Stage, clients: usize) -> Check {
    let mut wrong = Vec::new();
    for actor in [Actor::Server].into_iter().chain((1..=clients).map(Actor::Client)) {
        match stage.troupe.ended(actor) {
            Some(status) if status.success() => {}
            Some(status) => wrong.push(format!("{actor}: expected exit status: 0, seen {status}")),
            None => wrong.push(format!("{actor}: it was never started, or never ended")),
        }
    }
    let mut reaped = 0;
    for event in stage.record.seen().iter().filter(|event| event.what == What::SubserverReaped) {
        reaped += 1;
        let how = event.text.as_deref().unwrap_or_default();
        let subserver = event.peer.and_then(|pid| stage.cast.actor(pid));
        // A guest may leave in the middle of an answer, and that is told by its subserver's status.
        let client = subserver.and_then(|subserver| stage.cast.client_behind(subserver));
        let is_of_guest = client.is_some() && client == stage.cast.guest();
        if how != "exit status 0" && !is_of_guest {
            let name = subserver.map_or("a subserver".into(), |actor| actor.to_string());
            wrong.push(format!("{name}: expected exit status 0, seen {how}"));
        }
    }
    let forked = stage.cast.subservers().count();
    if forked != reaped {
        wrong.push(format!("expected {forked} subservers to be reaped, seen {reaped}"));
    }
    let subservers =
        if forked == 0 { String::new() } else { format!(", {} (reaped)", counted(forked, "subserver")) };
    Check { claim: format!("exit status 0: server, {}{subservers}", counted(clients, "client")), wrong }
}

/// No pipe, no lock file. What a guest has made is its own affair.
fn files(stage: &Stage) -> Check {
    let of_guest: Vec<&str> = stage.guest.iter().flat_map(|guest| guest.watch.left()).collect();
    let place = stage.troupe.place();
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let wrong: Vec<_> = names
        .filter(|name| !of_guest.contains(&name.as_str()))
        .map(|name| format!("left behind: {name}"))
        .collect();
    Check { claim: format!("nothing left in {}: no pipe, no lock file", place.display()), wrong }
}

/// No process, no zombie.
fn processes(stage: &Stage, left: &[u32]) -> Check {
    let name = |pid: u32| match stage.cast.actor(pid) {
        Some(actor) => stage.cast.name(actor),
        None => format!("process {pid}"),
    };
    let mut wrong: Vec<_> =
        left.iter().map(|pid| format!("{} did not end by itself and was killed", name(*pid))).collect();
    let parents = [std::process::id()].into_iter().chain(stage.cast.all().map(|(_, pid)| pid));
    let still = parents.flat_map(proc::children).filter(|child| stage.cast.actor(child.pid).is_some());
    wrong.extend(still.map(|child| format!("{} is still there, in state {}", name(child.pid), child.state)));
    Check { claim: "no process left, no zombie".into(), wrong }
}

/// With `-q`, stderr is for errors only.
fn complaints(stage: &mut Stage) -> Check {
    Check { claim: "nobody complained on stderr".into(), wrong: stage.troupe.complaints() }
}
