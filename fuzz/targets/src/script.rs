//! A script, read letter by letter, and the frames that it describes.

use handshake_core::wire::{HELLO_MAX, Header, Kind, MAGIC, OVERHEAD, PAYLOAD_MAX, Part, append};

/// Kinds by number, as on the wire.
const KINDS: [Kind; 7] =
    [Kind::Hello, Kind::Ack, Kind::Ready, Kind::Request, Kind::Reply, Kind::Refuse, Kind::Bye];

/// The rest of a script.
#[derive(Debug)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    at: usize,
    /// How the next frame is damaged, and where.
    damage: Option<(usize, usize)>,
    /// The number of the next part.
    part: u16,
}

impl Script {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, damage: None, part: 0 }
    }

    /// Takes the next byte, if there is one.
    pub(crate) fn letter(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    /// Takes the next number; 0 at the end.
    pub(crate) fn number(&mut self) -> usize {
        match self.letter() {
            Some(digit @ b'0'..=b'9') => usize::from(digit - b'0'),
            Some(byte) => usize::from(byte),
            None => 0,
        }
    }

    /// Takes a length: small ones by digit, and larger ones up to twice what fits a frame.
    pub(crate) fn length(&mut self) -> usize {
        match self.number() {
            small @ 0..=9 => small,
            larger => larger * larger / 8,
        }
    }

    /// Takes a length, and then that many bytes unchanged, or what is left.
    pub(crate) fn raw(&mut self) -> Vec<u8> {
        let length = self.length().min(self.bytes.len() - self.at);
        self.at += length;
        self.bytes[self.at - length..self.at].to_vec()
    }

    /// `d`: damages the next frame.
    pub(crate) fn damage(&mut self) {
        self.damage = Some((self.number(), self.number()));
    }

    /// Returns the next part.
    pub(crate) fn part(&mut self, more: bool) -> Part {
        let part = Part { number: self.part, more };
        self.part = part.next();
        part
    }

    /// `t`: loses the next part.
    pub(crate) fn lose_part(&mut self) {
        self.part = self.part.wrapping_add(1);
    }

    /// Takes the next kind.
    pub(crate) fn kind(&mut self) -> Kind {
        KINDS[self.number().wrapping_sub(1) % KINDS.len()]
    }

    /// Makes a frame, damaged if that is due. Returns whether it is valid.
    pub(crate) fn frame(&mut self, header: Header, payload: &[u8]) -> (Vec<u8>, bool) {
        let longest = if header.kind == Kind::Hello { HELLO_MAX - OVERHEAD } else { PAYLOAD_MAX };
        let mut frame = Vec::new();
        append(&mut frame, header, &payload[..payload.len().min(longest)]);
        let Some((how, place)) = self.damage.take() else { return (frame, true) };
        let bits = frame.len() * 8;
        match how % 5 {
            0 => frame[place % bits / 8] ^= 1 << (place % 8),
            1 => frame.truncate(place % frame.len()),
            // A wrong length.
            2 => frame[12..14].copy_from_slice(&(place as u16 * 16).to_be_bytes()),
            // The last bytes are missing.
            3 => frame.truncate(frame.len() - 1 - place % frame.len()),
            _ => frame[6] ^= 1 + place as u8 % 255,
        }
        (frame, false)
    }
}

/// Makes a payload of bytes of all values, which is no text.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (length + at * 37) as u8).collect()
}

/// Makes a payload of magics and their beginnings.
pub(crate) fn magics(length: usize) -> Vec<u8> {
    [&MAGIC[..], &MAGIC[..3], &MAGIC[..2], &MAGIC].concat().into_iter().cycle().take(length).collect()
}
