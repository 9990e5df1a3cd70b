//! Divides one read into records: nothing in the bytes of the course dialect marks the end of a record.
//!
//! A client that does not wait between two writes may have several records in the pipe when the server reads.
//! Their sizes, and where a text begins, tell them apart. docs/course-dialect.md has the table of rules, and
//! what they misjudge. The functions here depend on bytes alone.

use crate::course::{HOLA, text_of, without_newline};

/// Larger buffers are for messages.
const NAME_BUFFER_MAX: usize = 32;

/// What the server knows of a client when the client's first record arrives.
#[derive(Debug, Clone)]
pub struct Known {
    /// The size of the client's name in bytes.
    pub name_size: usize,
    /// Whether the client wrote its name without a NUL. It may then write all its texts so.
    pub is_bare: bool,
    /// The acknowledgement that the client received.
    pub ack: Vec<u8>,
}

/// The third step at the front of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// This many bytes can only be the third step.
    ThirdStep(usize),
    /// This many bytes are probably the third step: they have a size that third steps have.
    Probably(usize),
    /// The bytes may be a third step or a message.
    Unknown,
}

impl Known {
    /// Classifies the front of the first read after the acknowledgement.
    pub fn front(&self, read: &[u8]) -> Front {
        let size = self.third_step_size(read);
        if self.is_third_step(&read[..size]) {
            return Front::ThirdStep(size);
        }
        // A client writes no second message before the first has its reply. Of two records, the first is
        // therefore no message.
        if size < read.len() {
            return Front::Probably(size);
        }
        // A message mistaken for a third step gets no reply, and its client waits forever. Only a size that
        // is typical of a name buffer, and not of a message buffer, counts as evidence.
        let is_buffer = text_of(read).len() + 1 < size && size <= NAME_BUFFER_MAX;
        if size == self.name_size && is_buffer { Front::Probably(size) } else { Front::Unknown }
    }

    /// Returns the size of the third step at the front of `read`, if there is one. Rules in order: a size
    /// that third steps have, with a text behind it; the bytes up to the next text; all bytes.
    pub fn third_step_size(&self, read: &[u8]) -> usize {
        if self.is_next_integer(read) {
            return size_of::<u32>();
        }
        if [self.name_size, self.ack.len()].contains(&read.len()) {
            return read.len();
        }
        let text = text_of(read).len();
        let begins_text = |at: usize| at == read.len() || is_printable(text_of(&read[at..]));
        let sizes = [self.name_size, self.ack.len(), text + 1];
        let fits = |size: &usize| (1..=read.len()).contains(size) && begins_text(*size);
        // A buffer's former contents may stand between the text's NUL and the NUL at the end.
        let padded = sizes.into_iter().filter(fits).find(|size| *size > text && read[*size - 1] == 0);
        let words = [HOLA.len(), text_of(&self.ack).len()].into_iter().filter(|_| self.is_bare);
        let bare = || words.filter(fits).find(|size| self.is_third_step(&read[..*size]));
        let next_text = || {
            let padding = read[text..].iter().take_while(|byte| **byte == 0).count();
            (padding > 0 && text > 0 && begins_text(text + padding)).then_some(text + padding)
        };
        // The record may carry stack contents behind the NUL.
        let unpadded =
            || sizes[..2].iter().copied().filter(fits).find(|size| *size > text && *size < read.len());
        padded.or_else(bare).or_else(unpadded).or_else(next_text).unwrap_or(read.len())
    }

    /// Returns whether `record` can only be a third step: HOLA, the acknowledgement, or its number plus one.
    pub fn is_third_step(&self, record: &[u8]) -> bool {
        let text = without_newline(text_of(record));
        let ack = text_of(&self.ack);
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
        let is_next_number = number(ack).is_some_and(|sent| number(text) == sent.checked_add(1));
        // An integer may read as a text of one or two bytes, and a message may be that text.
        let is_text = ack.len() + 1 == self.ack.len() || self.ack.len() > size_of::<u32>();
        let is_ack = record == self.ack || is_text && !ack.is_empty() && text == ack;
        let is_next_integer = record.len() == size_of::<u32>() && self.is_next_integer(record);
        text == HOLA || is_ack || is_next_number || is_next_integer
    }

    /// Returns whether `read` begins with the acknowledgement's first 4 bytes, plus one as an integer.
    fn is_next_integer(&self, read: &[u8]) -> bool {
        let integer = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        integer(&self.ack).is_some_and(|sent| integer(read) == sent.checked_add(1))
    }

    /// Returns whether the client took the first 4 bytes of a text acknowledgement for a number.
    pub fn took_text_for_integer(&self, read: &[u8]) -> bool {
        self.ack.len() > size_of::<u32>() && self.is_next_integer(read)
    }
}

/// Returns whether a person may have typed this text. Stack contents behind a NUL seldom pass this test.
fn is_printable(text: &[u8]) -> bool {
    let is_character = |c: char| !c.is_control() || c == '\n' || c == '\t';
    !text.is_empty() && std::str::from_utf8(text).is_ok_and(|text| text.chars().all(is_character))
}

/// The size of a client's messages, learnt from the last one that came alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text and NUL.
    TextAndNul,
    /// Records of this size.
    Size(usize),
    /// Text without a NUL. Two of them cannot be told apart.
    Text,
}

impl Shape {
    /// Returns the shape of a message that came alone.
    pub fn of(message: &[u8]) -> Self {
        match text_of(message).len() {
            text if text == message.len() => Self::Text,
            text if text + 1 == message.len() => Self::TextAndNul,
            _ => Self::Size(message.len()),
        }
    }

    /// Returns whether `read` consists of messages of this shape.
    pub fn divides(self, read: &[u8]) -> bool {
        let is_message = |piece: &[u8]| match self {
            Self::TextAndNul => piece.len() > 1 && piece.ends_with(&[0]),
            Self::Size(size) => piece.len() == size && piece[0] != 0,
            Self::Text => true,
        };
        let mut rest = read;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(self.first(rest));
            if !is_message(piece) {
                return false;
            }
            rest = behind;
        }
        true
    }

    /// Returns the size of the first message in `read`.
    pub fn first(self, read: &[u8]) -> usize {
        let size = match self {
            Self::TextAndNul => text_of(read).len() + 1,
            Self::Size(size) => size,
            Self::Text => read.len(),
        };
        size.min(read.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::course::padded;

    fn known(name_size: usize, ack: &[u8]) -> Known {
        Known { name_size, is_bare: false, ack: ack.to_vec() }
    }

    fn pieces(shape: Shape, read: &[u8]) -> Vec<&[u8]> {
        if !shape.divides(read) {
            return vec![read];
        }
        let mut rest = read;
        let next = || {
            let (piece, behind) = rest.split_at(shape.first(rest));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        };
        std::iter::from_fn(next).collect()
    }

    /// The kinds of clients in docs/course-dialect.md: what is known of the client, its third step, its
    /// message.
    fn kinds() -> Vec<(Known, Vec<u8>, Vec<u8>)> {
        let message = |size| padded(b"hello", size);
        vec![
            (known(10, b"HOLA\0"), padded(b"HOLA", 10), message(1000)),
            (known(10, b"HOLA\0"), b"HOLA\0".to_vec(), message(1000)),
            (known(10, b"HOLA\0"), padded(b"4711", 10), message(1000)),
            (known(5, b"HOLA\0"), padded(b"HOLA", 10), b"hello\0".to_vec()),
            (known(5, b"HOLA\0"), b"HOLA\0".to_vec(), b"hello\0".to_vec()),
            (Known { is_bare: true, ..known(6, b"HOLA\0") }, b"HOLA".to_vec(), b"hello".to_vec()),
            (known(10, b"HOLA\0"), b"HOLA\0\x07\xff\x01ab".to_vec(), message(200)),
            (known(10, b"HOLA\0"), b"HOLA\x006\0\0\0\0".to_vec(), message(1000)),
            (known(10, b"HOLA\0"), padded(b"ready", 1000), message(1000)),
            (known(10, b"HOLA\0"), b"IOLA".to_vec(), message(1000)),
            (known(10, b"77\0"), padded(b"78", 10), message(100)),
            (known(10, b"77\0"), b"78\0".to_vec(), message(100)),
            (known(4, &77_u32.to_ne_bytes()), 78_u32.to_ne_bytes().to_vec(), message(200)),
            (known(100, b"HOLA\0"), padded(b"HOLA", 100), message(100)),
        ]
    }

    #[test]
    fn a_third_step_and_a_message_in_one_read_are_divided() {
        for (known, third_step, message) in kinds() {
            let read = [&third_step[..], &message].concat();
            let front = known.front(&read);
            let is_right =
                matches!(front, Front::ThirdStep(size) | Front::Probably(size) if size == third_step.len());
            assert!(is_right, "{known:?} {third_step:?}: {front:?}");
            assert_eq!(known.third_step_size(&read), third_step.len(), "with --handshake 3");
        }
    }

    #[test]
    fn a_third_step_alone_is_recognised_by_its_text_or_its_size() {
        for (known, third_step, message) in kinds() {
            let front = known.front(&third_step);
            let is_whole =
                matches!(front, Front::ThirdStep(size) | Front::Probably(size) if size == third_step.len());
            assert!(is_whole || third_step.len() == 1000, "{known:?} {third_step:?}: {front:?}");
            if message.len() == 1000 {
                assert_eq!(known.front(&message), Front::Unknown, "{known:?}");
            }
        }
    }

    #[test]
    fn messages_in_one_read_are_divided_as_they_were_written() {
        for (first, read, split) in [
            (&b"hello\0"[..], &b"a\0bc\0"[..], &[&b"a\0"[..], b"bc\0"][..]),
            (b"hello\0", b"a\0bc", &[b"a\0bc"]),
            (b"hello\0", b"a\0\0\0", &[b"a\0\0\0"]),
            (b"hello", b"ab", &[b"ab"]),
            (b"ab\0\0", b"cd\0\0e\0\0\0", &[b"cd\0\0", b"e\0\0\0"]),
            (b"ab\0\0", b"cdefghij", &[b"cdef", b"ghij"]),
            (b"ab\0\0", b"cd\0\0\0\0\0\0", &[b"cd\0\0\0\0\0\0"]),
            (b"ab\0\0", b"cd\0\0ef", &[b"cd\0\0ef"]),
        ] {
            assert_eq!(pieces(Shape::of(first), read), split);
        }
    }

    proptest! {
        /// The pieces put together are the read again.
        #[test]
        fn the_pieces_of_any_read_are_the_read(
            read in vec(prop_oneof![Just(0), Just(b'H'), any::<u8>()], 1..300),
            first in vec(prop_oneof![Just(0), any::<u8>()], 1..20),
            name_size in 0_usize..200,
            is_bare in any::<bool>(),
            ack in vec(any::<u8>(), 0..12),
        ) {
            prop_assert_eq!(pieces(Shape::of(&first), &read).concat(), &read[..]);
            let known = Known { name_size, is_bare, ack };
            if let Front::ThirdStep(size) | Front::Probably(size) = known.front(&read) {
                prop_assert!((1..=read.len()).contains(&size), "{}", size);
            }
        }
    }
}
