//! Joins a trace with the programs' own events: each gives its step and its text to the call that it is
//! about.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::names::short;
use crate::event::{Call, Event, PipeKey, Source};

/// How many calls of the process are looked at before an own event, and after it.
const NEAR: usize = 16;

/// Joins both. An own event that is about no call of the trace becomes a note between the calls.
pub fn merge(mut trace: Vec<Event>, own: Vec<Event>) -> Vec<Event> {
    trace.sort_by_key(|event| (event.ns, event.seq));
    let names = Names::of(&trace);
    let mut has_text = vec![false; trace.len()];
    let mut notes = Vec::new();
    let roles: HashMap<u32, Option<String>> = own.iter().map(|own| (own.pid, own.who.clone())).collect();
    let mut times: HashMap<u32, Vec<u64>> = HashMap::new();
    own.iter().for_each(|own| times.entry(own.pid).or_default().push(own.ns));
    times.values_mut().for_each(|times| times.sort_unstable());
    for own in own {
        match nearest(&trace, &names, &has_text, &times[&own.pid], &own) {
            Some(at) => {
                has_text[at] = true;
                let call = &mut trace[at];
                call.step = own.step.or(call.step);
                call.text = own.text.or(call.text.take());
            }
            None => {
                let text = Some(own.text.clone().unwrap_or_else(|| words(&own)));
                notes.push(Event { call: Call::Note, pipe: None, pipe_to: None, took: None, text, ..own });
            }
        }
    }
    for event in &mut trace {
        if let Some(role) = roles.get(&event.pid).cloned().flatten() {
            event.who = Some(role);
        }
    }
    trace.extend(notes);
    trace.sort_by_key(|event| (event.ns, event.seq));
    (1..).zip(&mut trace).for_each(|(seq, event)| event.seq = seq);
    trace
}

/// The names that each pipe ever had. A program makes a pipe under one name, and says the one that it gets.
struct Names(BTreeMap<PipeKey, BTreeSet<String>>);

impl Names {
    fn of(trace: &[Event]) -> Self {
        let mut names: BTreeMap<PipeKey, BTreeSet<String>> = BTreeMap::new();
        for event in trace {
            let renamed = event.path_to.as_deref().filter(|_| event.call == Call::Rename);
            for path in event.path.as_deref().into_iter().chain(renamed) {
                event.pipe.map(|pipe| names.entry(pipe).or_default().insert(last_part(path).to_owned()));
            }
        }
        Self(names)
    }

    /// Whether a call may be about the pipe of this name.
    fn may_be(&self, call: &Event, name: &str) -> bool {
        match (call.pipe.and_then(|pipe| self.0.get(&pipe)), call.path.as_deref()) {
            (Some(names), _) => names.contains(name),
            (None, path) => path.is_none_or(|path| last_part(path) == name),
        }
    }
}

/// The call of this process that the event is about: of the same kind, at a pipe of the same name, and the
/// nearest in time. `times` are those of the process's own events: a wait has none between it and its own.
fn nearest(trace: &[Event], names: &Names, has_text: &[bool], times: &[u64], own: &Event) -> Option<usize> {
    let middle = trace.partition_point(|event| event.ns < own.ns);
    let is_of_it = |at: &usize| trace[*at].pid == own.pid && trace[*at].source == Source::Trace;
    let before = (0..middle).rev().filter(is_of_it).take(NEAR);
    let after = (middle..trace.len()).filter(is_of_it).take(NEAR);
    let fits = |at: &usize| {
        let call = &trace[*at];
        !has_text[*at]
            && call.call == own.call
            && (call.errno.is_none() || is_interrupted(call))
            && !(own.call == Call::Poll && is_apart(times, call, own))
            && own.path.as_deref().is_none_or(|path| names.may_be(call, last_part(path)))
            && (own.peer.is_none() || call.peer.is_none() || call.peer == own.peer)
    };
    // A sender writes its event before the call, and a receiver after it.
    let distance = |at: &usize| {
        let call = &trace[*at];
        if call.ns >= own.ns { call.ns - own.ns } else { own.ns.saturating_sub(call.end_ns()) }
    };
    before.chain(after).filter(fits).min_by_key(distance)
}

/// Whether a signal ended the wait: the process waited for what its event says.
fn is_interrupted(call: &Event) -> bool {
    call.errno.as_deref() == Some("EINTR") && matches!(call.call, Call::Poll | Call::Read | Call::Wait)
}

/// Whether another own event lies between a call and an own event.
fn is_apart(times: &[u64], call: &Event, own: &Event) -> bool {
    let (from, to) = if call.ns >= own.ns { (own.ns, call.ns) } else { (call.end_ns(), own.ns) };
    let first = times.partition_point(|ns| *ns <= from);
    times[first..].first().is_some_and(|ns| *ns < to)
}

/// What the event is, if it does not say that itself.
fn words(own: &Event) -> String {
    let name = own.path.as_deref().map(short).unwrap_or_default();
    match own.call {
        Call::Mkfifo => format!("make {name}"),
        Call::Unlink => format!("remove {name}"),
        Call::Fork => "fork".to_owned(),
        Call::Wait => "reap a child".to_owned(),
        _ => name,
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
