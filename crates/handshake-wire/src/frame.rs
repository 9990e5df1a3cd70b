//! One frame: encoding and decoding. The tables are in docs/protocol.md, the numbers in `layout`.

use std::borrow::Cow;

use crate::layout::{END, HEADER, HELLO_MAX, MAGIC, OVERHEAD, PAYLOAD_MAX};
use crate::mask;

/// Flag: the message continues in the next frame.
const MORE: u8 = 1;
/// Offset of the first byte that the check covers, directly behind the check.
const CHECKED: usize = 10;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client to server: the name of its private pipe. (Steps 4 and 6.)
    Hello = 1,
    /// Server to client: the client is connected. (Steps 7 and 8.)
    #[doc(alias = "acknowledgement")]
    Ack = 2,
    /// Client to server: it has received the ACK.
    Ready = 3,
    /// Client to server: a message, or a part of one.
    Request = 4,
    /// Server to client: the reply to a request, or a part of it.
    Reply = 5,
    /// Server to client: it refuses the request or the client, and why.
    Refuse = 6,
    /// From either side: the session is over.
    Bye = 7,
    /// Central process to a subserver that has asked: the client has sent nothing. Never goes through a named
    /// pipe.
    Idle = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{Ack, Bye, Hello, Idle, Ready, Refuse, Reply, Request};
        [Hello, Ack, Ready, Request, Reply, Refuse, Bye, Idle].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The meaning of a header, without magic, mask, check and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// Which frame of its message it is.
    pub part: Part,
    /// The session's number. In HELLO and its answer: the client's nonce.
    pub session: u64,
    /// The message's number.
    pub sequence: u32,
}

/// The place of a frame in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Counts 0, 1, 2, ...; after 65,535 comes 0.
    pub number: u16,
    /// Whether the message continues in the next frame.
    pub more: bool,
}

impl Part {
    /// The only frame of its message.
    pub const ONLY: Self = Self { number: 0, more: false };

    /// Returns the number that the next frame in this direction must have.
    pub fn next(self) -> u16 {
        if self.more { self.number.wrapping_add(1) } else { 0 }
    }
}

/// A valid frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame's header.
    pub header: Header,
    /// The payload as it was sent, under the mask.
    sent: &'a [u8],
    mask: [u8; 2],
}

impl<'a> Frame<'a> {
    /// Returns the payload, unmasked.
    pub fn payload(&self) -> Cow<'a, [u8]> {
        if self.mask == [0; 2] {
            return Cow::Borrowed(self.sent);
        }
        Cow::Owned(unmasked(self.mask, self.sent))
    }

    /// Returns the payload's length in bytes.
    pub fn payload_len(&self) -> usize {
        self.sent.len()
    }

    /// Appends the payload to `message`.
    pub fn append_payload_to(&self, message: &mut Vec<u8>) {
        let start = message.len();
        message.extend_from_slice(self.sent);
        if self.mask != [0; 2] {
            mask::apply(self.mask, &mut message[start..]);
        }
    }

    /// Returns the frame's length on the wire.
    pub fn len(&self) -> usize {
        OVERHEAD + self.sent.len()
    }

    /// Returns whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

/// What some bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front<'a> {
    /// A valid frame.
    Frame(Frame<'a>),
    /// This many bytes (at least 1) that begin no frame.
    Garbage(usize),
    /// Possibly the beginning of a frame. More bytes are needed to decide.
    Beginning,
}

/// Parses the front of `bytes`. A header's length is believed only up to the next magic.
pub fn front(bytes: &[u8]) -> Front<'_> {
    front_for(bytes, Trust::Nobody)
}

/// How far a reader may trust the writers of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Any process of this user may have written any bytes.
    Nobody,
    /// The pipe has one writer, which ends each frame that it begins. The reader need not look for a magic
    /// inside a frame.
    Writer,
}

/// Parses the front of `bytes`, read from a pipe whose writers are trusted as `trust` says.
pub fn front_for(bytes: &[u8], trust: Trust) -> Front<'_> {
    let prefix = bytes.len().min(MAGIC.len());
    if bytes[..prefix] != MAGIC[..prefix] {
        return Front::Garbage(to_next_magic(bytes));
    }
    let beginning = || if trust == Trust::Writer { Front::Beginning } else { beginning(bytes) };
    let Some(start) = bytes.first_chunk::<HEADER>() else { return beginning() };
    let mask = field(&start[4..6]);
    let announced = if mask == [0; 2] { parse_header(start) } else { parse_header(&unmasked_header(*start)) };
    let Some((header, length)) = announced else { return Front::Garbage(to_next_magic(bytes)) };
    let Some(whole) = bytes.get(..OVERHEAD + length) else { return beginning() };
    // No magic begins in this frame and ends behind it: the end byte is in no magic.
    if trust != Trust::Writer
        && let Some(at) = mask::find_magic(&whole[MAGIC.len()..])
    {
        return Front::Garbage(MAGIC.len() + at);
    }
    if whole[HEADER + length] != END || !is_sound(mask, &whole[6..HEADER + length]) {
        return Front::Garbage(to_next_magic(bytes));
    }
    Front::Frame(Frame { header, sent: &whole[HEADER..HEADER + length], mask })
}

/// Handles an incomplete frame. If another frame begins in it, the incomplete one will never be complete.
fn beginning(bytes: &[u8]) -> Front<'_> {
    let behind = bytes.get(MAGIC.len()..).unwrap_or_default();
    mask::find_magic(behind).map_or(Front::Beginning, |at| Front::Garbage(MAGIC.len() + at))
}

/// Returns a header's meaning and the payload's length, if the header is valid.
fn parse_header(head: &[u8; HEADER]) -> Option<(Header, usize)> {
    let kind = Kind::from_byte(head[10])?;
    let part = Part { number: u16::from_be_bytes(field(&head[14..16])), more: head[11] & MORE != 0 };
    let length = usize::from(u16::from_be_bytes(field(&head[12..14])));
    let session = u64::from_be_bytes(field(&head[16..24]));
    let sequence = u32::from_be_bytes(field(&head[24..28]));
    let longest = if kind == Kind::Hello { HELLO_MAX - OVERHEAD } else { PAYLOAD_MAX };
    let can_be = head[11] & !MORE == 0 && length <= longest;
    can_be.then_some((Header { kind, part, session, sequence }, length))
}

fn unmasked_header(mut header: [u8; HEADER]) -> [u8; HEADER] {
    let mask = field(&header[4..6]);
    mask::apply(mask, &mut header[6..]);
    header
}

/// Returns whether the check in front of `bytes` is right. The bytes are still masked.
fn is_sound(mask: [u8; 2], bytes: &[u8]) -> bool {
    if mask != [0; 2] {
        return is_sound([0; 2], &unmasked(mask, bytes));
    }
    bytes.split_first_chunk().is_some_and(|(check, checked)| crc(checked).to_be_bytes() == *check)
}

fn unmasked(mask: [u8; 2], bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    mask::apply(mask, &mut bytes);
    bytes
}

/// Returns the distance from byte 0, already ruled out, to the next possible magic.
pub(crate) fn to_next_magic(bytes: &[u8]) -> usize {
    let behind = &bytes[1..];
    let whole = mask::find_magic(behind);
    let begun = || {
        let last = behind.len().saturating_sub(MAGIC.len() - 1);
        (last..behind.len()).find(|at| MAGIC.starts_with(&behind[*at..]))
    };
    1 + whole.or_else(begun).unwrap_or(behind.len())
}

pub(crate) fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cuts N bytes")
}

fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Appends a frame to `out`, and masks it if necessary.
///
/// # Panics
/// Panics if `payload` is longer than [`PAYLOAD_MAX`]: the caller cuts messages with [`pieces`].
pub fn append(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    let start = out.len();
    append_to_trusting(out, header, payload);
    let frame = start..out.len() - 1;
    if mask::find_magic(&out[frame.start + MAGIC.len()..frame.end]).is_some() {
        mask::mask(&mut out[frame]);
    }
}

/// Appends a frame to `out` for a reader that [trusts its writer](Trust::Writer). The frame is not masked.
///
/// # Panics
/// Panics if `payload` is longer than [`PAYLOAD_MAX`]: the caller cuts messages with [`pieces`].
pub fn append_to_trusting(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_MAX, "a payload fits its frame");
    let length = u16::try_from(payload.len()).expect("4,067 fits");
    let mut head = [0; HEADER];
    head[0..4].copy_from_slice(&MAGIC);
    head[10..12].copy_from_slice(&[header.kind as u8, u8::from(header.part.more) * MORE]);
    head[12..14].copy_from_slice(&length.to_be_bytes());
    head[14..16].copy_from_slice(&header.part.number.to_be_bytes());
    head[16..24].copy_from_slice(&header.session.to_be_bytes());
    head[24..28].copy_from_slice(&header.sequence.to_be_bytes());
    out.reserve(OVERHEAD + payload.len());
    let start = out.len();
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    let frame = &mut out[start..];
    let check = crc(&frame[CHECKED..]);
    frame[6..CHECKED].copy_from_slice(&check.to_be_bytes());
    out.push(END);
}

/// Cuts a message into payloads, each with its part. An empty message gives one empty payload.
pub fn pieces(message: &[u8]) -> impl Iterator<Item = (&[u8], Part)> {
    let count = frames_of(message.len());
    let numbers = (0..=u16::MAX).cycle();
    (0..count).zip(numbers).map(move |(piece, number)| {
        let start = piece * PAYLOAD_MAX;
        let part = Part { number, more: piece + 1 < count };
        (&message[start..message.len().min(start + PAYLOAD_MAX)], part)
    })
}

/// Returns how many frames a message of `bytes` bytes takes.
pub fn frames_of(bytes: usize) -> usize {
    bytes.div_ceil(PAYLOAD_MAX).max(1)
}

/// Returns the text's longest prefix of whole characters that fits a frame. Text from a peer may have grown
/// in `handshake_core::text::words`.
pub fn payload_of(words: &str) -> &[u8] {
    let end = (0..=words.len().min(PAYLOAD_MAX)).rev().find(|end| words.is_char_boundary(*end));
    &words.as_bytes()[..end.unwrap_or(0)]
}
