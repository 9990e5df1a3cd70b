//! Tests of the timeline, with events as the tracer makes them.

use super::*;
use crate::event::{HeldEnd, Source};
use crate::look::Access;

/// A pipe with this inode.
pub(super) fn pipe(inode: u64) -> Option<PipeKey> {
    Some(PipeKey { device: 1, inode, generation: 0 })
}

/// An event of this process, from `ns` to `end`.
pub(super) fn event(ns: u64, end: u64, pid: u32, call: Call) -> Event {
    Event { took: Some(end - ns), ..Event::new(0, ns, pid, call, Source::Trace) }
}

pub(super) fn write(ns: u64, end: u64, pid: u32, data: &str) -> Event {
    let size = i64::try_from(data.len()).unwrap();
    let data = Some(data.to_owned());
    Event {
        pipe: pipe(1),
        fd: Some(4),
        ret: Some(size),
        asked: Some(10),
        data,
        ..event(ns, end, pid, Call::Write)
    }
}

pub(super) fn read(ns: u64, end: u64, pid: u32, data: &str) -> Event {
    Event { call: Call::Read, fd: Some(3), ..write(ns, end, pid, data) }
}

/// The arrows: the beginnings of both events, and the bytes.
fn arrows(timeline: &Timeline) -> Vec<(u64, u64, u64)> {
    let ns = |event: usize| timeline.events[event].ns;
    timeline.arrows.iter().map(|arrow| (ns(arrow.from), ns(arrow.to), arrow.bytes.unwrap())).collect()
}

#[test]
fn the_nth_byte_written_is_the_nth_read() {
    let timeline = Timeline::of(vec![
        write(10, 11, 1, "abc"),
        write(20, 21, 1, "defg"),
        read(30, 31, 2, "ab"),
        read(40, 41, 2, "cdef"),
        write(50, 51, 1, "hi"),
    ]);
    assert_eq!(arrows(&timeline), [(10, 30, 2), (10, 40, 1), (20, 40, 3)]);
    let pipe = &timeline.pipes[0];
    assert_eq!((pipe.bytes_in, pipe.bytes_out, pipe.left), (9, 6, 3), "g and hi are left");
}

/// A read that waits begins before the write. It counts at its end, a write at its beginning.
#[test]
fn no_arrow_goes_back_in_time() {
    let timeline = Timeline::of(vec![read(10, 90, 2, "abc"), write(50, 95, 1, "abc")]);
    assert_eq!(arrows(&timeline), [(50, 10, 3)]);
    let arrow = &timeline.arrows[0];
    assert!(timeline.began[arrow.from] < timeline.ended[arrow.to]);
    let wait = timeline.wait_of(arrow.to).unwrap();
    assert_eq!((wait.took, wait.ended_by), (Some(80), Some(arrow.from)));
}

#[test]
fn of_two_writers_at_once_the_bytes_show_the_order() {
    let both = |second: u64| {
        let events =
            vec![write(10, 30, 1, "first"), write(second, 40, 2, "other"), read(50, 51, 3, "otherfirst")];
        arrows(&Timeline::of(events))
    };
    assert_eq!(both(20), [(20, 50, 5), (10, 50, 5)], "they ran at the same time");
    assert_eq!(both(35), [(10, 50, 5), (35, 50, 5)], "the first had returned");
}

#[test]
fn a_write_that_waits_at_the_end_has_arrows_and_leaves_nothing() {
    let waits = Event { took: None, ret: None, data: None, asked: Some(10), ..write(10, 10, 1, "") };
    let timeline = Timeline::of(vec![waits, read(20, 21, 2, "abcd")]);
    assert_eq!(arrows(&timeline), [(10, 20, 4)]);
    assert_eq!(timeline.pipes[0].left, 0);
    assert_eq!(timeline.waits.len(), 1, "it still waits");
    assert_eq!(timeline.waits[0].took, None);
}

#[test]
fn an_inode_that_comes_back_is_another_pipe() {
    let make = |ns, generation| {
        let key = PipeKey { generation, ..pipe(1).unwrap() };
        Event { pipe: Some(key), path: Some("/tmp/mario".to_owned()), ..event(ns, ns + 1, 1, Call::Mkfifo) }
    };
    let remove = Event { call: Call::Unlink, ..make(20, 0) };
    let timeline = Timeline::of(vec![make(10, 0), remove, make(30, 1)]);
    let labels: Vec<_> = timeline.pipes.iter().map(|pipe| pipe.label.as_str()).collect();
    assert_eq!(labels, ["mario", "mario (2)"]);
    assert_eq!(timeline.pipes[0].unlinked, Some(1));
    assert_eq!(timeline.pipes[0].end(), Some(1));
    assert_eq!(timeline.pipes[1].end(), None, "it still has its name");
}

/// A process that makes a pipe and forks; the child's end closes with its exit.
#[test]
fn a_pipe_ends_at_the_last_close_and_a_zombie_at_the_wait() {
    let end = |fd, access| HeldEnd { fd, pipe: pipe(1).unwrap(), access };
    let make = Event { pipe: pipe(1), fd: Some(3), fd_to: Some(4), ..event(10, 11, 1, Call::Pipe) };
    let fork = Event {
        peer: Some(2),
        ends: vec![end(3, Access::Read), end(4, Access::Write)],
        ..event(20, 21, 1, Call::Fork)
    };
    let close = |ns, fd| Event { pipe: pipe(1), fd: Some(fd), ..event(ns, ns, 1, Call::Close) };
    let exit = Event { ret: Some(0), ..event(40, 40, 2, Call::Exit) };
    let wait = Event { peer: Some(2), ..event(60, 61, 1, Call::Wait) };
    let timeline = Timeline::of(vec![make, fork, close(30, 3), close(31, 4), exit, wait]);
    let child = &timeline.lanes[1];
    assert_eq!((child.pid, child.fork, child.exit, child.reaped), (2, Some(1), Some(4), Some(5)));
    assert_eq!(timeline.pipes[0].last_close, Some(4), "the child's exit");
    assert_eq!(timeline.pipes[0].holds.len(), 4);
    assert!(timeline.waits.is_empty(), "the child had ended before");
}

/// The parent's wait begins before the child's events: they are still the child's.
#[test]
fn a_pid_is_reused_after_the_wait_returned() {
    let fork = |ns| Event { peer: Some(2), ..event(ns, ns + 1, 1, Call::Fork) };
    let wait = Event { peer: Some(2), ..event(20, 50, 1, Call::Wait) };
    let exit = |ns| Event { ret: Some(0), ..event(ns, ns, 2, Call::Exit) };
    let timeline = Timeline::of(vec![fork(10), wait, exit(40), fork(60), exit(70)]);
    let lanes: Vec<_> = timeline.lanes.iter().map(|lane| (lane.pid, lane.exit, lane.reaped)).collect();
    assert_eq!(lanes, [(1, None, None), (2, Some(2), Some(1)), (2, Some(4), None)]);
    assert_eq!(timeline.waits[0].ended_by, Some(2), "the exit ended the wait");
}

#[test]
fn what_ends_a_wait_at_a_pipe() {
    let open = |ns, end, pid, access| {
        let access = Some(access);
        Event {
            pipe: pipe(1),
            fd: Some(3),
            access,
            path: Some("p".to_owned()),
            ..event(ns, end, pid, Call::Open)
        }
    };
    let close = Event { pipe: pipe(1), fd: Some(3), ..event(60, 60, 2, Call::Close) };
    let end = Event { ret: Some(0), ..read(30, 70, 1, "") };
    let timeline =
        Timeline::of(vec![open(10, 25, 1, Access::Read), open(20, 24, 2, Access::Write), end, close]);
    let ended: Vec<_> = timeline.waits.iter().map(|wait| (wait.event, wait.ended_by)).collect();
    assert_eq!(ended, [(0, Some(1)), (2, Some(3))], "the other open; the last writer's close");
}

#[test]
fn floods_are_folded() {
    let mut events = Vec::new();
    for round in 0..1_000 {
        let at = 100 * round;
        events.extend([write(at + 10, at + 11, 1, "ping"), read(at + 20, at + 21, 2, "ping")]);
        events.push(Event { pipe: pipe(2), fd: Some(5), ..write(at + 30, at + 31, 2, "pong") });
    }
    events.push(write(200_000, 200_001, 1, "end"));
    let timeline = Timeline::of(events);
    let folds: Vec<_> = timeline.folds.iter().map(|fold| (fold.lane, fold.period, fold.times)).collect();
    assert_eq!(folds, [(0, 1, 1_000), (1, 2, 999)]);
    assert_eq!(timeline.arrows.len(), 1_000);
}

#[test]
fn signals_and_closes_are_never_folded() {
    let kill = |ns| Event { peer: Some(9), ..event(ns, ns + 1, 1, Call::Kill) };
    let close = |ns| Event { pipe: pipe(1), fd: Some(3), ..event(ns, ns + 1, 2, Call::Close) };
    let events = (0..20).flat_map(|round| [kill(10 * round), close(10 * round + 5)]);
    assert_eq!(Timeline::of(events.collect()).folds, []);
}

#[test]
fn own_events_give_their_steps_to_the_calls() {
    let own = |ns, call, path: &str| Event {
        path: Some(path.to_owned()),
        step: Some(1),
        text: Some("said".to_owned()),
        ..Event::new(0, ns, 1, call, Source::Program)
    };
    let call = |ns, path: &str| Event { path: Some(path.to_owned()), ..event(ns, ns + 5, 1, Call::Mkfifo) };
    let merged = merge(
        vec![call(10, "/a/luigi"), call(30, "/a/mario"), call(50, "/a/mario")],
        vec![own(29, Call::Mkfifo, "mario"), own(40, Call::Unlink, "mario")],
    );
    let steps: Vec<_> = merged.iter().map(|event| (event.call, event.step)).collect();
    let mkfifo = Call::Mkfifo;
    assert_eq!(steps, [(mkfifo, None), (mkfifo, Some(1)), (Call::Note, Some(1)), (mkfifo, None)]);
}

#[test]
fn an_own_event_belongs_to_the_call_beside_it() {
    let own = |ns, step| Event { step: Some(step), ..Event::new(0, ns, 1, Call::Poll, Source::Program) };
    let poll = |ns, errno: Option<&str>| Event {
        errno: errno.map(str::to_owned),
        ..event(ns, ns + 5, 1, Call::Poll)
    };
    let steps = |trace: Vec<Event>, own: Vec<Event>| -> Vec<_> {
        merge(trace, own).iter().map(|event| (event.call, event.ns, event.step)).collect()
    };
    let trace = vec![poll(20, Some("EINTR")), poll(30, None)];
    let poll_at = |ns, step| (Call::Poll, ns, step);
    assert_eq!(steps(trace, vec![own(19, 2)]), [poll_at(20, Some(2)), poll_at(30, None)]);
    let joined = steps(vec![poll(30, None)], vec![own(10, 2), own(20, 5)]);
    assert_eq!(joined[0], (Call::Note, 10, Some(2)));
    assert_eq!(joined[1], poll_at(30, Some(5)));
}

#[test]
fn a_message_goes_through_a_process_that_passes_it_on() {
    let own = |ns, pid, call, from, data: &str| Event {
        pipe: pipe(from),
        data: Some(data.to_owned()),
        ..Event::new(0, ns, pid, call, Source::Program)
    };
    let pass = Event { pipe_to: pipe(2), data: None, ..own(30, 2, Call::Splice, 1, "") };
    let timeline = Timeline::of(vec![
        own(10, 1, Call::Write, 1, "a"),
        own(20, 1, Call::Write, 1, "b"),
        pass,
        own(40, 3, Call::Read, 2, "b"),
        own(50, 3, Call::Read, 2, "a"),
    ]);
    let pairs: Vec<_> = timeline.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
    assert_eq!(pairs, [(0, 2), (1, 2), (2, 3), (2, 4)]);
}

#[test]
fn words_are_short() {
    let timeline = Timeline::of(vec![
        Event {
            access: Some(Access::Read),
            path: Some("mario".to_owned()),
            ..Event { fd: Some(3), pipe: pipe(1), ..event(1, 2, 1, Call::Open) }
        },
        write(3, 4, 2, "2881\\x00\\x00"),
        write(5, 6, 2, "a\\nb\\x1b"),
        read(7, 8, 1, "12345678901234567890"),
        Event {
            errno: Some("ENXIO".to_owned()),
            path: Some("/x/\u{1b}[2J".to_owned()),
            ..event(9, 9, 1, Call::Open)
        },
    ]);
    let words: Vec<_> = (0..5).map(|event| text_of(&timeline, event)).collect();
    assert_eq!(words[0], "open mario for reading");
    assert_eq!(words[1], "write \"2881\" into mario");
    assert_eq!(words[2], "write 8 bytes into mario (of 10)", "not printable");
    assert_eq!(words[3], "read \"12345678901…\" from mario");
    assert_eq!(words[4], "open \\u{1b}[2J: ENXIO");
    assert!(timeline.is_error(4));
    assert_eq!(
        (duration(999), duration(2_104_000), grouped(1_234_567)),
        ("999 ns".to_owned(), "2.10 ms".to_owned(), "1,234,567".to_owned())
    );
}

#[test]
fn names_are_those_of_their_time() {
    let at = |ns, call, inode, path: &str| Event {
        pipe: pipe(inode),
        path: Some(path.to_owned()),
        ..event(ns, ns + 1, 1, call)
    };
    let exchange = Event { pipe_to: pipe(1), path_to: Some("b".to_owned()), ..at(3, Call::Rename, 2, "a") };
    let end = Event { signal: None, ret: None, ..event(9, 9, 1, Call::Exit) };
    let timeline = Timeline::of(vec![
        at(1, Call::Mkfifo, 1, "b"),
        at(2, Call::Mkfifo, 2, "a"),
        exchange,
        at(5, Call::Unlink, 1, "a"),
        at(7, Call::Unlink, 3, "/tmp/old"),
        end,
    ]);
    let words: Vec<_> = (2..6).map(|event| text_of(&timeline, event)).collect();
    assert_eq!(words, ["exchange a with b", "remove b", "remove old", "ended"]);
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let line = |version| format!("{{\"format\":\"pipe-trace\",\"version\":{version}}}\n");
    let of = |text: String| read_events(text.as_bytes()).map(|(_, events)| events.len());
    let event = serde_json::to_string(&event(1, 2, 3, Call::Fork)).unwrap();
    assert_eq!(of(format!("{}{event}\n{event}\n{{\"se", line(1))).unwrap(), 2, "an incomplete last line");
    let refused = |text: String| of(text).unwrap_err().to_string();
    assert_eq!(refused(line(2)), "line 1: it has version 2, and this program knows versions up to 1");
    assert!(refused(format!("{}{event}\nnone\n", line(1))).starts_with("line 3 is no event: expected"));
    assert!(refused("{\"ns\":1}\n".to_owned()).starts_with("line 1 is no header of a trace: "));
    assert_eq!(refused(String::new()), "line 1 is no header of a trace: the file is empty");
}
