//! The payloads of HELLO and ACK (docs/protocol.md), encoded and decoded.

use crate::frame::field;
use crate::layout::NAME_MAX;

/// The payload of HELLO. Its header carries the client's nonce as the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version that the client speaks.
    pub version: u16,
    /// The private pipe's name, in the directory of the well-known pipe.
    pub name: &'a [u8],
}

impl<'a> Hello<'a> {
    /// Returns the payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        [&self.version.to_be_bytes(), self.name].concat()
    }

    /// Decodes a payload. Returns `None` if the bytes are no HELLO.
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (version, name) = payload.split_first_chunk()?;
        let name_fits = (1..=NAME_MAX).contains(&name.len());
        name_fits.then(|| Self { version: u16::from_be_bytes(*version), name })
    }
}

/// The payload of ACK. Its header carries the client's nonce as the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The session's number, for all frames from here on.
    pub session: u64,
    /// The version that the server speaks.
    pub version: u16,
    /// How many frames may be unanswered. 0: no limit.
    pub window: u16,
    /// The longest request, in bytes.
    pub longest: u64,
    /// The fresh upstream's name. Empty: the client keeps writing to the pipe that its HELLO went to.
    pub upstream: Vec<u8>,
}

impl Ack {
    /// Returns the payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        [
            &self.session.to_be_bytes()[..],
            &self.version.to_be_bytes(),
            &self.window.to_be_bytes(),
            &self.longest.to_be_bytes(),
            &self.upstream,
        ]
        .concat()
    }

    /// Decodes a payload. Returns `None` if the bytes are no ACK.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (fixed, upstream) = payload.split_first_chunk::<20>()?;
        (upstream.len() <= NAME_MAX).then(|| Self {
            session: u64::from_be_bytes(field(&fixed[0..8])),
            version: u16::from_be_bytes(field(&fixed[8..10])),
            window: u16::from_be_bytes(field(&fixed[10..12])),
            longest: u64::from_be_bytes(field(&fixed[12..20])),
            upstream: upstream.to_vec(),
        })
    }
}
