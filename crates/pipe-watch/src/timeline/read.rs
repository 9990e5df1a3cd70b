//! Reads a file of events: a header, then a line for each event.

use std::fmt;
use std::io::{self, BufRead};

use crate::event::{Event, Header};

/// The longest line that is read, in bytes.
const LINE: u64 = 1 << 20;

/// Why a file of events cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    Io(io::Error),
    /// The first line is no header.
    NoHeader(String),
    /// A later version wrote the file.
    Later(u32),
    /// This line is no event.
    NoEvent(usize, String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NoHeader(why) => write!(f, "line 1 is no header of a trace: {why}"),
            Self::Later(version) => {
                let ours = Header::VERSION;
                write!(f, "line 1: it has version {version}, and this program knows versions up to {ours}")
            }
            Self::NoEvent(line, why) => write!(f, "line {line} is no event: {why}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads events, in the order of the file.
///
/// # Errors
/// [`ReadError`]. A last line without its newline is an event that was not written to its end: it is left
/// out.
pub fn read_events(mut file: impl BufRead) -> Result<(Header, Vec<Event>), ReadError> {
    let (mut header, mut events, mut line) = (None, Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        let read = io::Read::take(&mut file, LINE).read_until(b'\n', &mut line).map_err(ReadError::Io)?;
        let is_whole = line.pop_if(|last| *last == b'\n').is_some();
        if read == 0 || (!is_whole && (read as u64) < LINE && header.is_some()) {
            break;
        }
        if header.is_none() {
            header = Some(header_of(&line)?);
        } else if !line.is_empty() {
            let event = serde_json::from_slice(&line);
            events.push(event.map_err(|error| ReadError::NoEvent(number, error.to_string()))?);
        }
    }
    Ok((header.ok_or_else(|| ReadError::NoHeader("the file is empty".to_owned()))?, events))
}

fn header_of(line: &[u8]) -> Result<Header, ReadError> {
    let header: Header =
        serde_json::from_slice(line).map_err(|error| ReadError::NoHeader(error.to_string()))?;
    match header {
        _ if header.format != Header::FORMAT => {
            Err(ReadError::NoHeader(format!("its format is {:?}, not {:?}", header.format, Header::FORMAT)))
        }
        _ if header.version > Header::VERSION => Err(ReadError::Later(header.version)),
        _ => Ok(header),
    }
}
