//! An event in a few words, for a picture or a list.

use super::Timeline;
use super::bytes::unescape;
use super::names::{cut, short};
use crate::event::{Call, Event, Source};
use crate::look::{Access, printable};

/// How many characters of the bytes a picture shows.
const DATA: usize = 12;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Words.
    Text(String),
    /// The name of this pipe.
    Pipe(usize),
}

/// The event as one text.
pub fn text_of(timeline: &Timeline, event: usize) -> String {
    let pieces = timeline.words(event).into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Pipe(pipe) => timeline.pipes[pipe].label.clone(),
    });
    pieces.collect()
}

impl Timeline {
    /// Says what the event's process did, in a few words without its name: `open mario for reading`.
    pub fn words(&self, event: usize) -> Vec<Piece> {
        let the = &self.events[event];
        let mut words = Words { timeline: self, event, pieces: Vec::new() };
        match &the.text {
            // That of an exec is its command line, and that of a splice its system call.
            Some(text) if !matches!(the.call, Call::Exec | Call::Splice) || the.source != Source::Trace => {
                words.own(text);
            }
            _ => words.call(),
        }
        if let Some(tid) = the.tid {
            words.text(&format!(" · thread {tid}"));
        }
        words.pieces
    }
}

struct Words<'t> {
    timeline: &'t Timeline,
    event: usize,
    pieces: Vec<Piece>,
}

impl Words<'_> {
    /// A program's own words, in which the pipe's name is marked.
    fn own(&mut self, text: &str) {
        let text = printable(text);
        let name =
            self.timeline.events[self.event].path.as_deref().map(short).filter(|name| !name.is_empty());
        let parts = name.as_ref().and_then(|name| text.split_once(name.as_str()));
        match (parts, name.as_ref().and_then(|name| self.named(name))) {
            (Some((before, after)), Some(pipe)) => self.text(before).pipe_at(pipe).text(after),
            _ => self.text(&text),
        };
        let the = &self.timeline.events[self.event];
        if the.source == Source::Trace && matches!(the.call, Call::Read | Call::Write) {
            self.text(&format!(" ({} bytes)", grouped(the.ret.unwrap_or(0).unsigned_abs())));
        }
    }

    /// The pipe with this short name: the event's own, or the newest.
    fn named(&self, name: &str) -> Option<usize> {
        let pipes = &self.timeline.pipes;
        let has_name = |pipe: &usize| pipes[*pipe].names.iter().any(|path| short(path) == name);
        let own = self.timeline.pipe_of[self.event].filter(has_name);
        own.or_else(|| (0..pipes.len()).rev().filter(|pipe| pipes[*pipe].first <= self.event).find(has_name))
    }

    fn call(&mut self) {
        let the = &self.timeline.events[self.event];
        let peer = the.peer.map(|pid| self.title(pid)).unwrap_or_default();
        let signal = the.signal.as_deref().map(printable).unwrap_or_default();
        match the.call {
            Call::Mkfifo => self.text("make ").pipe(),
            Call::Open => self.text("open ").pipe().text(match the.access {
                Some(Access::Read) => " for reading",
                Some(Access::Write) => " for writing",
                Some(Access::Both) => " for both",
                None => "",
            }),
            Call::Pipe => self.text("make ").pipe(),
            Call::Read if the.ret == Some(0) => self.text("read ").pipe().text(": EOF"),
            Call::Read => self.text("read ").bytes(" from "),
            Call::Write => self.text("write ").bytes(" into "),
            Call::Splice => {
                self.text("pass ").bytes(" on from ");
                match self.timeline.pipe_to_of(self.event) {
                    Some(pipe) => self.text(" to ").pipe_at(pipe),
                    None => self,
                }
            }
            Call::Close => {
                let end = match the.access.or_else(|| self.closed_end()) {
                    Some(Access::Read) => ", read end",
                    Some(Access::Write) => ", write end",
                    _ => "",
                };
                self.text("close ").pipe().text(end)
            }
            Call::Dup => {
                let to = the.fd_to.map(|fd| format!(" as {fd}")).unwrap_or_default();
                self.text("copy ").pipe().text(&to)
            }
            Call::Poll if the.ret == Some(0) => self.text("wait for a pipe: time is up"),
            Call::Poll => self.text("wait for ").pipe(),
            Call::Fork if peer.is_empty() => self.text("fork"),
            Call::Fork => self.text(&format!("fork {peer}")),
            Call::Exec => {
                let program = the.path.as_deref().map(short).unwrap_or_default();
                self.text(&format!("run {program}"))
            }
            Call::Exit if !signal.is_empty() => self.text(&format!("killed by {signal}")),
            Call::Exit => self.text(&the.ret.map_or("ended".to_owned(), |status| format!("exit {status}"))),
            Call::Signal => self.text(&format!("get {signal}")),
            Call::Kill if the.peer == Some(the.pid) => self.text(&format!("send {signal} to itself")),
            Call::Kill if peer.is_empty() => self.text(&format!("send {signal} to a process group")),
            Call::Kill => self.text(&format!("send {signal} to {peer}")),
            Call::Wait if peer.is_empty() => self.text("wait for a child"),
            Call::Wait => self.text(&format!("reap {peer}")),
            Call::Unlink => self.text("remove ").pipe(),
            Call::Rename if self.is_exchange() => {
                self.text("exchange ").pipe().text(" with ");
                match self.timeline.pipe_to_of(self.event) {
                    Some(pipe) => self.pipe_at(pipe),
                    None => self,
                }
            }
            Call::Rename => {
                let name = |path: &Option<String>| path.as_deref().map(short).unwrap_or_default();
                let (from, to) = (name(&the.path), name(&the.path_to));
                self.text("rename ").pipe().text(&format!(": {from} to {to}"))
            }
            Call::Note => self.text(&printable(the.text.as_deref().unwrap_or("note"))),
        };
        if let Some(errno) = &the.errno {
            self.text(&format!(": {}", printable(errno)));
        }
    }

    /// Which end the close closed.
    fn closed_end(&self) -> Option<Access> {
        let pipe = self.timeline.pipe_of[self.event]?;
        let holds = &self.timeline.pipes[pipe].holds;
        holds.iter().find(|hold| hold.to == Some(self.event)).map(|hold| hold.access)
    }

    /// Whether two pipes exchanged their names: the other one is seen with the first one's name later.
    fn is_exchange(&self) -> bool {
        let (events, the) = (&self.timeline.events, &self.timeline.events[self.event]);
        let Some(other) = self.timeline.pipe_to_of(self.event) else { return false };
        let later = events.get(self.event + 1..=self.timeline.pipes[other].last).unwrap_or_default();
        let is_swapped = |event: &Event| event.pipe == the.pipe_to && event.path == the.path;
        the.errno.is_none() && the.path.is_some() && later.iter().any(is_swapped)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
        self
    }

    fn pipe_at(&mut self, pipe: usize) -> &mut Self {
        self.pieces.push(Piece::Pipe(pipe));
        self
    }

    /// The event's pipe, or its path if that is no pipe that is known, or its file descriptor.
    fn pipe(&mut self) -> &mut Self {
        let the = &self.timeline.events[self.event];
        match (self.timeline.pipe_of[self.event], &the.path, the.fd) {
            (Some(pipe), _, _) => self.pipe_at(pipe),
            (None, Some(path), _) => self.text(&short(path)),
            (None, None, Some(fd)) => self.text(&format!("file {fd}")),
            (None, None, None) => self.text("a pipe"),
        }
    }

    /// What was read or written, and where.
    fn bytes(&mut self, between: &str) -> &mut Self {
        let the = &self.timeline.events[self.event];
        let size = the.ret.or_else(|| the.asked.and_then(|asked| i64::try_from(asked).ok()));
        let shown = the.data.as_deref().filter(|_| the.ret.is_some()).and_then(|data| shown(data, the.ret));
        match (shown, size) {
            (Some(shown), _) => self.text(&shown).text(between),
            (None, Some(size)) if the.errno.is_none() && the.ret.is_some() => {
                self.text(&format!("{} bytes", grouped(size.unsigned_abs()))).text(between)
            }
            _ => self.text(between.trim_start()),
        };
        self.pipe();
        let is_partial = the.call == Call::Write
            && the.ret.zip(the.asked).is_some_and(|(ret, asked)| ret.unsigned_abs() < asked);
        if let (true, Some(asked)) = (is_partial, the.asked) {
            self.text(&format!(" (of {})", grouped(asked)));
        }
        self
    }

    fn title(&self, pid: u32) -> String {
        let lanes = &self.timeline.lanes;
        let lane = lanes.iter().rfind(|lane| lane.pid == pid && lane.first <= self.event);
        let lane = lane.or_else(|| lanes.iter().find(|lane| lane.pid == pid));
        lane.map_or_else(|| pid.to_string(), |lane| lane.title.clone())
    }
}

/// The bytes as text in quotes, without the zeros behind it; `None` for what is no text.
fn shown(data: &str, size: Option<i64>) -> Option<String> {
    let bytes = unescape(data);
    let is_whole = size.is_none_or(|size| size.unsigned_abs() <= bytes.len() as u64);
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let is_text = !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let text = if is_whole || end < bytes.len() { text.to_owned() } else { format!("{text}…") };
    is_text.then(|| format!("\"{}\"", cut(&printable(&text), DATA)))
}

/// A number with commas: `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time, with three digits: `2.10 ms`.
pub fn duration(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| ns >= *size) else {
        return format!("{ns} ns");
    };
    let value = ns as f64 / size as f64;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}
