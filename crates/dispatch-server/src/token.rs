//! What the central process watches, as the poller knows it.

/// What the poller reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The well-known pipe with this number has bytes.
    Wkp(u64),
    /// This client has written something, or its subserver has room again.
    Frames(u64),
    /// This client's subserver has sent status bytes.
    Status(u64),
}

/// An [`Arrival`] as the 64 bits that epoll(7) keeps for a descriptor: the number, and the kind in the last
/// two bits.
pub(crate) struct Token(pub(crate) u64);

impl From<Arrival> for Token {
    fn from(arrival: Arrival) -> Self {
        Self(match arrival {
            Arrival::Wkp(number) => number << 2,
            Arrival::Frames(number) => number << 2 | 1,
            Arrival::Status(number) => number << 2 | 2,
        })
    }
}

impl From<Token> for Arrival {
    fn from(Token(bits): Token) -> Self {
        let kinds = [Self::Wkp, Self::Frames, Self::Status, Self::Status];
        kinds[(bits & 3) as usize](bits >> 2)
    }
}
