//! The course dialect: what the course's own programs speak, unchanged (docs/course-dialect.md).
//!
//! A name as text, an acknowledgement, for some a third step, then raw messages: no header, no length, no number. What
//! keeps them apart is that each side does one write for a record, and one read.
//!
//! Reading order: this; `names`, who is meant by the bytes in a well-known pipe; [`server`]; `latecomers`, who lost the race
//! for that pipe.

pub(crate) mod latecomers;
pub(crate) mod names;
pub mod server;

use std::fmt;
use std::str::FromStr;

/// The most that one read of a record takes: a pipe's usual capacity, less what the headers take that its bytes get
/// on their way through a server.
pub const RECORD_MAX: usize = 16 * crate::wire::PAYLOAD_MAX;

/// The acknowledgement, and the third step, of most.
pub const HOLA: &[u8] = b"HOLA";

/// The acknowledgement of the original.
pub const ITS_A_ME: &[u8] = b"its-a-me, mario!";

/// How large each record of the original is.
pub const ORIGINAL_SIZE: usize = 100;

/// How many steps the handshake has: whether the client confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ways {
    /// Name and acknowledgement, as in the original.
    Two,
    /// Name, acknowledgement, and the client's confirmation.
    Three,
    /// Found out.
    #[default]
    Auto,
}

impl FromStr for Ways {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "2" => Ok(Self::Two),
            "3" => Ok(Self::Three),
            "auto" => Ok(Self::Auto),
            _ => Err("one of 2, 3, auto"),
        }
    }
}

impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Two => "2",
            Self::Three => "3",
            Self::Auto => "auto",
        })
    }
}

/// The text of a record: its bytes up to the first NUL, or all.
pub fn text_of(record: &[u8]) -> &[u8] {
    record.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// `text` in a record of `size` bytes, zero-padded, or as much of it as fits.
pub fn padded(text: &[u8], size: usize) -> Vec<u8> {
    let mut record = text[..text.len().min(size)].to_vec();
    record.resize(size, 0);
    record
}

/// Without the newline that a line of a terminal ends in.
pub fn without_newline(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}
