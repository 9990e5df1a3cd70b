//! The wire: records as pure functions of bytes. No I/O here, so that all of it can be tested alone.
//!
//! The byte tables are in docs/protocol.md; the constants below have the same order and names.

mod greeting;
mod mask;
mod scan;

use std::borrow::Cow;
use std::ops::Range;

pub use greeting::{Ack, Hello};
pub use scan::{Scanner, Span};

/// The first bytes of every record. NUL comes first, which no text name does, and the fourth byte is not 0,
/// which no 4-byte process number is.
pub const MAGIC: [u8; 4] = *b"\0WKP";
/// What this version of the protocol calls itself in HELLO and ACK.
pub const VERSION: u16 = 2;
/// Bytes of a header.
pub const HEADER: usize = 32;
/// The last byte of every record. It is none of the magic's, so that no record ends with the beginning of a magic.
pub const END: u8 = b'\n';
/// Bytes of a record that carries nothing.
pub const OVERHEAD: usize = HEADER + 1;
/// The longest record: PIPE_BUF on Linux, so that one write of it is never mixed with another's (pipe(7)).
pub const RECORD_MAX: usize = 4096;
/// The most payload in a record; a longer message takes several.
pub const PAYLOAD_MAX: usize = RECORD_MAX - OVERHEAD;
/// The longest HELLO: the least PIPE_BUF that POSIX allows.
pub const HELLO_MAX: usize = 512;
/// The longest name of a pipe: NAME_MAX on all file systems that matter.
pub const NAME_MAX: usize = 255;

/// Flag: this message goes on in the next record.
const MORE: u8 = 1;
/// What the header check is made of.
const FIELDS: Range<usize> = 6..24;

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

/// The meaning of a header, without magic, mask, length and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the record is.
    pub kind: Kind,
    /// Which record of its message it is.
    pub part: Part,
    /// The session's number; in HELLO and its answer, the client's nonce.
    pub session: u64,
    /// The message's number.
    pub sequence: u32,
}

/// Which record of its message a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 0, 1, 2, ...; after 65,535 comes 0.
    pub number: u16,
    /// Whether the message goes on in the next record.
    pub more: bool,
}

impl Part {
    /// The only record of its message.
    pub const ONLY: Self = Self { number: 0, more: false };

    /// The number of the record that must follow this one in its direction.
    pub fn next(self) -> u16 {
        if self.more { self.number.wrapping_add(1) } else { 0 }
    }
}

/// A record that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says of itself.
    pub header: Header,
    /// What it carries, as it was sent: under the mask.
    sent: &'a [u8],
    mask: [u8; 2],
    header_check: u32,
    record_check: u32,
}

impl<'a> Record<'a> {
    /// What it carries.
    pub fn payload(&self) -> Cow<'a, [u8]> {
        if self.mask == [0; 2] {
            return Cow::Borrowed(self.sent);
        }
        let mut payload = self.sent.to_vec();
        mask::apply(self.mask, &mut payload);
        Cow::Owned(payload)
    }

    /// How many bytes it carries.
    pub fn payload_len(&self) -> usize {
        self.sent.len()
    }

    /// Appends what it carries to `message`.
    pub fn append_payload_to(&self, message: &mut Vec<u8>) {
        let start = message.len();
        message.extend_from_slice(self.sent);
        if self.mask != [0; 2] {
            mask::apply(self.mask, &mut message[start..]);
        }
    }

    /// Its length on the wire.
    pub fn len(&self) -> usize {
        OVERHEAD + self.sent.len()
    }

    /// Whether it carries nothing.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    fn has_sound_payload(&self) -> bool {
        crc(self.header_check, &self.payload()) == self.record_check
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

/// Looks at the front of `bytes`. A claimed length is believed only of a sound header, and only up to the next magic.
pub fn front(bytes: &[u8]) -> Front<'_> {
    match frame(bytes) {
        Front::Record(record) if !record.has_sound_payload() => Front::Garbage(record.len()),
        front => front,
    }
}

/// Looks at the front of `bytes` as [`front`] does, but without a look at the payload: what a process needs that passes
/// records on.
pub fn frame(bytes: &[u8]) -> Front<'_> {
    let prefix = bytes.len().min(MAGIC.len());
    if bytes[..prefix] != MAGIC[..prefix] {
        return Front::Garbage(to_next_magic(bytes));
    }
    let Some(start) = bytes.first_chunk::<HEADER>() else { return beginning(bytes) };
    let Some(record) = Record::announced_by(*start) else { return Front::Garbage(to_next_magic(bytes)) };
    let (record, length) = record;
    let Some(whole) = bytes.get(..OVERHEAD + length) else { return beginning(bytes) };
    // No magic begins here and ends in the next record: none has the end byte in it.
    if let Some(at) = mask::find_magic(&whole[MAGIC.len()..]) {
        return Front::Garbage(MAGIC.len() + at);
    }
    if whole[HEADER + length] != END {
        return Front::Garbage(to_next_magic(bytes));
    }
    Front::Record(Record { sent: &whole[HEADER..HEADER + length], ..record })
}

/// What is not whole yet, unless another record begins in it: then it never will be.
fn beginning(bytes: &[u8]) -> Front<'_> {
    let behind = bytes.get(MAGIC.len()..).unwrap_or_default();
    mask::find_magic(behind).map_or(Front::Beginning, |at| Front::Garbage(MAGIC.len() + at))
}

impl Record<'_> {
    /// The record that a sound header announces, still empty, and the length of its payload.
    fn announced_by(mut header: [u8; HEADER]) -> Option<(Self, usize)> {
        let mask = field(&header[4..6]);
        mask::apply(mask, &mut header[6..]);
        let header_check = crc(0, &header[FIELDS]);
        if header_check.to_be_bytes() != header[24..28] || header[7] & !MORE != 0 {
            return None;
        }
        let kind = Kind::from_byte(header[6])?;
        let length = usize::from(u16::from_be_bytes(field(&header[8..10])));
        let longest = if kind == Kind::Hello { HELLO_MAX - OVERHEAD } else { PAYLOAD_MAX };
        let part = Part { number: u16::from_be_bytes(field(&header[10..12])), more: header[7] & MORE != 0 };
        let session = u64::from_be_bytes(field(&header[12..20]));
        let sequence = u32::from_be_bytes(field(&header[20..24]));
        let record_check = u32::from_be_bytes(field(&header[28..32]));
        let header = Header { kind, part, session, sequence };
        let record = Self { header, sent: &[], mask, header_check, record_check };
        (length <= longest).then_some((record, length))
    }
}

/// How far it is from the first byte, which is none, to the next that could begin a magic.
fn to_next_magic(bytes: &[u8]) -> usize {
    let behind = &bytes[1..];
    let whole = mask::find_magic(behind);
    let begun = || {
        let last = behind.len().saturating_sub(MAGIC.len() - 1);
        (last..behind.len()).find(|at| MAGIC.starts_with(&behind[*at..]))
    };
    1 + whole.or_else(begun).unwrap_or(behind.len())
}

fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cuts N bytes")
}

/// CRC-32, going on from that of what comes before.
fn crc(before: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(bytes);
    hasher.finalize()
}

/// Appends a record to `out`.
///
/// # Panics
/// `payload` is longer than [`PAYLOAD_MAX`]: the caller cuts messages with [`pieces`].
pub fn append(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_MAX, "a payload fits its record");
    let length = u16::try_from(payload.len()).expect("4,063 fits");
    let mut fields = [0; HEADER];
    fields[0..4].copy_from_slice(&MAGIC);
    fields[6..8].copy_from_slice(&[header.kind as u8, u8::from(header.part.more) * MORE]);
    fields[8..10].copy_from_slice(&length.to_be_bytes());
    fields[10..12].copy_from_slice(&header.part.number.to_be_bytes());
    fields[12..20].copy_from_slice(&header.session.to_be_bytes());
    fields[20..24].copy_from_slice(&header.sequence.to_be_bytes());
    let header_check = crc(0, &fields[FIELDS]);
    fields[24..28].copy_from_slice(&header_check.to_be_bytes());
    fields[28..32].copy_from_slice(&crc(header_check, payload).to_be_bytes());
    out.reserve(OVERHEAD + payload.len());
    let start = out.len();
    out.extend_from_slice(&fields);
    out.extend_from_slice(payload);
    let (unmasked, masked) = out[start..].split_at_mut(6);
    if mask::find_magic(masked).is_some() {
        let mask = mask::smallest(masked);
        unmasked[4..].copy_from_slice(&mask);
        mask::apply(mask, masked);
    }
    out.push(END);
}

/// Cuts a message into payloads, each with its part. An empty message is one empty payload.
pub fn pieces(message: &[u8]) -> impl Iterator<Item = (&[u8], Part)> {
    let count = records_of(message.len());
    let numbers = (0..=u16::MAX).cycle();
    (0..count).zip(numbers).map(move |(piece, number)| {
        let start = piece * PAYLOAD_MAX;
        let part = Part { number, more: piece + 1 < count };
        (&message[start..message.len().min(start + PAYLOAD_MAX)], part)
    })
}

/// How many records a message of so many bytes takes.
pub fn records_of(bytes: usize) -> usize {
    bytes.div_ceil(PAYLOAD_MAX).max(1)
}

/// The words in a REFUSE or a BYE, or in a message, fit to be shown to people: what is no text, or would move a terminal's
/// cursor, is replaced.
pub fn words(payload: &[u8]) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(payload).chars().map(shown).collect()
}

/// The payload that says this: as much of it as fits a record, since words that a peer said may have grown in [`words`].
pub fn payload_of(words: &str) -> &[u8] {
    &words.as_bytes()[..words.len().min(PAYLOAD_MAX)]
}
