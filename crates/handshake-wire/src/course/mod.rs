//! The course dialect, which the programs of the course's students speak (docs/course-dialect.md). The client
//! writes its private pipe's name as text, and the server acknowledges it. Some clients write a third step.
//! Texts follow in both directions.
//!
//! Nothing marks the end of a record. Each record is one write, and each side reads it with one read. Two
//! records in the pipe at once come in one read; [`split`] divides them as well as the bytes allow.
//! [`third_step`] makes the client's confirmation of an acknowledgement.

pub mod split;
mod third_step;

pub use third_step::third_step;

/// The most that one read of a record takes: a pipe's usual capacity.
pub const RECORD_MAX: usize = 65_536;

/// The acknowledgement and the third step of most programs.
pub const HOLA: &[u8] = b"HOLA";

/// The acknowledgement of the original. Its clients send no third step.
pub const ITS_A_ME: &[u8] = b"its-a-me, mario!";

/// The size of each record of the original.
pub const ORIGINAL_SIZE: usize = 100;

/// How many steps the handshake has: whether the client confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeSteps {
    /// Name and acknowledgement, as in the original.
    Two,
    /// Name, acknowledgement, and the client's confirmation.
    Three,
    /// Derived from what the peer sends.
    #[default]
    Auto,
}

/// Returns the text of a record: its bytes up to the first NUL, or all of them.
pub fn text_of(record: &[u8]) -> &[u8] {
    record.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Returns `text` in a record of `size` bytes, padded with zeros, or cut to that size.
pub fn padded(text: &[u8], size: usize) -> Vec<u8> {
    let mut record = text[..text.len().min(size)].to_vec();
    record.resize(size, 0);
    record
}

/// Returns `text` without the newline at its end, if it has one.
pub fn without_newline(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_ends_at_the_first_nul_or_where_the_record_does() {
        for (record, text) in [
            (&b""[..], &b""[..]),
            (b"\0", b""),
            (b"HOLA", b"HOLA"),
            (b"HOLA\0", b"HOLA"),
            (b"4711\0garbage of the stack", b"4711"),
        ] {
            assert_eq!(text_of(record), text);
        }
    }

    proptest! {
        #[test]
        fn a_padded_record_has_its_size_and_the_text_that_fits(
            text in vec(1..=u8::MAX, 0..200),
            size in 0_usize..300,
        ) {
            let record = padded(&text, size);
            prop_assert_eq!(record.len(), size);
            prop_assert_eq!(text_of(&record), &text[..text.len().min(size)]);
            prop_assert!(record.iter().skip(text.len()).all(|byte| *byte == 0));
        }

        #[test]
        fn bytes_after_a_nul_are_not_text(text in vec(1..=u8::MAX, 0..50), rest in vec(any::<u8>(), 0..50)) {
            let record = [&text[..], &[0], &rest[..]].concat();
            prop_assert_eq!(text_of(&record), &text);
        }
    }
}
