//! The walk over bytes that were read, from frame to frame.

use std::ops::Range;

use crate::frame::{Frame, Front, Trust, front_for, to_next_magic};

/// Where a frame begins and ends among bytes that were read; see [`Scanner`].
pub type Span = Range<usize>;

/// Walks over bytes that were read, from frame to frame, past what is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanner {
    /// Bytes before this have been dealt with.
    pub at: usize,
    /// Bytes skipped so far because they belong to no frame.
    pub skipped: u64,
}

impl Scanner {
    /// The next frame of `bytes[self.at..]`, or `None` when more bytes are needed.
    ///
    /// `whole`: all writes to this pipe are whole frames, and the pipe was just read empty. Then the rest of
    /// what begins here will never come, and it is skipped like any garbage.
    pub fn next_frame<'a>(&mut self, bytes: &'a [u8], whole: bool) -> Option<(Frame<'a>, Span)> {
        self.next_frame_of(bytes, whole, Trust::Nobody)
    }

    /// The next frame, as in [`Scanner::next_frame`], of a pipe with such writers.
    pub fn next_frame_of<'a>(
        &mut self,
        bytes: &'a [u8],
        whole: bool,
        trust: Trust,
    ) -> Option<(Frame<'a>, Span)> {
        loop {
            let rest = &bytes[self.at..];
            let skip = match front_for(rest, trust) {
                Front::Frame(frame) => {
                    let place = self.at..self.at + frame.len();
                    self.at = place.end;
                    return Some((frame, place));
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
