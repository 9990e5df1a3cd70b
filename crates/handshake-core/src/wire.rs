//! The wire: records as pure functions of bytes. No I/O here, so that all of it can be tested alone.
//!
//! The byte tables are in docs/protocol.md; the constants below have the same order and names.

use std::ops::Range;

/// The first bytes of every record. NUL comes first, which no text name does, and the fourth byte is not 0,
/// which no 4-byte process number is.
pub const MAGIC: [u8; 4] = *b"\0WKP";
/// What this version of the protocol calls itself in HELLO and ACK.
pub const VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER: usize = 24;
/// The longest record: PIPE_BUF on Linux, so that one write of it is never mixed with another's (pipe(7)).
pub const RECORD_MAX: usize = 4096;
/// The most payload in a record; a longer message takes several.
pub const PAYLOAD_MAX: usize = RECORD_MAX - HEADER;
/// The longest HELLO: the least PIPE_BUF that POSIX allows.
pub const HELLO_MAX: usize = 512;
/// The longest name of a pipe: NAME_MAX on all file systems that matter.
pub const NAME_MAX: usize = 255;

/// Flag: this message goes on in the next record.
const MORE: u8 = 1;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: here is my private pipe's name. (Steps 4 and 6.)
    Hello = 1,
    /// Server: you are connected. (Steps 7 and 8.)
    #[doc(alias = "acknowledgement")]
    Ack = 2,
    /// Client: so are you.
    Ready = 3,
    /// Client: a message, or a part of one.
    Request = 4,
    /// Server: its answer, or a part of it.
    Reply = 5,
    /// Server: not this one, and why.
    Refuse = 6,
    /// Either: the session is over.
    Bye = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{Ack, Bye, Hello, Ready, Refuse, Reply, Request};
        [Hello, Ack, Ready, Request, Reply, Refuse, Bye].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The meaning of a header, without magic, length and CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the record is.
    pub kind: Kind,
    /// Whether the message goes on in the next record.
    pub more: bool,
    /// The session's number; in HELLO and its answer, the client's nonce.
    pub session: u64,
    /// The message's number.
    pub sequence: u32,
}

/// A record that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says of itself.
    pub header: Header,
    /// What it carries.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Its length on the wire.
    pub fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// Whether it carries nothing.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

/// What stands at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front<'a> {
    /// A record that counts.
    Record(Record<'a>),
    /// So many bytes (at least 1) that begin no record.
    Garbage(usize),
    /// The beginning of a record, perhaps, or nothing: more bytes will tell.
    Beginning,
}

/// Looks at the front of `bytes`. A claimed length is believed only once the CRC over all of it fits.
pub fn front(bytes: &[u8]) -> Front<'_> {
    let prefix = bytes.len().min(MAGIC.len());
    if bytes[..prefix] != MAGIC[..prefix] {
        return Front::Garbage(to_next_magic(bytes));
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Front::Beginning };
    let length = usize::from(u16::from_be_bytes([header[6], header[7]]));
    let Some(kind) = Kind::from_byte(header[4]) else { return Front::Garbage(to_next_magic(bytes)) };
    let longest = if kind == Kind::Hello { HELLO_MAX - HEADER } else { PAYLOAD_MAX };
    if header[5] & !MORE != 0 || length > longest {
        return Front::Garbage(to_next_magic(bytes));
    }
    let Some(payload) = bytes.get(HEADER..HEADER + length) else { return Front::Beginning };
    if crc(&header[..20], payload).to_be_bytes() != header[20..] {
        return Front::Garbage(to_next_magic(bytes));
    }
    let header = Header {
        kind,
        more: header[5] & MORE != 0,
        session: u64::from_be_bytes(field(&header[8..16])),
        sequence: u32::from_be_bytes(field(&header[16..20])),
    };
    Front::Record(Record { header, payload })
}

/// How far it is from the first byte, which is none, to the next that could begin a magic.
fn to_next_magic(bytes: &[u8]) -> usize {
    (1..bytes.len())
        .find(|&at| MAGIC.starts_with(&bytes[at..bytes.len().min(at + MAGIC.len())]))
        .unwrap_or(bytes.len())
}

fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cuts N bytes")
}

fn crc(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

/// Appends a record to `out`.
///
/// # Panics
/// `payload` is longer than [`PAYLOAD_MAX`]: the caller cuts messages with [`pieces`].
pub fn append(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_MAX, "a payload fits its record");
    let length = u16::try_from(payload.len()).expect("4,072 fits");
    let mut fields = [0; HEADER];
    fields[0..4].copy_from_slice(&MAGIC);
    fields[4..6].copy_from_slice(&[header.kind as u8, u8::from(header.more) * MORE]);
    fields[6..8].copy_from_slice(&length.to_be_bytes());
    fields[8..16].copy_from_slice(&header.session.to_be_bytes());
    fields[16..20].copy_from_slice(&header.sequence.to_be_bytes());
    let crc = crc(&fields[..20], payload);
    fields[20..24].copy_from_slice(&crc.to_be_bytes());
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&fields);
    out.extend_from_slice(payload);
}

/// Cuts a message into payloads, each with whether more follow. An empty message is one empty payload.
pub fn pieces(message: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let count = records_of(message.len());
    (0..count).map(move |piece| {
        let start = piece * PAYLOAD_MAX;
        (&message[start..message.len().min(start + PAYLOAD_MAX)], piece + 1 < count)
    })
}

/// How many records a message of so many bytes takes.
pub fn records_of(bytes: usize) -> usize {
    bytes.div_ceil(PAYLOAD_MAX).max(1)
}

/// The payload that says this: as much of it as fits a record, since words that a peer said may have grown in
/// [`words`](crate::text::words).
pub fn payload_of(words: &str) -> &[u8] {
    &words.as_bytes()[..words.len().min(PAYLOAD_MAX)]
}

/// The payload of HELLO. Its header carries the client's nonce as the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version that the client speaks.
    pub version: u16,
    /// The private pipe's name, in the directory of the well-known pipe.
    pub name: Vec<u8>,
}

impl Hello {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        [&self.version.to_be_bytes(), &self.name[..]].concat()
    }

    /// Reads a payload; `None` if it is none.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (version, name) = payload.split_first_chunk()?;
        let name_fits = (1..=NAME_MAX).contains(&name.len());
        name_fits.then(|| Self { version: u16::from_be_bytes(*version), name: name.to_vec() })
    }
}

/// The payload of ACK. Its header carries the client's nonce as the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The session's number, for all records from here on.
    pub session: u64,
    /// The version that the server speaks.
    pub version: u16,
    /// How many records may be unanswered; 0: as many as the client likes.
    pub window: u16,
    /// The longest request, in bytes.
    pub longest: u64,
    /// The fresh upstream's name; empty: stay with the pipe that the HELLO went to.
    pub upstream: Vec<u8>,
}

impl Ack {
    /// The payload's bytes.
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

    /// Reads a payload; `None` if it is none.
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

/// Where a sound record begins and ends among bytes that were read; see [`Scanner`].
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
