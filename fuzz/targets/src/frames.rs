//! The frame decoder on a real pipe, compared with the simplest decoder.

use std::rc::Rc;

use handshake_core::io::Filled;
use handshake_core::stream::{FrameReader, Framing, READ_SIZE};
use handshake_core::wire::{FRAME_MAX, Front, Header, MAGIC, Part, front};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::script::{Script, magics, payload};
use crate::setup::put;

/// Runs a script. First letter: `w` for a pipe on which all writes are whole frames, else pieces of any size.
/// Commands:
///
/// - `b` length, bytes: these bytes
/// - `r` kind, flags, session, length: a frame
/// - `M` kind, flags, session, length: a frame whose payload is full of magics
/// - `d` how, where: damages the next frame
/// - `c` length: cuts the next write there
/// - `f`: the reader reads and takes all frames
/// - `l`: the reader gives its buffer back and borrows it again
pub fn frames(data: &[u8]) {
    let mut script = Script::new(data);
    let framing = if script.letter() == Some(b'w') { Framing::Atomic } else { Framing::Stream };
    Run::new(framing).run(&mut script);
}

struct Run {
    framing: Framing,
    reader: FrameReader,
    to_reader: std::os::fd::OwnedFd,
    /// Bytes in the pipe.
    in_pipe: usize,
    /// All bytes that were written and are not checked yet.
    written: Vec<u8>,
    found: Vec<(Header, Vec<u8>)>,
    skipped: u64,
    /// Where the next write is cut.
    cut: Option<usize>,
    lent: Box<[u8]>,
}

impl Run {
    fn new(framing: Framing) -> Self {
        let (from, to_reader) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
        let reader = FrameReader::without_buffer(Rc::new(from), framing);
        let lent = handshake_core::stream::new_buffer();
        let (written, found) = (Vec::new(), Vec::new());
        Self { framing, reader, to_reader, in_pipe: 0, written, found, skipped: 0, cut: None, lent }
    }

    fn run(mut self, script: &mut Script) {
        self.reader.borrow(&mut self.lent);
        while let Some(letter) = script.letter() {
            match letter {
                b'b' => {
                    let bytes = script.raw();
                    self.write(&bytes);
                }
                b'r' | b'M' => {
                    let kind = script.kind();
                    let part = Part { number: 0, more: script.number() % 2 == 1 };
                    let session = script.number() as u64;
                    let length = script.length();
                    let header = Header { kind, part, session, sequence: 1 };
                    let payload = if letter == b'M' { magics(length) } else { payload(length) };
                    let (frame, _) = script.frame(header, &payload);
                    self.write(&frame);
                }
                b'd' => script.damage(),
                b'c' => self.cut = Some(script.length()),
                b'f' => self.read(),
                b'l' => {
                    self.reader.give_back(&mut self.lent);
                    assert_eq!(self.lent.len(), READ_SIZE, "the buffer comes back whole");
                    self.reader.borrow(&mut self.lent);
                }
                _ => {}
            }
        }
        self.read();
        self.judge(true);
    }

    /// Writes once, or twice with a read between. Never more than the pipe takes.
    fn write(&mut self, bytes: &[u8]) {
        let cut = self.cut.take().map_or(0, |cut| cut.min(bytes.len()));
        for (number, part) in [&bytes[..cut], &bytes[cut..]].into_iter().enumerate() {
            for part in part.chunks(FRAME_MAX).filter(|part| !part.is_empty()) {
                // A pipe of sixteen pages takes sixteen writes of any size.
                if self.in_pipe + FRAME_MAX > 8 * FRAME_MAX || !put(&self.to_reader, part) {
                    self.read();
                    assert!(put(&self.to_reader, part), "an empty pipe takes a frame");
                }
                self.in_pipe += FRAME_MAX;
                self.written.extend_from_slice(part);
            }
            if number == 0 && cut > 0 {
                self.read();
            }
        }
    }

    /// Reads until the pipe is empty, and takes the frames.
    fn read(&mut self) {
        loop {
            let filled = self.reader.fill().expect("the pipe can be read");
            while let Some((frame, span)) = self.reader.next_frame() {
                assert_eq!(span.len(), frame.len(), "a frame's place is its length");
                self.found.push((frame.header, frame.payload().into_owned()));
            }
            assert!(self.reader.has_room(), "what is left is less than a frame");
            match filled {
                Filled::Bytes(_) => {}
                Filled::Nothing => break,
                Filled::End => panic!("the pipe has a writer"),
            }
        }
        self.in_pipe = 0;
        self.skipped += self.reader.take_skipped();
        if self.framing == Framing::Atomic {
            self.judge(false);
        }
    }

    /// Compares the results with those of a decoder that advances byte by byte.
    fn judge(&mut self, at_end: bool) {
        let (mut at, mut expected, mut skipped) = (0, Vec::new(), 0);
        while at < self.written.len() {
            if self.written[at] != MAGIC[0] {
                // `front` would skip this byte as well, but it would search for the next magic each time.
                (at, skipped) = (at + 1, skipped + 1);
                continue;
            }
            match front(&self.written[at..]) {
                Front::Frame(frame) => {
                    at += frame.len();
                    expected.push((frame.header, frame.payload().into_owned()));
                }
                Front::Beginning if self.framing == Framing::Stream => break,
                Front::Garbage(_) | Front::Beginning => {
                    at += 1;
                    skipped += 1;
                }
            }
        }
        assert!(self.found == expected, "{} frames, not {}", self.found.len(), expected.len());
        assert_eq!(self.skipped, skipped, "each byte is taken, kept or skipped");
        if !at_end {
            self.written.clear();
            self.found.clear();
            self.skipped = 0;
        }
    }
}
