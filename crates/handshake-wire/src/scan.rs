//! Finds the frames among bytes that were read.

use std::ops::Range;

use crate::frame::{Frame, Front, Trust, front_for, to_next_magic};

/// Where a frame begins and ends among bytes that were read. See [`Scanner`].
pub type Span = Range<usize>;

/// Walks over bytes that were read, from frame to frame, and skips other bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanner {
    /// The scanner has processed all bytes before this offset.
    pub at: usize,
    /// Bytes skipped so far because they belong to no frame.
    pub skipped: u64,
}

impl Scanner {
    /// Returns the next frame of `bytes[self.at..]`, or `None` if more bytes are needed.
    ///
    /// `whole`: all writes to this pipe are whole frames, and the last read emptied the pipe. The rest of an
    /// incomplete frame will then never come, and the scanner skips the beginning as garbage.
    pub fn next_frame<'a>(&mut self, bytes: &'a [u8], whole: bool) -> Option<(Frame<'a>, Span)> {
        self.next_frame_of(bytes, whole, Trust::Nobody)
    }

    /// Returns the next frame as [`Scanner::next_frame`] does, for a pipe whose writers are trusted as
    /// `trust` says.
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
