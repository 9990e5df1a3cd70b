//! Tests of what waits, and of what ends a wait.

use super::tests::{event, pipe, read, write};
use super::*;
use crate::event::{HeldEnd, Source};
use crate::look::Access;

fn open(ns: u64, end: u64, pid: u32, access: Access) -> Event {
    let path = Some("p".to_owned());
    Event { pipe: pipe(1), fd: Some(3), access: Some(access), path, ..event(ns, end, pid, Call::Open) }
}

/// The waits: the beginnings of the events, how long, and the beginnings of those that ended them.
fn waits(timeline: &Timeline) -> Vec<(u64, Option<u64>, Option<u64>)> {
    let ns = |event: usize| timeline.events[event].ns;
    timeline.waits.iter().map(|wait| (ns(wait.event), wait.took, wait.ended_by.map(ns))).collect()
}

#[test]
fn the_end_of_a_process_ends_its_call() {
    let unfinished = |pid| Event { took: None, ret: None, ..read(10, 10, pid, "") };
    let exit = Event { signal: Some("SIGTERM".to_owned()), ..event(40, 40, 1, Call::Exit) };
    let timeline = Timeline::of(vec![unfinished(1), Event { ns: 20, ..unfinished(2) }, exit]);
    assert_eq!(waits(&timeline), [(10, Some(30), Some(40)), (20, None, None)]);
}

#[test]
fn a_write_waits_only_at_a_full_pipe() {
    let big = |ns, end, bytes: u64| Event {
        asked: Some(bytes),
        ret: Some(bytes as i64),
        data: None,
        ..write(ns, end, 1, "")
    };
    let take = |ns, end| Event { ret: Some(40_000), data: None, ..read(ns, end, 2, "") };
    let long = 5_000_000;
    let timeline = Timeline::of(vec![big(10, 10 + long, 40_000), take(20, 30)]);
    assert_eq!(waits(&timeline), [], "it has room");
    let timeline = Timeline::of(vec![big(10, 11, 40_000), big(20, 50, 40_000), take(30, 40)]);
    assert_eq!(waits(&timeline), [(20, Some(30), Some(30))]);
}

#[test]
fn an_open_waits_for_the_first_of_the_other_end() {
    let (reads, writes, both) = (Access::Read, Access::Write, Access::Both);
    let three = [open(10, 50, 1, reads), open(20, 25, 2, writes), open(30, 35, 3, writes)];
    assert_eq!(waits(&Timeline::of(three.to_vec())), [(10, Some(40), Some(20))]);
    let is_there = [open(10, 11, 1, both), open(20, 9_000_000, 2, reads), open(30, 35, 3, writes)];
    assert_eq!(waits(&Timeline::of(is_there.to_vec())), [], "an end was open");
    let never = [open(10, 9_000_000, 1, both), open(20, 21, 2, writes)];
    assert_eq!(waits(&Timeline::of(never.to_vec())), [], "O_RDWR");
}

#[test]
fn a_signal_ends_a_write_and_the_last_close_fails_it() {
    let full = Event { ret: Some(65_536), asked: Some(65_536), data: None, ..write(5, 6, 1, "") };
    let partial = Event { ret: Some(10), asked: Some(4_000), data: None, ..write(10, 50, 1, "") };
    let take = Event { ret: Some(10), data: None, ..read(20, 25, 2, "") };
    let signal = Event { signal: Some("SIGUSR1".to_owned()), ..event(51, 51, 1, Call::Signal) };
    let timeline = Timeline::of(vec![full.clone(), partial.clone(), take.clone(), signal]);
    assert_eq!(waits(&timeline), [(10, Some(40), Some(51))]);
    let failed = Event { ret: None, errno: Some("EPIPE".to_owned()), ..partial };
    let close = Event { pipe: pipe(1), fd: Some(3), ..event(30, 30, 2, Call::Close) };
    let timeline = Timeline::of(vec![full, failed, take, close]);
    assert_eq!(waits(&timeline), [(10, Some(40), Some(30))]);
}

#[test]
fn own_events_never_wait_at_a_write() {
    let own = Event { source: Source::Program, took: None, ..write(10, 10, 1, "a") };
    assert!(Timeline::of(vec![own]).waits.is_empty());
}

#[test]
fn a_hang_says_who_has_the_other_end() {
    let end = |fd, access| HeldEnd { fd, pipe: pipe(1).unwrap(), access };
    let make = Event { pipe: pipe(1), fd: Some(3), fd_to: Some(4), ..event(10, 11, 1, Call::Pipe) };
    let ends = vec![end(3, Access::Read), end(4, Access::Write)];
    let fork = Event { peer: Some(2), who: Some("cat".to_owned()), ends, ..event(20, 21, 1, Call::Fork) };
    let close = |fd, pid| Event { pipe: pipe(1), fd: Some(fd), ..event(30, 30, pid, Call::Close) };
    let unfinished = |ns, pid, call| Event { took: None, ..event(ns, ns, pid, call) };
    let stuck = Event { pipe: pipe(1), fd: Some(3), ..unfinished(50, 2, Call::Read) };
    let wait = unfinished(60, 1, Call::Wait);
    let fifo = Event {
        path: Some("/tmp/a".to_owned()),
        access: Some(Access::Read),
        ..unfinished(70, 3, Call::Open)
    };
    let both = vec![make, fork, close(3, 1), stuck, wait.clone(), fifo];
    let timeline = Timeline::of(both.clone());
    let cause = |timeline: &Timeline, event| timeline.cause(event).unwrap();
    let holders = "cat (fd 4), cat child (fd 4) itself";
    assert_eq!(cause(&timeline, 3), format!("reads unnamed 1; its write end is open in {holders}"));
    assert_eq!(cause(&timeline, 4), "waits for cat child, which has not ended");
    assert_eq!(cause(&timeline, 5), "waits for a writer of a; no process has it open");
    assert_eq!(timeline.deadlocks(), [(1, 0)], "the child's read, the parent's wait");
    let signal = |ns, pid| Event { signal: Some("SIGINT".to_owned()), ..event(ns, ns, pid, Call::Signal) };
    let interrupted = |mut event: Event| {
        (event.took, event.errno) = (Some(100 - event.ns), Some("EINTR".to_owned()));
        event
    };
    let mut ended = both.clone();
    ended.truncate(3);
    ended.extend([interrupted(both[3].clone()), interrupted(wait), signal(101, 1), signal(102, 2)]);
    ended.extend([event(103, 103, 1, Call::Exit), event(104, 104, 2, Call::Exit)]);
    let ended = Timeline::of(ended);
    assert_eq!(cause(&ended, 3), cause(&timeline, 3), "Ctrl-C ends both");
    assert_eq!(ended.deadlocks().len(), 1);
    let failed = Event { errno: Some("EPIPE".to_owned()), ret: None, ..write(40, 41, 1, "") };
    let mut all = both;
    all.truncate(3);
    all.extend([close(3, 2), failed]);
    assert_eq!(cause(&Timeline::of(all), 4), "no reader since #4");
}
