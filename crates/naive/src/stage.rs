//! Where a naive client stands, and how many ended where.

use std::collections::BTreeMap;

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
    const ALL: [Self; 8] = [
        Self::Served,
        Self::Wrong,
        Self::Broken,
        Self::SeeksWkp,
        Self::OpensWkp,
        Self::OpensPrivatePipe,
        Self::ReadsAcknowledgement,
        Self::ReadsReply,
    ];

    /// All but those that got an answer.
    pub const UNSERVED: [Self; 6] = {
        let [_served, _wrong, unserved @ ..] = Self::ALL;
        unserved
    };

    /// In the files.
    pub fn id(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Wrong => "wrong",
            Self::Broken => "broken",
            Self::SeeksWkp => "seeks-wkp",
            Self::OpensWkp => "opens-wkp",
            Self::OpensPrivatePipe => "opens-private-pipe",
            Self::ReadsAcknowledgement => "reads-acknowledgement",
            Self::ReadsReply => "reads-reply",
        }
    }

    /// How a client writes it.
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Served => b'd',
            Self::Wrong => b'x',
            Self::Broken => b'b',
            Self::SeeksWkp => b's',
            Self::OpensWkp => b'w',
            Self::OpensPrivatePipe => b'p',
            Self::ReadsAcknowledgement => b'a',
            Self::ReadsReply => b'r',
        }
    }

    /// Where a client stood that wrote this. One that wrote nothing counts as cut off.
    pub fn last_of(letters: &[u8]) -> Self {
        letters.last().and_then(|letter| Self::of(*letter)).unwrap_or(Self::Broken)
    }

    fn of(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.letter() == letter)
    }

    /// Of a client that is neither served nor answered wrongly: what became of it, after "N".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Wrong => "answered wrongly",
            Self::Broken => "cut off",
            Self::SeeksWkp => "still seeking a well-known pipe",
            Self::OpensWkp => "hanging in open(2) of the well-known pipe",
            Self::OpensPrivatePipe => "hanging in open(2) of their own private pipe",
            Self::ReadsAcknowledgement => "hanging in read(2) for the acknowledgement",
            Self::ReadsReply => "hanging in read(2) for the reply",
        }
    }
}

/// How many ended where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By stage.
    pub ends: BTreeMap<Stage, usize>,
}

impl Outcome {
    /// Where each stood at last: the last letter that it wrote.
    pub fn of(crowd: &[End]) -> Self {
        let mut ends = BTreeMap::new();
        for end in crowd {
            *ends.entry(Stage::last_of(&end.printed)).or_default() += 1;
        }
        Self { ends }
    }

    /// How many came to this end.
    pub fn at(&self, stage: Stage) -> usize {
        self.ends.get(&stage).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn letters_are_told_apart() {
        for stage in Stage::ALL {
            assert_eq!(Stage::of(stage.letter()), Some(stage));
        }
        assert_eq!(Stage::of(b'?'), None);
    }

    #[test]
    fn the_last_letter_counts() {
        let end = |letters: &[u8]| End { printed: letters.into(), status: None, after: Duration::ZERO };
        let ends = [&b"wpard"[..], b"wp", b"wswp", b""].map(end);
        let outcome = Outcome::of(&ends);
        let counts = [Stage::Served, Stage::OpensPrivatePipe, Stage::Broken].map(|stage| outcome.at(stage));
        assert_eq!((counts, outcome.ends.len()), ([1, 2, 1], 3));
    }
}
