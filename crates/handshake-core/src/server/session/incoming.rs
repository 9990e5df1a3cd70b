//! Puts a request together from its frames.

use crate::stream::reserve_within;
use crate::wire::{Frame, Header};

/// Memory that must remain after a message has got its room. Otherwise a smaller allocation could fail, which
/// would end the process.
const HEADROOM: usize = 1 << 18;

/// The request that is being received, or the next one.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The number of the request.
    due: u32,
    /// The number of its next part.
    part_due: u16,
    /// Frames of requests that are not answered yet.
    frames: usize,
    /// Bytes so far, if the request is being skipped: it is too long, or there is no memory for it.
    skipped: Option<usize>,
}

/// What a frame was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// One part of a request; more will come.
    Part,
    /// The last part. The message is complete.
    Last,
    /// The last part of a request of this many bytes that was skipped.
    LastOf(usize),
    /// Not the part that was due. The text describes both.
    NotDue(String),
}

/// What a complete message of the wire was.
pub(super) enum Taken {
    /// A request.
    Request,
    /// The awaited confirmation. Unless it came alone, requests follow.
    Confirmation { alone: bool },
    /// Nothing to answer.
    Nothing,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { due: 1, part_due: 0, frames: 0, skipped: None }
    }
}

impl Incoming {
    /// Adds the payload of a REQUEST to `message`, which gets no longer than `longest`.
    pub(super) fn add(&mut self, frame: &Frame<'_>, message: &mut Vec<u8>, longest: usize) -> Added {
        let Header { part, sequence, .. } = frame.header;
        if part.number != self.part_due || sequence != self.due {
            return Added::NotDue(self.describe_not_due(sequence, part.number));
        }
        self.frames += 1;
        self.part_due = part.next();
        let so_far = self.skipped.unwrap_or(message.len()) + frame.payload_len();
        if self.skipped.is_none() && so_far <= longest && has_room(message, frame.payload_len(), longest) {
            frame.append_payload_to(message);
        } else {
            self.skipped = Some(so_far);
            *message = Vec::new();
        }
        if part.more {
            return Added::Part;
        }
        self.due = sequence.wrapping_add(1);
        self.skipped.take().map_or(Added::Last, Added::LastOf)
    }

    /// Returns how many frames came since the last call.
    pub(super) fn take_frames(&mut self) -> usize {
        std::mem::take(&mut self.frames)
    }

    fn describe_not_due(&self, sequence: u32, part: u16) -> String {
        let Self { due, part_due, .. } = self;
        if (part, *part_due) == (0, 0) {
            return format!("request {sequence} came where {due} was due");
        }
        format!(
            "part {part} of request {sequence} came where part {part_due} of request {due} was due: a frame \
             was lost"
        )
    }
}

/// Makes room for `more` bytes. Returns false if there is no memory for it.
fn has_room(message: &mut Vec<u8>, more: usize, longest: usize) -> bool {
    let grows = message.capacity() - message.len() < more;
    reserve_within(message, more, longest) && (!grows || Vec::<u8>::new().try_reserve_exact(HEADROOM).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Front, Kind, Part, append, front};

    /// Adds frames of one byte each, given by request, part and whether more parts follow.
    fn added(incoming: &mut Incoming, longest: usize, frames: &[(u32, u16, bool)]) -> (Vec<Added>, Vec<u8>) {
        let mut message = Vec::new();
        let add = |&(sequence, number, more): &(u32, u16, bool)| {
            let mut bytes = Vec::new();
            let part = Part { number, more };
            append(&mut bytes, Header { kind: Kind::Request, part, session: 1, sequence }, b"x");
            let Front::Frame(frame) = front(&bytes) else { panic!("a valid frame") };
            incoming.add(&frame, &mut message, longest)
        };
        (frames.iter().map(add).collect(), message)
    }

    #[test]
    fn parts_make_a_message() {
        let mut incoming = Incoming::default();
        let parts = [(1, 0, true), (1, 1, true), (1, 2, false)];
        let expected = (vec![Added::Part, Added::Part, Added::Last], b"xxx".to_vec());
        assert_eq!(added(&mut incoming, 3, &parts), expected);
        assert_eq!((incoming.take_frames(), incoming.take_frames()), (3, 0));
        assert_eq!(added(&mut incoming, 3, &[(2, 0, false)]), (vec![Added::Last], b"x".to_vec()));
    }

    #[test]
    fn a_message_that_is_too_long_is_counted_and_not_kept() {
        let parts = [(1, 0, true), (1, 1, true), (1, 2, false)];
        let (added, message) = added(&mut Incoming::default(), 2, &parts);
        assert_eq!(added, [Added::Part, Added::Part, Added::LastOf(3)]);
        assert!(message.is_empty());
    }

    #[test]
    fn another_request_or_part_is_not_due() {
        let not_due = |frames: &[(u32, u16, bool)]| match added(&mut Incoming::default(), 9, frames).0.pop() {
            Some(Added::NotDue(what)) => what,
            other => panic!("{frames:?}: {other:?}"),
        };
        assert_eq!(not_due(&[(2, 0, false)]), "request 2 came where 1 was due");
        let lost = "part 2 of request 1 came where part 1 of request 1 was due: a frame was lost";
        assert_eq!(not_due(&[(1, 0, true), (1, 2, false)]), lost);
        let other = "part 0 of request 2 came where part 1 of request 1 was due: a frame was lost";
        assert_eq!(not_due(&[(1, 0, true), (2, 0, false)]), other);
    }
}
