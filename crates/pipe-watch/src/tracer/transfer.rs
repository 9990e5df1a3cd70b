//! Bytes in and out of pipes: read(2), write(2), splice(2) and their variants.

use super::pending::{Begun, Buffers, Entry, Kind};
use super::state::Tracer;
use crate::event::{Call, Event, PipeKey};
use crate::look::memory::Memory;

/// The most parts that are read. The kernel takes so many (`UIO_MAXIOV`).
const PARTS_MAX: u64 = 1024;

/// The most bytes of one call that are read, whatever the options say.
const DATA_MAX: u64 = 1 << 20;

impl Memory {
    /// The parts of an array of `struct iovec`.
    pub(super) fn iovecs(&self, address: u64, count: u64) -> Buffers {
        let bytes = self.bytes(address, count.min(PARTS_MAX) as usize * 16).unwrap_or_default();
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        bytes.chunks_exact(16).map(|part| (number(&part[..8]), number(&part[8..]))).collect()
    }

    /// The first bytes of these parts.
    fn gather(&self, parts: &[(u64, u64)], limit: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let mut limit = limit.min(DATA_MAX);
        for (address, length) in parts {
            let length = limit.min(*length);
            if length == 0 {
                continue;
            }
            let Some(bytes) = self.bytes(*address, length as usize) else { break };
            all.extend(bytes);
            limit -= length;
        }
        all
    }
}

impl Tracer<'_> {
    pub(super) fn enter_transfer(
        &mut self,
        entry: &Entry,
        call: Call,
        buffers: impl Fn(&Memory) -> Buffers,
    ) -> Begun {
        let fd = entry.arguments[0] as i32;
        let mut event = self.event_of_end(entry, call, fd)?;
        let memory = entry.memory();
        let buffers = buffers(&memory);
        event.asked = Some(buffers.iter().fold(0, |sum, (_, length)| sum.saturating_add(*length)));
        Some(match call {
            Call::Write if self.log.is_full() => (event, Kind::Write(Vec::new())),
            Call::Write => (event, Kind::Write(memory.gather(&buffers, self.options.data as u64))),
            _ => (event, Kind::Read(buffers)),
        })
    }

    pub(super) fn leave_read(&mut self, tid: i32, mut event: Event, buffers: &Buffers) {
        let count = event.ret.map_or(0, |count| count.min(self.options.data as i64) as u64);
        if count > 0 && !self.log.is_full() {
            event.data = Some(escaped(&Memory::of_traced(tid).gather(buffers, count)));
        }
        self.log.add(event);
    }

    pub(super) fn leave_write(&mut self, mut event: Event, mut data: Vec<u8>) {
        data.truncate(event.ret.unwrap_or(0) as usize);
        event.data = (!data.is_empty()).then(|| escaped(&data));
        self.log.add(event);
    }

    pub(super) fn enter_splice(
        &mut self,
        entry: &Entry,
        from: Option<i32>,
        to: Option<i32>,
        bytes: u64,
    ) -> Begun {
        let pipe_from = from.and_then(|fd| self.pipe_behind(entry.tid, fd));
        let pipe_to = to.and_then(|fd| self.pipe_behind(entry.tid, fd));
        let path = self.pipes.path(pipe_from.or(pipe_to)?);
        let mut event = self.event(entry.tid, entry.ns, Call::Splice);
        (event.fd, event.fd_to, event.pipe, event.pipe_to) = (from, to, pipe_from, pipe_to);
        event.path = path;
        event.asked = Some(bytes);
        Some((event, Kind::Splice))
    }

    /// tee(2) leaves the bytes in the first pipe.
    pub(super) fn enter_tee(&mut self, entry: &Entry) -> Begun {
        let [from, to, bytes, ..] = entry.arguments;
        let (mut event, kind) = self.enter_splice(entry, Some(from as i32), Some(to as i32), bytes)?;
        event.text = Some("tee".to_owned());
        Some((event, kind))
    }

    /// vmsplice(2) moves bytes between a pipe and memory.
    pub(super) fn enter_vmsplice(&mut self, entry: &Entry) -> Begun {
        let [fd, parts, count, ..] = entry.arguments;
        let fd = fd as i32;
        let writes = self.end(entry.tid, fd)?.access.writes();
        let parts = entry.memory().iovecs(parts, count);
        let bytes = parts.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
        self.enter_splice(entry, (!writes).then_some(fd), writes.then_some(fd), bytes)
    }

    fn pipe_behind(&mut self, tid: i32, fd: i32) -> Option<PipeKey> {
        self.end(tid, fd).map(|end| end.pipe)
    }

    /// An event about a descriptor; `None` if it is no pipe's.
    fn event_of_end(&mut self, entry: &Entry, call: Call, fd: i32) -> Option<Event> {
        let end = self.end(entry.tid, fd)?;
        let mut event = self.event(entry.tid, entry.ns, call);
        self.describe(&mut event, fd, &end);
        event.nonblocking = end.is_nonblocking.get();
        Some(event)
    }
}

/// Bytes as in a Rust byte string.
fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
