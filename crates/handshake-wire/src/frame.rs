//! One frame: the tables are in docs/protocol.md, the numbers in `layout`.

use std::borrow::Cow;

use crate::layout::{END, HEADER, HELLO_MAX, MAGIC, OVERHEAD, PAYLOAD_MAX};
use crate::mask;

/// Flag: this message goes on in the next frame.
const MORE: u8 = 1;
/// Where what the check is made of begins: just behind the check.
const CHECKED: usize = 10;

/// What a frame is.
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
    /// Central process, to a subserver that has asked: nothing has come from the client. It never goes through a named pipe.
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
    /// What the frame is.
    pub kind: Kind,
    /// Which frame of its message it is.
    pub part: Part,
    /// The session's number; in HELLO and its answer, the client's nonce.
    pub session: u64,
    /// The message's number.
    pub sequence: u32,
}

/// Which frame of its message a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 0, 1, 2, ...; after 65,535 comes 0.
    pub number: u16,
    /// Whether the message goes on in the next frame.
    pub more: bool,
}

impl Part {
    /// The only frame of its message.
    pub const ONLY: Self = Self { number: 0, more: false };

    /// The number of the frame that must follow this one in its direction.
    pub fn next(self) -> u16 {
        if self.more { self.number.wrapping_add(1) } else { 0 }
    }
}

/// A frame that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says of itself.
    pub header: Header,
    /// What it carries, as it was sent: under the mask.
    sent: &'a [u8],
    mask: [u8; 2],
}

impl<'a> Frame<'a> {
    /// What it carries.
    pub fn payload(&self) -> Cow<'a, [u8]> {
        if self.mask == [0; 2] {
            return Cow::Borrowed(self.sent);
        }
        Cow::Owned(unmasked(self.mask, self.sent))
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
}

/// What stands at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front<'a> {
    /// A frame that counts.
    Frame(Frame<'a>),
    /// So many bytes (at least 1) that begin no frame.
    Garbage(usize),
    /// The beginning of a frame, perhaps, or nothing: more bytes will tell.
    Beginning,
}

/// Looks at the front of `bytes`. What a header claims is believed no further than to the next magic.
pub fn front(bytes: &[u8]) -> Front<'_> {
    front_for(bytes, Trust::Nobody)
}

/// How far a reader may trust the writers of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Any process of this user may have written anything.
    Nobody,
    /// There is one writer, which ends each frame that it begins: no look for a magic inside a frame is
    /// needed.
    Writer,
}

/// Looks at the front of `bytes`, which were read from a pipe with such writers.
pub fn front_for(bytes: &[u8], trust: Trust) -> Front<'_> {
    let prefix = bytes.len().min(MAGIC.len());
    if bytes[..prefix] != MAGIC[..prefix] {
        return Front::Garbage(to_next_magic(bytes));
    }
    let beginning = || if trust == Trust::Writer { Front::Beginning } else { beginning(bytes) };
    let Some(start) = bytes.first_chunk::<HEADER>() else { return beginning() };
    let mask = field(&start[4..6]);
    let announced = if mask == [0; 2] { announced(start) } else { announced(&unmasked_header(*start)) };
    let Some((header, length)) = announced else { return Front::Garbage(to_next_magic(bytes)) };
    let Some(whole) = bytes.get(..OVERHEAD + length) else { return beginning() };
    // No magic begins here and ends in what follows: the end byte is in none.
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

/// What is not whole yet, unless another frame begins in it: then it never will be.
fn beginning(bytes: &[u8]) -> Front<'_> {
    let behind = bytes.get(MAGIC.len()..).unwrap_or_default();
    mask::find_magic(behind).map_or(Front::Beginning, |at| Front::Garbage(MAGIC.len() + at))
}

/// The meaning of a header, and the length of the payload, if the header can be one.
fn announced(head: &[u8; HEADER]) -> Option<(Header, usize)> {
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

/// Whether the check in front of `bytes`, which are under the mask, is right.
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

/// How far it is from the first byte, which is none, to the next that could begin a magic.
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

/// Appends a frame to `out`, masked if it needs that.
///
/// # Panics
/// `payload` is longer than [`PAYLOAD_MAX`]: the caller cuts messages with [`pieces`].
pub fn append(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    let start = out.len();
    append_to_trusting(out, header, payload);
    let frame = start..out.len() - 1;
    if mask::find_magic(&out[frame.start + MAGIC.len()..frame.end]).is_some() {
        mask::mask(&mut out[frame]);
    }
}

/// Appends a frame to `out` for a reader that [trusts its writer](Trust::Writer): a magic may stand anywhere
/// in it.
///
/// # Panics
/// As [`append`].
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

/// Cuts a message into payloads, each with its part. An empty message is one empty payload.
pub fn pieces(message: &[u8]) -> impl Iterator<Item = (&[u8], Part)> {
    let count = frames_of(message.len());
    let numbers = (0..=u16::MAX).cycle();
    (0..count).zip(numbers).map(move |(piece, number)| {
        let start = piece * PAYLOAD_MAX;
        let part = Part { number, more: piece + 1 < count };
        (&message[start..message.len().min(start + PAYLOAD_MAX)], part)
    })
}

/// How many frames a message of so many bytes takes.
pub fn frames_of(bytes: usize) -> usize {
    bytes.div_ceil(PAYLOAD_MAX).max(1)
}

/// The payload that says this: the whole characters that fit a frame. Words that a peer said may have grown
/// in `handshake_core::text::words`.
pub fn payload_of(words: &str) -> &[u8] {
    let end = (0..=words.len().min(PAYLOAD_MAX)).rev().find(|end| words.is_char_boundary(*end));
    &words.as_bytes()[..end.unwrap_or(0)]
}
