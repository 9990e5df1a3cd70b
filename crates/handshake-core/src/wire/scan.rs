//! The walk over bytes that were read, from record to record.

use std::ops::Range;

use super::{Front, Record, frame, front, to_next_magic};

/// Where a record begins and ends among bytes that were read; see [`Scanner`].
pub type Span = Range<usize>;

/// Walks over bytes that were read, from record to record, past what is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanner {
    /// Bytes before this have been dealt with.
    pub at: usize,
    /// Bytes skipped so far because they belong to no record.
    pub skipped: u64,
}

impl Scanner {
    /// The next record of `bytes[self.at..]`, or `None` when more bytes are needed.
    ///
    /// `whole`: all writes to this pipe are whole records, and the pipe was just read empty. Then the rest of
    /// what begins here will never come, and it is skipped like any garbage.
    pub fn next_record<'a>(&mut self, bytes: &'a [u8], whole: bool) -> Option<(Record<'a>, Span)> {
        self.next(bytes, whole, front)
    }

    /// The next record whose header is sound, as in [`Scanner::next_record`]. The payload is not checked: the process that
    /// uses it does that.
    pub fn next_frame<'a>(&mut self, bytes: &'a [u8], whole: bool) -> Option<(Record<'a>, Span)> {
        self.next(bytes, whole, frame)
    }

    fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        whole: bool,
        front: fn(&'a [u8]) -> Front<'a>,
    ) -> Option<(Record<'a>, Span)> {
        loop {
            let rest = &bytes[self.at..];
            let skip = match front(rest) {
                Front::Record(record) => {
                    let place = self.at..self.at + record.len();
                    self.at = place.end;
                    return Some((record, place));
                }
                Front::Garbage(count) => count,
                Front::Beginning if whole && !rest.is_empty() => to_next_magic(rest),
                Front::Beginning => return None,
            };
            self.at += skip;
            self.skipped += skip as u64;
        }
    }
}
