//! What the poller reports to the central process.

/// What has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The well-known pipe with this number has bytes.
    Wkp(u64),
    /// This client has written something, or its subserver has room again.
    Frames(u64),
    /// This client's subserver has sent status bytes.
    Status(u64),
}

impl Arrival {
    /// The 64 bits that epoll(7) keeps for a file descriptor: the number, and the kind in the last two bits.
    pub(crate) fn token(self) -> u64 {
        match self {
            Self::Wkp(number) => number << 2,
            Self::Frames(number) => number << 2 | 1,
            Self::Status(number) => number << 2 | 2,
        }
    }

    /// The arrival that has this token.
    pub(crate) fn of(token: u64) -> Self {
        let kinds = [Self::Wkp, Self::Frames, Self::Status, Self::Status];
        kinds[(token & 3) as usize](token >> 2)
    }
}
