//! The walk over bytes that were read, from record to record.

use std::ops::Range;

use super::{Front, Record, Trust, front_for, to_next_magic};

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
        self.next_record_of(bytes, whole, Trust::Nobody)
    }

    /// The next record, as in [`Scanner::next_record`], of a pipe with such writers.
    pub fn next_record_of<'a>(
        &mut self,
        bytes: &'a [u8],
        whole: bool,
        trust: Trust,
    ) -> Option<(Record<'a>, Span)> {
        loop {
            let rest = &bytes[self.at..];
            let skip = match front_for(rest, trust) {
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
