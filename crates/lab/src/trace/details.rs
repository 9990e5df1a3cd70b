//! All that is known of an event, an arrow or a pipe, in plain text: for hovers and lists.

use pipe_watch::event::{Event, Source};
use pipe_watch::look::Access;
use pipe_watch::timeline::{Arrow, Timeline, duration, grouped};

use super::view::{Row, View, word_of};

/// A row's event, one fact a line.
pub(super) fn of_row(view: &View<'_>, row: Row) -> String {
    let timeline = view.timeline;
    let event = match row {
        Row::Event(event) | Row::End(event) => event,
        Row::Fold(fold) => {
            let events = &timeline.folds[fold].events;
            let (first, last) = (events[0], events[events.len() - 1]);
            let (first, last) = (&timeline.events[first], &timeline.events[last]);
            let took = duration(last.end_ns().saturating_sub(first.ns));
            return format!("#{} to #{}: {} in {took}", first.seq, last.seq, view.words(row));
        }
    };
    let the = &timeline.events[event];
    let title = &timeline.lanes[timeline.lane_of[event]].title;
    let mut lines = vec![format!("#{} {} ({}): {}", the.seq, title, the.pid, view.words(row))];
    lines.extend(facts(view, event));
    lines.join("\n")
}

/// What the few words do not say.
pub(super) fn facts(view: &View<'_>, event: usize) -> Vec<String> {
    let the = &view.timeline.events[event];
    let mut facts = Vec::new();
    if let Some(step) = the.step {
        facts.push(format!("step {step}"));
    }
    facts.push(format!("at {}", view.clock(event)));
    facts.extend(the.took.map(|took| format!("took {}", duration(took))));
    facts.extend(the.tid.map(|tid| format!("thread {tid}")));
    match the.source {
        // No system call: only what the program says of it.
        Source::Program => facts.extend(the.path.as_ref().map(|path| format!("pipe {path}"))),
        _ => facts.push(call(the)),
    }
    facts.extend(the.data.as_ref().map(|data| format!("data {data}")));
    facts.extend(the.text.as_ref().filter(|text| view.words(Row::Event(event)) != **text).cloned());
    facts.extend(view.wait_words(event));
    facts.extend(view.timeline.cause(event));
    for arrow in view.timeline.arrows_to(event).take(8) {
        facts.push(of_bytes(view, arrow));
    }
    for arrow in view.timeline.arrows_from(event).take(8) {
        facts.push(format!("{} to {}", bytes(arrow), view.reference(arrow.to)));
    }
    facts
}

/// What a read took from a write.
pub(super) fn of_bytes(view: &View<'_>, arrow: &Arrow) -> String {
    format!("{} from {}", bytes(arrow), view.reference(arrow.from))
}

/// The call with its arguments and its result.
fn call(event: &Event) -> String {
    let mut arguments = Vec::new();
    arguments.extend(event.fd.map(|fd| fd.to_string()));
    arguments.extend(event.fd_to.map(|fd| fd.to_string()));
    arguments.extend(event.path.as_ref().map(|path| format!("{path:?}")));
    arguments.extend(event.path_to.as_ref().map(|path| format!("{path:?}")));
    arguments.extend(event.access.map(|access| {
        let flag = match access {
            Access::Read => "O_RDONLY",
            Access::Write => "O_WRONLY",
            Access::Both => "O_RDWR",
        };
        flag.to_owned()
    }));
    arguments.extend(event.asked.map(|asked| format!("{asked} bytes")));
    arguments.extend(event.peer.map(|peer| format!("process {peer}")));
    arguments.extend(event.signal.clone());
    let result = match (&event.errno, event.ret) {
        (Some(errno), _) => format!(" = {errno}"),
        (None, Some(ret)) => format!(" = {ret}"),
        (None, None) => String::new(),
    };
    format!("{}({}){result}", word_of(event.call), arguments.join(", "))
}

pub(super) fn of_arrow(view: &View<'_>, arrow: &Arrow) -> String {
    let timeline = view.timeline;
    let lane = |event: usize| &timeline.lanes[timeline.lane_of[event]].title;
    let pipe = &timeline.pipes[arrow.pipe].label;
    let late = timeline.events[arrow.to].end_ns().saturating_sub(timeline.events[arrow.from].ns);
    format!(
        "{} through {pipe}, from {} ({}) to {} ({}), in {}",
        bytes(arrow),
        lane(arrow.from),
        view.reference(arrow.from),
        lane(arrow.to),
        view.reference(arrow.to),
        duration(late)
    )
}

fn bytes(arrow: &Arrow) -> String {
    match arrow.bytes {
        None => "a message".to_owned(),
        Some(1) => "1 byte".to_owned(),
        Some(bytes) => format!("{} bytes", grouped(bytes)),
    }
}

pub(super) fn of_pipe(timeline: &Timeline, pipe: usize) -> String {
    let the = &timeline.pipes[pipe];
    let name =
        the.names.last().map_or_else(|| "it never had a name".to_owned(), |path| format!("path {path}"));
    let mut lines = vec![the.label.clone(), name];
    let number = |event: usize| timeline.events[event].seq;
    lines.extend(the.made.map(|made| format!("made by #{}", number(made))));
    lines.extend(the.unlinked.map(|unlinked| format!("lost its name by #{}", number(unlinked))));
    lines.extend(the.last_close.map(|close| format!("last close: #{}", number(close))));
    if the.bytes_in + the.bytes_out > 0 {
        let (into, out) = (grouped(the.bytes_in), grouped(the.bytes_out));
        lines.push(format!("{into} bytes in, {out} out, {} left", grouped(the.left)));
    }
    for hold in the.holds.iter().take(16) {
        let end = match hold.access {
            Access::Read => "read end",
            Access::Write => "write end",
            Access::Both => "both ends",
        };
        let to = hold.to.map_or_else(|| "on".to_owned(), |to| format!("to #{}", number(to)));
        let title = &timeline.lanes[hold.lane].title;
        lines.push(format!("{title}: {end}, fd {}, from #{} {to}", hold.fd, number(hold.from)));
    }
    lines.join("\n")
}
