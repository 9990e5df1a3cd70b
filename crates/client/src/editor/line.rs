//! The edited line: bytes, and a cursor between two characters.

use handshake_core::stream::reserve_within;
use handshake_core::text::printable;
use unicode_width::UnicodeWidthChar;

/// A line of bytes, which need not be UTF-8.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    cursor: usize,
}

impl Line {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(super) fn go_to(&mut self, place: usize) {
        self.cursor = place;
    }

    /// Inserts before the cursor. The caller makes sure that the line stays within `longest` bytes.
    pub(super) fn insert(&mut self, bytes: &[u8], longest: usize) {
        reserve_within(&mut self.bytes, bytes.len(), longest);
        self.bytes.extend_from_slice(bytes);
        self.bytes[self.cursor..].rotate_right(bytes.len());
        self.cursor += bytes.len();
    }

    /// Removes the bytes between the cursor and `place`.
    pub(super) fn remove_to(&mut self, place: usize) -> Vec<u8> {
        let (from, to) = (self.cursor.min(place), self.cursor.max(place));
        self.cursor = from;
        self.bytes.drain(from..to).collect()
    }

    pub(super) fn set(&mut self, bytes: Vec<u8>) {
        (self.cursor, self.bytes) = (bytes.len(), bytes);
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.cursor = 0;
        std::mem::take(&mut self.bytes)
    }

    /// The position one character to the left of the cursor; combining characters belong to the one before.
    pub(super) fn left(&self) -> usize {
        let mut place = self.cursor;
        while place > 0 {
            place = before(&self.bytes, place);
            if Shape::of(&self.bytes[place..]).columns > 0 {
                break;
            }
        }
        place
    }

    /// The position one character to the right of the cursor, behind its combining characters.
    pub(super) fn right(&self) -> usize {
        let next = |place: usize| Some(Shape::of(self.bytes.get(place..)?)).filter(|shape| shape.bytes > 0);
        let mut place = self.cursor + next(self.cursor).map_or(0, |shape| shape.bytes);
        while let Some(shape) = next(place).filter(|shape| shape.columns == 0) {
            place += shape.bytes;
        }
        place
    }

    /// The beginning of the word that ends to the left of the cursor.
    pub(super) fn word_left(&self) -> usize {
        let is_blank = |place: &usize| self.bytes[place - 1] == b' ';
        let end = (1..=self.cursor).rev().find(|place| !is_blank(place)).unwrap_or(0);
        (1..=end).rev().find(is_blank).unwrap_or(0)
    }

    /// The end of the word that begins to the right of the cursor.
    pub(super) fn word_right(&self) -> usize {
        let (len, is_blank) = (self.bytes.len(), |place: &usize| self.bytes[*place] == b' ');
        let begin = (self.cursor..len).find(|place| !is_blank(place)).unwrap_or(len);
        (begin..len).find(is_blank).unwrap_or(len)
    }
}

/// Where the character that ends at `place` begins; `place` is not 0.
pub(super) fn before(bytes: &[u8], place: usize) -> usize {
    (place.saturating_sub(4)..place)
        .find(|begin| Shape::of(&bytes[*begin..place]).bytes == place - begin)
        .unwrap_or(place - 1)
}

/// How the first character of some bytes is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The number of bytes; 0: there is no character.
    pub(super) bytes: usize,
    /// The number of columns.
    pub(super) columns: usize,
    /// The character, or the replacement for one that would act on the terminal: `^[` for ESC.
    pub(super) shown: (Option<char>, char),
}

impl Shape {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(4)];
        let replaced = |bytes, c| Self { bytes, columns: 1, shown: (None, c) };
        let Some(chunk) = bytes.utf8_chunks().next() else {
            return Self { columns: 0, ..replaced(0, ' ') };
        };
        match chunk.valid().chars().next() {
            None => replaced(1, char::REPLACEMENT_CHARACTER),
            Some(c @ ..'\x20' | c @ '\x7f') => {
                let caret = char::from(c as u8 ^ 0x40);
                Self { bytes: 1, columns: 2, shown: (Some('^'), caret) }
            }
            Some(c) if printable(c) != c => replaced(c.len_utf8(), printable(c)),
            Some(c) => Self { bytes: c.len_utf8(), columns: c.width().unwrap_or(0), shown: (None, c) },
        }
    }

    /// Appends the character to `screen`.
    pub(super) fn draw(self, screen: &mut Vec<u8>) {
        let (mark, c) = self.shown;
        for c in mark.into_iter().chain([c]) {
            screen.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}
