//! Skipped bytes: bytes in a client's pipe outside all frames. They may be foreign: other clients' names.

use crate::event::{Event, What};
use crate::io::Filled;
use crate::process::Process;
use crate::stream::{FrameReader, READS_MAX};

/// Logs how many bytes a reader skipped, if any, and passes on what other clients may have written.
pub fn note_skipped(reader: &mut FrameReader, session: Option<u64>, process: &Process) {
    let skipped = reader.take_skipped();
    if skipped > 0 {
        let bytes = usize::try_from(skipped).unwrap_or(usize::MAX);
        process.log(What::Skipped, |event| session.into_iter().fold(event, Event::session).bytes(bytes));
    }
    if skipped > 0 || reader.has_cut() {
        reader.pass_on_strays();
    }
}

/// Empties a pipe before it is closed, and passes on what other clients have written.
pub fn drain(reader: &mut FrameReader, session: u64, process: &Process) {
    let mut reads = 0;
    reader.begin_batch();
    while reads < READS_MAX && matches!(reader.fill(), Ok(Filled::Bytes(_))) {
        reads += 1;
        while reader.next_frame().is_some() {}
        note_skipped(reader, Some(session), process);
    }
}
