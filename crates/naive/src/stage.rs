//! Where a naive client stands, and how many ended where.

use crate::End;

/// Where a client stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Got its acknowledgement and the reply to its request.
    Served,
    /// Got something else, or an end of file and wrote its request into another's session.
    Wrong,
    /// Got an error, or the end of a pipe.
    Broken,
    /// Finds no well-known pipe.
    SeeksWkp,
    /// Waits in open(2) of the well-known pipe.
    OpensWkp,
    /// Waits in open(2) of its own private pipe.
    OpensPrivatePipe,
    /// Waits in read(2) for its acknowledgement.
    ReadsAcknowledgement,
    /// Waits in read(2) for its reply.
    ReadsReply,
}

impl Stage {
    /// For each, in this order: the letter that a client writes, the name in the files, and what became of a
    /// client, after "N".
    const ALL: [(Self, u8, &str, &str); 8] = [
        (Self::Served, b'd', "served", "served"),
        (Self::Wrong, b'x', "wrong", "answered wrongly"),
        (Self::Broken, b'b', "broken", "cut off"),
        (Self::SeeksWkp, b's', "seeks-wkp", "still seeking a well-known pipe"),
        (Self::OpensWkp, b'w', "opens-wkp", "hanging in open(2) of the well-known pipe"),
        (Self::OpensPrivatePipe, b'p', "opens-private-pipe", "hanging in open(2) of their own private pipe"),
        (
            Self::ReadsAcknowledgement,
            b'a',
            "reads-acknowledgement",
            "hanging in read(2) for the acknowledgement",
        ),
        (Self::ReadsReply, b'r', "reads-reply", "hanging in read(2) for the reply"),
    ];

    /// All but those that got an answer.
    pub fn unserved() -> impl Iterator<Item = Self> {
        Self::ALL[2..].iter().map(|row| row.0)
    }

    /// How a client writes it.
    pub(super) fn letter(self) -> u8 {
        Self::ALL[self as usize].1
    }

    /// In the files.
    pub fn id(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// What became of a client that ended there, after "N".
    pub fn in_words(self) -> &'static str {
        Self::ALL[self as usize].3
    }

    /// Where a client stood that wrote this. One that wrote nothing counts as cut off.
    pub fn last_of(letters: &[u8]) -> Self {
        letters.last().and_then(|letter| Self::of(*letter)).unwrap_or(Self::Broken)
    }

    fn of(letter: u8) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == letter).map(|row| row.0)
    }

    /// How many of a crowd ended there.
    pub fn count_in(self, crowd: &[End]) -> usize {
        crowd.iter().filter(|end| Self::last_of(&end.printed) == self).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn letters_are_told_apart() {
        for (stage, letter, ..) in Stage::ALL {
            assert_eq!((stage.letter(), Stage::of(letter)), (letter, Some(stage)));
        }
        assert_eq!(Stage::of(b'?'), None);
    }

    #[test]
    fn the_last_letter_counts() {
        let end = |letters: &[u8]| End { printed: letters.into(), status: None, after: Duration::ZERO };
        let ends = [&b"wpard"[..], b"wp", b"wswp", b""].map(end);
        let counts =
            [Stage::Served, Stage::OpensPrivatePipe, Stage::Broken].map(|stage| stage.count_in(&ends));
        assert_eq!(counts, [1, 2, 1]);
    }
}
