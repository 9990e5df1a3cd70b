//! Frames through real pipes: in whole frames or in pieces, depending on the framing, and none is ever lost.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::io::Filled;
use handshake_core::stream::{FrameReader, FrameWriter, Framing, READ_SIZE, READS_MAX, WRITE_SIZE};
use handshake_core::wire::{FRAME_MAX, Header, Kind, OVERHEAD, PAYLOAD_MAX, Part, Scanner};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{encoded, frames};

/// Makes the smallest possible pipe, non-blocking: its reading and its writing end. With `O_DIRECT` it keeps
/// writes apart, so that each read returns one write, or a page of it (pipe(2)).
fn small_pipe(flags: OFlag) -> (OwnedFd, OwnedFd) {
    let (from, to) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | flags).expect("a pipe");
    fcntl(&to, FcntlArg::F_SETPIPE_SZ(FRAME_MAX.try_into().unwrap())).expect("a pipe may be small");
    (from, to)
}

/// Reads once, at most `most` bytes. `None`: nothing now.
fn read_once(from: impl AsFd, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; most];
    match read(from, &mut bytes) {
        Ok(count) => Some(bytes[..count].to_vec()),
        Err(Errno::EAGAIN) => None,
        Err(errno) => panic!("cannot read: {errno}"),
    }
}

/// Returns the frames in these bytes, if the bytes contain nothing else.
fn whole_frames(bytes: &[u8]) -> Option<Vec<(Header, Vec<u8>)>> {
    let (mut scanner, mut found) = (Scanner::default(), Vec::new());
    while let Some((frame, _)) = scanner.next_frame(bytes, false) {
        found.push((frame.header, frame.payload().into_owned()));
    }
    (scanner.at == bytes.len() && scanner.skipped == 0).then_some(found)
}

/// Takes all frames that the reader has buffered.
fn taken(reader: &mut FrameReader) -> Vec<(Header, Vec<u8>)> {
    std::iter::from_fn(|| reader.next_frame().map(|(frame, _)| (frame.header, frame.payload().into_owned())))
        .collect()
}

/// Reads until the pipe is empty. Returns how many bytes that were. A full reader grows first.
fn filled(reader: &mut FrameReader) -> usize {
    std::iter::from_fn(|| match reader.fill() {
        Ok(Filled::Bytes(count)) => Some(count),
        other => {
            assert_eq!(other, Ok(Filled::Nothing));
            None
        }
    })
    .sum()
}

const BYE: Header = Header { kind: Kind::Bye, part: Part::ONLY, session: 7, sequence: 0 };

proptest! {
    // Each case is a conversation.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn with_several_writers_each_write_is_whole_frames(
        sent in vec((frames(), any::<bool>(), 0..3_usize), 1..60),
    ) {
        let (from, to) = small_pipe(OFlag::O_DIRECT);
        let mut writer = FrameWriter::new(to, Framing::Atomic);
        let (mut pushed, mut come) = (Vec::new(), Vec::new());
        let receive = |come: &mut Vec<_>| {
            // Never more than a page and never a part of a frame: the reader gets each write as it was made.
            let packet = read_once(&from, READ_SIZE)?;
            come.extend(whole_frames(&packet).expect("a write of whole frames"));
            Some(())
        };
        for ((header, payload), flush, reads) in sent {
            writer.push(header, &payload);
            pushed.push((header, payload));
            if flush {
                writer.flush().expect("the pipe has a reader");
            }
            for _ in 0..reads {
                receive(&mut come);
            }
        }
        while !writer.is_empty() {
            writer.flush().expect("the pipe has a reader");
            while receive(&mut come).is_some() {}
        }
        while receive(&mut come).is_some() {}
        prop_assert_eq!(come, pushed, "in order, each once");
    }

    #[test]
    fn with_one_writer_pieces_have_any_size(
        sent in vec((frames(), any::<bool>(), 1..9000_usize), 1..60),
    ) {
        let (from, to) = small_pipe(OFlag::empty());
        let (again, towards) = small_pipe(OFlag::empty());
        let mut writer = FrameWriter::new(to, Framing::Stream);
        let mut reader = FrameReader::new(Rc::new(again), Framing::Stream);
        let (mut pushed, mut come) = (Vec::new(), Vec::new());
        // Carries bytes from one pipe to the other, in pieces of at most this size.
        let mut carry = |most| {
            let piece = read_once(&from, most);
            for part in piece.iter().flat_map(|piece| piece.chunks(FRAME_MAX)) {
                write(&towards, part).expect("it is empty");
                prop_assert_eq!(filled(&mut reader), part.len());
                come.extend(taken(&mut reader));
            }
            Ok(piece.is_some())
        };
        for ((header, payload), flush, most) in sent {
            writer.push(header, &payload);
            pushed.push((header, payload));
            if flush {
                writer.flush().expect("the pipe has a reader");
            }
            carry(most)?;
        }
        while !writer.is_empty() {
            writer.flush().expect("the pipe has a reader");
            while carry(1000)? {}
        }
        while carry(1000)? {}
        prop_assert_eq!(come, pushed, "in order, each once");
        prop_assert_eq!(reader.take_skipped(), 0);
    }

    #[test]
    fn one_byte_at_a_time_is_enough((header, payload) in frames()) {
        let (from, to) = small_pipe(OFlag::empty());
        let mut reader = FrameReader::new(Rc::new(from), Framing::Stream);
        let bytes = encoded(header, &payload);
        for (at, byte) in bytes.iter().enumerate() {
            prop_assert!(reader.next_frame().is_none(), "after {} bytes of {}", at, bytes.len());
            write(&to, &[*byte]).expect("it is empty");
            prop_assert_eq!(reader.fill(), Ok(Filled::Bytes(1)));
        }
        prop_assert_eq!(taken(&mut reader), [(header, payload)]);
        prop_assert_eq!(reader.take_skipped(), 0);
    }

    #[test]
    fn with_several_writers_a_cut_frame_does_not_delay_the_next(
        (cut_off, payload) in frames(),
        at in any::<prop::sample::Index>(),
        (next, after) in frames(),
    ) {
        let (from, to) = small_pipe(OFlag::empty());
        let mut reader = FrameReader::new(Rc::new(from), Framing::Atomic);
        let bytes = encoded(cut_off, &payload);
        let part = &bytes[..at.index(bytes.len())];
        if !part.is_empty() {
            write(&to, part).expect("it is empty");
            prop_assert_eq!(filled(&mut reader), part.len());
            prop_assert!(reader.next_frame().is_none());
        }
        write(&to, &encoded(next, &after)).expect("it is empty");
        prop_assert_eq!(filled(&mut reader), OVERHEAD + after.len());
        prop_assert_eq!(taken(&mut reader), [(next, after)]);
        prop_assert_eq!(reader.take_skipped(), part.len() as u64);
        prop_assert_eq!(reader.take_skipped(), 0, "counted once");
    }
}

#[test]
fn a_long_backlog_goes_out_whole_and_in_order() {
    let (from, to) = small_pipe(OFlag::O_DIRECT);
    let mut writer = FrameWriter::new(to, Framing::Atomic);
    for sequence in 0..3 * u32::try_from(WRITE_SIZE / FRAME_MAX).unwrap() {
        writer.push(Header { sequence, ..BYE }, &[b'x'; PAYLOAD_MAX]);
    }
    let mut due = 0;
    while !writer.is_empty() {
        writer.flush().expect("the pipe has a reader");
        while let Some(packet) = read_once(&from, READ_SIZE) {
            let [(header, payload)] = &whole_frames(&packet).expect("a write of whole frames")[..] else {
                panic!("one full frame a write")
            };
            assert_eq!((header.sequence, payload.len()), (due, PAYLOAD_MAX));
            due += 1;
        }
    }
    assert_eq!(due as usize, 3 * WRITE_SIZE / FRAME_MAX);
}

#[test]
fn a_reader_with_a_partial_frame_in_its_buffer_reads_on() {
    let (from, to) = small_pipe(OFlag::empty());
    let mut reader = FrameReader::new(Rc::new(from), Framing::Stream);
    // No piece but the last ends where a frame ends.
    let sent: Vec<_> = (0..400).map(|sequence| (Header { sequence, ..BYE }, vec![b'x'; 999])).collect();
    let stream: Vec<_> = sent.iter().flat_map(|(header, payload)| encoded(*header, payload)).collect();
    let mut come = Vec::new();
    for piece in stream.chunks(FRAME_MAX) {
        write(&to, piece).expect("it is empty");
        assert_eq!(filled(&mut reader), piece.len());
        come.extend(taken(&mut reader));
    }
    assert!(come == sent, "{} of {} frames", come.len(), sent.len());
}

#[test]
fn an_empty_pipe_reads_nothing_and_a_closed_one_eof() {
    let (from, to) = small_pipe(OFlag::empty());
    let mut reader = FrameReader::new(Rc::new(from), Framing::Stream);
    assert_eq!(reader.fill(), Ok(Filled::Nothing));
    drop(to);
    assert_eq!(reader.fill(), Ok(Filled::End));
}

#[test]
fn a_full_reader_reads_nothing_rather_than_eof() {
    let (from, to) = pipe2(OFlag::O_NONBLOCK).expect("a pipe");
    let mut reader = FrameReader::new(Rc::new(from), Framing::Stream);
    let frame = encoded(BYE, &[b'x'; PAYLOAD_MAX]);
    for _ in 0..READ_SIZE / FRAME_MAX {
        assert!(reader.has_room());
        write(&to, &frame).expect("it is empty");
        assert_eq!(filled(&mut reader), FRAME_MAX);
    }
    assert!(!reader.has_room(), "nothing has been taken yet");
    write(&to, &frame).expect("it is empty");
    assert_eq!(reader.fill(), Ok(Filled::Nothing));
    assert_eq!(taken(&mut reader).len(), READ_SIZE / FRAME_MAX);
    assert_eq!(filled(&mut reader), FRAME_MAX, "there is room again");
    assert_eq!(taken(&mut reader).len(), 1);
}

#[test]
fn a_writer_without_a_reader_returns_epipe() {
    let (from, to) = small_pipe(OFlag::empty());
    let mut writer = FrameWriter::new(to, Framing::Stream);
    drop(from);
    writer.push(BYE, b"");
    assert_eq!(writer.flush(), Err(Errno::EPIPE));
    assert!(!writer.is_empty());
    writer.clear();
    assert!(writer.is_empty());
}

#[test]
fn a_writer_that_is_not_read_reports_when_it_is_full() {
    let (from, to) = small_pipe(OFlag::empty());
    let mut writer = FrameWriter::new(to, Framing::Stream);
    let mut pushed = 0;
    while writer.has_room() {
        writer.push(BYE, &[b'x'; PAYLOAD_MAX]);
        writer.flush().expect("the pipe has a reader");
        pushed += FRAME_MAX;
    }
    // The writer may have requested a larger pipe meanwhile.
    let holds = fcntl(&from, FcntlArg::F_GETPIPE_SZ).expect("it is a pipe").cast_unsigned() as usize;
    assert_eq!(pushed, holds + WRITE_SIZE, "a pipe's worth, and what the writer holds");
}

/// Frames of any length, so that each read may leave the beginning of one.
#[test]
fn reads_max_reads_empty_the_largest_pipe() {
    const LARGEST: usize = 1 << 20;
    for payload in [0, 1, 333, PAYLOAD_MAX - 1, PAYLOAD_MAX] {
        let (from, to) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
        fcntl(&to, FcntlArg::F_SETPIPE_SZ(LARGEST.try_into().unwrap())).expect("any user may have one");
        let frame = encoded(BYE, &vec![b'x'; payload]);
        let bytes: Vec<u8> = frame.iter().copied().cycle().take(LARGEST).collect();
        assert_eq!(write(&to, &bytes), Ok(LARGEST));
        let mut reader = FrameReader::new(Rc::new(from), Framing::Stream);
        let mut found = 0;
        for _ in 0..READS_MAX {
            reader.fill().expect("it can be read");
            found += taken(&mut reader).len();
        }
        assert_eq!(found, LARGEST / frame.len(), "frames of {payload} bytes");
        assert_eq!(reader.fill(), Ok(Filled::Nothing));
    }
}
