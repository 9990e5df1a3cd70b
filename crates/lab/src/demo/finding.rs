//! The findings about an external client, as far as they can be judged from outside.

use handshake_core::error::Result;
use handshake_core::event::{Event, Role, What};
use nix::sys::signal::Signal;

use super::advice::{End, Facts, in_words};
use super::director::Director;
use super::external_client::ExternalClient;
use super::roster::Actor;
use super::sentence::{own_name, shorten};
use super::verdict::answer;
use super::watch::WkpOpened;
use super::{Args, roster};
use crate::check::{self, Check};
use crate::numbers::counted;

/// Prints the findings. Returns whether the program is a proper client: it completed the handshake, printed
/// the replies to its messages, and ended.
pub(super) fn judge(director: &mut Director, args: &Args) -> Result<bool> {
    let messages = args.messages;
    let Some(external) = &director.external else {
        director.printer.verdict(false, "the program was never started")?;
        return Ok(false);
    };
    let facts = facts(director, external, args);
    let mut judged = vec![handshake(director, external, &facts)];
    if judged[0].right && messages > 0 {
        judged.push(replies(director, external, &facts, messages));
    }
    let did_its_work = judged.iter().all(|judged| judged.right);
    let (end, remark) = end(director, external, &facts, did_its_work);
    judged.extend(end);
    let right = judged.iter().all(|judged| judged.right);
    let remarks: Vec<_> =
        remark.into_iter().chain(remarks(director, external, &facts, did_its_work)).collect();
    let name = Actor::Client(external.number);
    check::print(judged, &mut director.printer)?;
    remarks.iter().try_for_each(|remark| director.printer.remark(remark))?;
    let claim = if right { "passed" } else { "failed" };
    director.printer.verdict(right, &format!("{name}, your program, {claim}"))?;
    Ok(right)
}

fn facts(director: &Director, external: &ExternalClient, args: &Args) -> Facts {
    let first = |what| director.events_of(what, external.number).next();
    let text = |event: &Event| event.text.clone().unwrap_or_default();
    // The server cannot know which client wrote these bytes. But only the external client writes a line that
    // is no name.
    let is_no_name = |event: &&Event| {
        event.what == What::Skipped
            && event.role == Role::Server
            && event.session.is_none()
            && event.text.is_some()
    };
    let no_name = director.event_log.seen().iter().find(is_no_name);
    let ack = first(What::AckSent).map(text).filter(|ack| !ack.is_empty());
    let prints_ack =
        |lines: &[String]| ack.as_ref().is_some_and(|ack| lines.iter().any(|line| line.contains(ack)));
    let (before, after) = external.printed_lines.split_at(external.printed_before);
    Facts {
        wkp: director.processes.wkp().name().into(),
        shared_wkp: args.shared_wkp,
        wkp_opened: external.watch.wkp_opened(),
        made: external.watch.made().map(own_name).collect(),
        no_name: no_name.map(|event| (event.bytes.unwrap_or_default(), text(event))),
        name: first(What::HelloReceived).and_then(|hello| hello.pipe.as_deref()).map(own_name),
        dropped: first(What::ClientDropped).map(text),
        acknowledged: first(What::AckSent).is_some(),
        printed_ack_late: !prints_ack(before) && prints_ack(after),
        blocked: external.blocked.clone(),
        blocked_before_wkp: external.blocked_before_wkp,
        closed_wkp: external.closed_wkp,
        end: End::new(director.processes.ended(Actor::Client(external.number)), external.ended_by),
        requests: director.count_of(What::RequestReceived, external.number),
        replies: director.count_of(What::ReplySent, external.number),
    }
}

fn handshake(director: &Director, external: &ExternalClient, facts: &Facts) -> Check {
    let wrong = |claim| Check::wrong(claim, facts.on_handshake());
    let Some(name) = &facts.name else {
        return wrong(match &facts.dropped {
            Some(_) => "handshake: the server received a private pipe's name, and dropped the client".into(),
            None => "handshake: the server never received a private pipe's name".into(),
        });
    };
    let received = format!("handshake: its name [{}] was received", shorten(name));
    if !facts.acknowledged {
        return wrong(format!("{received}, and its pipe could not be answered"));
    }
    if facts.blocked_before_wkp && external.given == 0 {
        return wrong(format!("{received} only when its input had ended"));
    }
    let third = match director.events_of(What::ReadyReceived, external.number).next() {
        Some(Event { text: Some(text), .. }) => format!("third step [{text}]"),
        Some(_) => "third step READY".into(),
        None if director.count_of(What::NoConfirmation, external.number) > 0 => "no third step".into(),
        None => return wrong(format!("{received}, acknowledged, and then it left")),
    };
    Check::right(format!("{received}, acknowledged; {third}"))
}

/// Checks that the program sent the given messages, and printed the replies. A program that sends messages of
/// its own must print at least one of its replies.
fn replies(director: &Director, external: &ExternalClient, facts: &Facts, messages: usize) -> Check {
    let prints =
        |text: &String| external.printed_lines.iter().any(|line| line.contains(text.trim_end_matches('…')));
    let sent = director.events_of(What::ReplySent, external.number);
    let sent: Vec<String> = sent.filter_map(|event| event.text.clone()).collect();
    let due: Vec<String> =
        (1..=messages).map(|number| answer(&roster::message(external.number, number))).collect();
    let asks_by_itself =
        !sent.is_empty() && !due.iter().any(|due| sent.iter().any(|sent| sent.contains(due.as_str())));
    let (given, requests) = (counted(external.given, "message"), counted(facts.requests, "request"));
    let replies = counted(facts.replies, "reply").replace("replys", "replies");
    let served = format!("it was given {given}; the server received {requests} and sent {replies}");
    let printed = due.iter().filter(|due| prints(due)).count();
    let (right, printed) = if !asks_by_itself {
        (printed == messages, format!("it printed {printed} of {messages} expected"))
    } else if sent.iter().any(|sent| !sent.is_empty() && prints(sent)) {
        (true, "it sends messages of its own, and prints replies".into())
    } else {
        (false, "it printed none of them".into())
    };
    let claim = format!("replies: {served}; {printed}");
    if right { Check::right(claim) } else { Check::wrong(claim, facts.on_replies(messages)) }
}

/// The program's end: a judged finding, or a remark. `did_its_work`: it completed the handshake and got its
/// replies.
fn end(
    director: &Director,
    external: &ExternalClient,
    facts: &Facts,
    did_its_work: bool,
) -> (Option<Check>, Option<String>) {
    let status = director.processes.ended(Actor::Client(external.number));
    let status = status.map_or("it never ended".into(), |status| status.to_string());
    let claim = format!("its end: {status}");
    let judged = match facts.end {
        End::Status(0) if did_its_work => Check::right(claim),
        End::Status(0) => return (None, Some(claim)),
        End::Status(_) => return (None, Some(format!("{claim}; 0 would say that all went well"))),
        // The advice is already given above, unless everything else was right.
        End::Crash(_) => Check::wrong(claim, did_its_work.then(|| facts.on_replies(0))),
        End::Sent(Signal::SIGKILL) => {
            let advice =
                did_its_work.then(|| "end when the input ends, and leave SIGINT (Ctrl-C) as it is".into());
            Check::wrong("its end: it did nothing more, and had to be killed".into(), advice)
        }
        End::Sent(signal) => {
            let claim = format!("its end: it did not end with its input, and was sent {signal}");
            if did_its_work { Check::right(claim) } else { Check::wrong(claim, None) }
        }
    };
    (Some(judged), None)
}

/// Remarks, which are neither right nor wrong.
fn remarks(director: &Director, external: &ExternalClient, facts: &Facts, did_its_work: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if did_its_work && facts.wkp_opened == WkpOpened::Both {
        remarks.push(format!(
            "it opened {} with O_RDWR: O_WRONLY is better, since then its writes fail when the server has \
             gone",
            facts.wkp
        ));
    }
    if director.count_of(What::Skipped, external.number) > 0 {
        remarks.push("the server skipped bytes of it that were no frame".into());
    }
    let left: Vec<String> = external.watch.left().map(own_name).collect();
    remarks.push(match left.as_slice() {
        [] => "it left nothing behind".into(),
        [name] if did_its_work && facts.name.as_ref() == Some(name) => {
            let name = shorten(name);
            format!(
                "it left behind: {name}: call remove(\"{name}\") once the acknowledgement has come (step 8)"
            )
        }
        left => format!("it left behind: {}", in_words(left)),
    });
    if !director.processes.leftover_processes.is_empty() {
        remarks.push(format!(
            "processes that it had started and left, ended by number: {:?}",
            director.processes.leftover_processes
        ));
    }
    remarks
}
