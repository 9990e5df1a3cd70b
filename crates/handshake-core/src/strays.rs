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
    reader.begin_batch();
    for _ in 0..READS_MAX {
        let filled = reader.fill();
        while reader.next_frame().is_some() {}
        // Also after a read that finds nothing: the read before it may have kept bytes back.
        note_skipped(reader, Some(session), process);
        if !matches!(filled, Ok(Filled::Bytes(_))) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::fd::OwnedFd;
    use std::rc::Rc;

    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    use super::*;
    use crate::event::Role;
    use crate::stream::{Foreign, Framing, READ_SIZE, new_buffer};
    use crate::wire::{Header, Kind, OVERHEAD, PAYLOAD_MAX, Part, append};

    #[derive(Debug, Default)]
    struct Received(RefCell<Vec<Vec<u8>>>);

    impl Foreign for Received {
        fn begin_batch(&self) {}

        fn joins_cut_bytes(&self) -> bool {
            true
        }

        fn receive(&self, pieces: &[Vec<u8>]) {
            self.0.borrow_mut().extend_from_slice(pieces);
        }
    }

    /// Returns a reader made by `new`, what it passes on, and the pipe's writing end with `bytes` written.
    fn reader_of(
        bytes: &[u8],
        new: fn(Rc<OwnedFd>, Framing) -> FrameReader,
    ) -> (FrameReader, Rc<Received>, OwnedFd) {
        let (from, to) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
        assert_eq!(write(&to, bytes), Ok(bytes.len()), "it is empty");
        let received = Rc::new(Received::default());
        (new(Rc::new(from), Framing::Atomic).with_foreign(received.clone()), received, to)
    }

    fn quiet_process() -> Process {
        Process::quiet(Role::Server).expect("signals can be handled")
    }

    fn read_and_note(reader: &mut FrameReader, process: &Process) -> Filled {
        let filled = reader.fill().expect("it is a pipe");
        while reader.next_frame().is_some() {}
        note_skipped(reader, None, process);
        filled
    }

    #[test]
    fn a_name_at_the_end_of_a_full_read_is_passed_on_before_the_pipe_is_closed() {
        // A course client may write its name in a record of any size.
        let name = [b'7'; 512];
        let (mut reader, received, _to) = reader_of(&name, FrameReader::new);
        drain(&mut reader, 7, &quiet_process());
        assert_eq!(*received.0.borrow(), [name]);
    }

    #[test]
    fn a_name_that_two_reads_cut_is_passed_on_once() {
        let name = [b'7'; 600];
        let (process, (mut reader, received, _to)) = (quiet_process(), reader_of(&name, FrameReader::new));
        assert_eq!(read_and_note(&mut reader, &process), Filled::Bytes(512));
        assert!(received.0.borrow().is_empty(), "it may continue");
        assert_eq!(read_and_note(&mut reader, &process), Filled::Bytes(88));
        assert_eq!(read_and_note(&mut reader, &process), Filled::Nothing);
        assert_eq!(*received.0.borrow(), [name]);
    }

    #[test]
    fn a_name_at_the_end_of_a_full_lent_buffer_is_not_lost_with_the_buffer() {
        let mut bytes = Vec::new();
        let header = Header { kind: Kind::Request, part: Part::ONLY, session: 7, sequence: 0 };
        let name = b"4711";
        while bytes.len() + name.len() < READ_SIZE {
            let left = READ_SIZE - name.len() - bytes.len() - OVERHEAD;
            append(&mut bytes, header, &vec![b'x'; left.min(PAYLOAD_MAX)]);
        }
        bytes.extend_from_slice(name);
        let (process, (mut reader, received, _to)) =
            (quiet_process(), reader_of(&bytes, FrameReader::without_buffer));
        let mut lent = new_buffer();
        for filled in [Filled::Bytes(READ_SIZE), Filled::Nothing] {
            reader.borrow(&mut lent);
            assert_eq!(read_and_note(&mut reader, &process), filled);
            reader.give_back(&mut lent);
        }
        assert_eq!(*received.0.borrow(), [name.to_vec()]);
    }
}
