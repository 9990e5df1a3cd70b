//! The checks at the end of a demo: what was seen, and what was expected.

use std::fs;

use handshake_core::error::Result;
use handshake_core::event::{Event, What};
use handshake_core::service::BuiltIn;
use probe::proc;

use super::director::Director;
use super::roster::Actor;
use super::{Args, roster};
use crate::check::{self, Check};
use crate::numbers::counted;

/// The events of a client's handshake, in their order.
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

/// Checks a demo that came to its end. Returns whether all checks passed.
pub(super) fn judge(
    director: &mut Director,
    args: &Args,
    missing: Vec<String>,
    left: &[u32],
) -> Result<bool> {
    let replies = replies(director, args);
    let order = order(director, args);
    let missing = missing.into_iter().map(|what| format!("expected {what}; there was none"));
    let pipes = Check::new("each round trip found in /proc, pipe by pipe".into(), missing);
    let checks = [replies, order, causes(director), pipes, statuses(director, args.clients)];
    let right = check::print(checks, &mut director.printer)?;
    Ok(judge_rest(director, left)? && right)
}

/// Checks that nothing is left, which holds after any end.
pub(super) fn judge_rest(director: &mut Director, left: &[u32]) -> Result<bool> {
    let checks = [files(director), processes(director, left), complaints(director)];
    check::print(checks, &mut director.printer)
}

/// Compares each reply of each client with the service's answer.
fn replies(director: &mut Director, args: &Args) -> Check {
    let (mut right, mut wrong) = (0, Vec::new());
    for client in 1..=args.clients {
        let printed = director.processes.printed(Actor::Client(client));
        let due: Vec<_> =
            (1..=args.messages).map(|number| answer(&roster::message(client, number))).collect();
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
    Check::new(format!("{right} of {all} replies right"), wrong)
}

/// The answer of the servers' default service.
pub(super) fn answer(message: &str) -> String {
    let mut bytes = message.as_bytes().to_vec();
    BuiltIn::default().reply_to(1, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks that each client's steps came in the course's order.
fn order(director: &Director, args: &Args) -> Check {
    let mut wrong = Vec::new();
    for client in 1..=args.clients {
        let mut before: Option<&Event> = None;
        for what in HANDSHAKE {
            if what == What::SubserverForked && !args.paradigm.forks() {
                continue;
            }
            let Some(event) = director.events_of(what, client).next() else {
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
    Check::new(format!("steps 3 to 8 of each client in order, acknowledged in step {last}"), wrong)
}

/// Checks that everything was sent before it was received. Skips the external client, which writes no event
/// log.
fn causes(director: &Director) -> Check {
    let of_ours = |event: &Event| {
        director.roster.client_of(event).is_some() && !director.roster.concerns_external(event)
    };
    let (mut pairs, mut wrong) = (0, Vec::new());
    for (event, cause) in director.event_log.pairs(of_ours) {
        pairs += 1;
        match cause {
            Some(cause) if cause.ns <= event.ns => {}
            Some(cause) => wrong.push(format!("expected {:?} before {:?}", cause.what, event.what)),
            None => wrong.push(format!("{:?} is in the event log, but its cause is not", event.what)),
        }
    }
    Check::new(format!("each of {pairs} receptions was logged after its sending"), wrong)
}

/// Checks that all processes ended with status 0.
fn statuses(director: &Director, clients: usize) -> Check {
    let mut wrong = Vec::new();
    for actor in [Actor::Server].into_iter().chain((1..=clients).map(Actor::Client)) {
        match director.processes.ended(actor) {
            Some(status) if status.success() => {}
            Some(status) => wrong.push(format!("{actor}: expected exit status: 0, seen {status}")),
            None => wrong.push(format!("{actor}: it was never started, or never ended")),
        }
    }
    let mut reaped = 0;
    for event in director.event_log.seen().iter().filter(|event| event.what == What::SubserverReaped) {
        reaped += 1;
        let how = event.text.as_deref().unwrap_or_default();
        let subserver = event.peer.and_then(|pid| director.roster.actor(pid));
        // An external client may leave in the middle of an answer; its subserver's status then reports it.
        let client = subserver.and_then(|subserver| director.roster.client_served_by(subserver));
        let note_external_pipe = client.is_some() && client == director.roster.external();
        if how != "exit status 0" && !note_external_pipe {
            let name = subserver.map_or("a subserver".into(), |actor| actor.to_string());
            wrong.push(format!("{name}: expected exit status 0, seen {how}"));
        }
    }
    let forked = director.roster.subservers().count();
    if forked != reaped {
        wrong.push(format!("expected {forked} subservers to be reaped, seen {reaped}"));
    }
    let subservers =
        if forked == 0 { String::new() } else { format!(", {} (reaped)", counted(forked, "subserver")) };
    Check::new(format!("exit status 0: server, {}{subservers}", counted(clients, "client")), wrong)
}

/// Checks that no pipe and no lock file is left. Files of the external client do not count here.
fn files(director: &Director) -> Check {
    let of_external: Vec<&str> =
        director.external.iter().flat_map(|external| external.watch.left()).collect();
    let place = director.processes.place();
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let wrong: Vec<_> = names
        .filter(|name| !of_external.contains(&name.as_str()))
        .map(|name| format!("left behind: {name}"))
        .collect();
    Check::new(format!("nothing left in {}: no pipe, no lock file", place.display()), wrong)
}

/// Checks that no process and no zombie is left.
fn processes(director: &Director, left: &[u32]) -> Check {
    let name = |pid| director.roster.name_of(pid);
    let mut wrong: Vec<_> =
        left.iter().map(|pid| format!("{} did not end by itself and was killed", name(*pid))).collect();
    let parents = [std::process::id()].into_iter().chain(director.roster.all().map(|(_, pid)| pid));
    let still = parents.flat_map(proc::children).filter(|child| director.roster.actor(child.pid).is_some());
    wrong.extend(still.map(|child| format!("{} is still there, in state {}", name(child.pid), child.state)));
    Check::new("no process left, no zombie".into(), wrong)
}

/// Checks stderr: with `-q`, it is for errors only.
fn complaints(director: &mut Director) -> Check {
    Check::new("no messages on stderr".into(), director.processes.complaints())
}
