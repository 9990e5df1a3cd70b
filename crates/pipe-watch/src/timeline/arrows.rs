//! Arrows: the n-th byte that is written into a pipe is the n-th that is read.
//!
//! A write counts from its beginning, and a read at its end, therefore no arrow goes back in time. Of writes
//! that run at the same time the older comes first, unless the bytes that were read show the other order.
//!
//! Programs' own events say what was sent, and not how many bytes that took. There a read is the first one of
//! that pipe with the write's `data`.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::Pipe;
use super::bytes::unescape;
use crate::event::{Call, Event, PipeKey, Source};

/// The way of bytes through a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    /// The event that wrote them.
    pub from: usize,
    /// The event that read them.
    pub to: usize,
    /// The pipe.
    pub pipe: usize,
    /// How many they were; `None` if an own event does not say.
    pub bytes: Option<u64>,
}

/// Bytes in a pipe that one write wrote.
#[derive(Debug)]
struct Written {
    by: usize,
    /// How many of them were read.
    taken: u64,
    /// How many were written.
    size: u64,
    /// The beginning of the bytes.
    data: Vec<u8>,
}

/// How many bytes a pipe has room for, unless a program asks for another size.
const CAPACITY: u64 = 65_536;

/// Finds the arrows, and the writes that had no room in their pipe; counts the bytes of each pipe.
pub(super) fn of(
    events: &[Event],
    began: &[usize],
    ended: &[usize],
    keys: &BTreeMap<PipeKey, usize>,
    pipes: &mut [Pipe],
) -> (Vec<Arrow>, HashSet<usize>) {
    let mut moments: Vec<(usize, bool, usize)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event.call {
            Call::Write => moments.push((began[at], false, at)),
            Call::Read => moments.push((ended[at], true, at)),
            // What a splice reads, another write wrote before; what it writes is there from its end on.
            Call::Splice => {
                moments.push((ended[at], true, at));
                if event.source != Source::Program {
                    moments.push((ended[at], false, at));
                }
            }
            _ => {}
        }
    }
    moments.sort_by_key(|(rank, is_read, _)| (*rank, !is_read));
    let mut flow = Flow {
        events,
        ended,
        keys,
        content: pipes.iter().map(|_| VecDeque::new()).collect(),
        inside: vec![0; pipes.len()],
        arrows: vec![],
        is_full: HashSet::new(),
    };
    for (_, is_read, at) in moments {
        let event = &events[at];
        let key = if event.call == Call::Splice && !is_read { event.pipe_to } else { event.pipe };
        let Some(pipe) = key.and_then(|key| keys.get(&key).copied()) else { continue };
        if is_read { flow.read(pipe, at, &mut pipes[pipe]) } else { flow.write(pipe, at, &mut pipes[pipe]) }
    }
    for (pipe, content) in pipes.iter_mut().zip(&flow.content) {
        let is_whole = |written: &&Written| events[written.by].ret.is_some();
        pipe.left = content.iter().filter(is_whole).map(|written| written.size - written.taken).sum();
    }
    (flow.arrows, flow.is_full)
}

struct Flow<'e> {
    events: &'e [Event],
    ended: &'e [usize],
    keys: &'e BTreeMap<PipeKey, usize>,
    /// What is in each pipe.
    content: Vec<VecDeque<Written>>,
    /// How many bytes are in each pipe.
    inside: Vec<u64>,
    arrows: Vec<Arrow>,
    is_full: HashSet<usize>,
}

impl Flow<'_> {
    fn write(&mut self, pipe: usize, by: usize, counts: &mut Pipe) {
        let event = &self.events[by];
        let has_returned = event.ret.is_some() || event.errno.is_some();
        let size = match event.ret {
            Some(bytes) => u64::try_from(bytes).unwrap_or(0),
            // A write that still waits at the end of the trace may have written a part.
            None if !has_returned => event.asked.unwrap_or(0),
            None => 0,
        };
        if self.inside[pipe] + event.asked.unwrap_or(size) > CAPACITY {
            self.is_full.insert(by);
        }
        self.inside[pipe] += size;
        counts.bytes_in += if has_returned { size } else { 0 };
        if size > 0 || event.source == Source::Program {
            let data = event.data.as_deref().map(unescape).unwrap_or_default();
            self.content[pipe].push_back(Written { by, taken: 0, size, data });
        }
    }

    fn read(&mut self, pipe: usize, to: usize, counts: &mut Pipe) {
        let event = &self.events[to];
        if event.source == Source::Program {
            return self.read_message(pipe, to, counts);
        }
        let mut wanted = event.ret.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        counts.bytes_out += wanted;
        let data = event.data.as_deref().map(unescape).unwrap_or_default();
        let mut seen = data.as_slice();
        while wanted > 0 && !self.content[pipe].is_empty() {
            self.choose(pipe, seen);
            let written = &mut self.content[pipe][0];
            let bytes = wanted.min(written.size - written.taken);
            written.taken += bytes;
            wanted -= bytes;
            self.inside[pipe] -= bytes;
            seen = seen.get(usize::try_from(bytes).unwrap_or(usize::MAX)..).unwrap_or_default();
            self.arrows.push(Arrow { from: written.by, to, pipe, bytes: Some(bytes) });
            if written.taken == written.size {
                self.content[pipe].pop_front();
            }
        }
    }

    /// Moves another write to the front, if its bytes are those that were read, and those of the first are
    /// not. Both must have run at the same time.
    fn choose(&mut self, pipe: usize, seen: &[u8]) {
        let content = &mut self.content[pipe];
        let first = &content[0];
        if first.taken > 0 || fits(&first.data, seen) {
            return;
        }
        let returned = self.ended[first.by];
        let may_be_first = |written: &Written| {
            let began = self.events[written.by].ns;
            (self.ended[written.by] < returned || began <= self.events[first.by].end_ns())
                && !written.data.is_empty()
                && fits(&written.data, seen)
        };
        if let Some(other) = content.iter().skip(1).position(may_be_first)
            && let Some(written) = content.remove(other + 1)
        {
            content.push_front(written);
        }
    }

    /// Takes the message that an own event received. A process that passes messages on (a splice) takes all
    /// that has come.
    fn read_message(&mut self, pipe: usize, to: usize, counts: &mut Pipe) {
        let event = &self.events[to];
        let bytes = event.ret.and_then(|bytes| u64::try_from(bytes).ok());
        self.inside[pipe] = 0;
        counts.bytes_out += bytes.unwrap_or(0);
        let data = event.data.as_deref().map(unescape).unwrap_or_default();
        let content = &mut self.content[pipe];
        let taken: Vec<Written> = if event.call == Call::Splice {
            content.drain(..).collect()
        } else {
            let first = content.iter().position(|written| written.data == data);
            first.and_then(|first| content.remove(first)).into_iter().collect()
        };
        let to_pipe = event.pipe_to.and_then(|key| self.keys.get(&key).copied());
        for written in taken {
            self.arrows.push(Arrow { from: written.by, to, pipe, bytes });
            if let Some(to_pipe) = to_pipe {
                self.content[to_pipe].push_back(Written { by: to, ..written });
            }
        }
    }
}

/// Whether both begin alike, as far as both are known.
fn fits(written: &[u8], read: &[u8]) -> bool {
    written.iter().zip(read).all(|(one, other)| one == other)
}
