//! Reads frames from pipes and writes frames to pipes, without ever waiting. All frames go through this
//! module.
//!
//! The pipes are non-blocking, so EINTR cannot happen here. Short reads, short writes and EAGAIN are
//! handled here and nowhere else.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::libc::PIPE_BUF;
use nix::unistd::write;

use crate::io::{Filled, read_once};
use crate::sys::enlarge;
use crate::wire::{FRAME_MAX, Frame, Header, Scanner, Span, Trust, append, append_to_trusting};

/// The most bytes that one read takes: a pipe's usual capacity (pipe(7)).
pub const READ_SIZE: usize = 65_536;
/// A reader's first buffer size: the longest HELLO. Each read that fills the buffer makes it grow, so that a
/// client that sends little costs little memory.
const FIRST_SIZE: usize = 512;
const GROWTH: usize = 4;
/// How many reads empty the largest pipe (1 MiB, /proc/sys/fs/pipe-max-size). The first reads are small. The
/// others may be short by one incomplete frame. The bound protects the server from a process that goes on
/// writing where none should.
pub const READS_MAX: usize = GROWING_READS + (1_usize << 20).div_ceil(READ_SIZE - FRAME_MAX);
/// The reads while the buffer grows from [`FIRST_SIZE`] to [`READ_SIZE`].
const GROWING_READS: usize = 5;
/// A writer with this many unwritten bytes takes no more frames until some are written.
pub const WRITE_SIZE: usize = 65_536;

/// The capacity requested for a pipe when more is to be written than its usual capacity. The two sides then
/// wake each other less often. Four times the usual capacity is still small compared with the messages that
/// need it.
const PIPE_SIZE: i32 = 1 << 18;

/// How many writes in a row may fail for lack of memory for the pipe's pages before that is an error. The
/// pipe is reported as writable meanwhile, so that waiting is not possible.
pub const STARVED_WRITES_MAX: u32 = 16;

/// How frames arrive on a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The pipe has or had the WKP's name: other processes may write to it, but all writes are whole frames.
    Atomic,
    /// One writer, pieces of any size.
    Stream,
    /// One writer, which has completed the handshake with this process, pieces of any size: a session's
    /// private pipe, or an unnamed one.
    Trusted,
    /// No frames; the hook `Translate` turns the bytes into frames.
    Messages,
}

/// Turns the bytes of a pipe without frames into frames: a course client's messages.
pub(crate) trait Translate: fmt::Debug {
    /// Returns the frames for the bytes of one read.
    fn frames_of(&mut self, read: Vec<u8>) -> Vec<u8>;
}

/// Handles what other processes may have written into a client's pipe: names of clients that opened it while
/// it was the well-known pipe.
pub(crate) trait Foreign: fmt::Debug {
    /// Begins a batch of reads, which has one budget.
    fn begin_batch(&self);

    /// Whether foreign bytes at the end of a full read are kept, to be joined with what follows.
    fn joins_cut_bytes(&self) -> bool;

    /// Receives foreign bytes, in the pieces in which they stood between frames.
    fn receive(&self, pieces: &[Vec<u8>]);
}

/// Makes a buffer to lend to [`FrameReader`]s.
pub fn new_buffer() -> Box<[u8]> {
    vec![0; READ_SIZE].into_boxed_slice()
}

/// Makes room for `more` bytes in a message of at most `longest` bytes. Returns false if there is no memory
/// for them.
///
/// The capacity doubles, like that of a `Vec`, but to no more than `longest`. If there is no memory for that,
/// it grows to what is needed.
pub fn reserve_within(message: &mut Vec<u8>, more: usize, longest: usize) -> bool {
    let needed = message.len() + more;
    if needed <= message.capacity() {
        return true;
    }
    let doubled = (2 * message.capacity()).min(longest).max(needed);
    let mut grows_to = |capacity: usize| message.try_reserve_exact(capacity - message.len()).is_ok();
    grows_to(doubled) || grows_to(needed)
}

/// The reading half: a pipe's reading end and the bytes that are not processed yet.
#[derive(Debug)]
pub struct FrameReader {
    /// Shared in the basic server, where pending clients keep the WKP open.
    fd: Rc<OwnedFd>,
    framing: Framing,
    buffer: Box<[u8]>,
    /// The bytes `buffer[scan.at..end]` were read and are not processed yet.
    end: usize,
    scan: Scanner,
    /// Where the foreign bytes are among the bytes read, as far as they were not taken.
    strays: Vec<Span>,
    /// Foreign bytes kept back at the end of the last read, which filled the buffer: they may continue in the
    /// next read.
    cut: Vec<u8>,
    /// Those of the read before the last. They continue where the last read begins with foreign bytes.
    cut_before: Vec<u8>,
    translate: Option<Box<dyn Translate>>,
    foreign: Option<Rc<dyn Foreign>>,
    /// Whether the last read found EOF.
    ended: bool,
    /// Whether the last read left the pipe empty.
    emptied: bool,
    /// Whether the last read filled the buffer. [`FrameReader::new`] sets it, so the first read makes one.
    filled: bool,
}

impl FrameReader {
    /// Makes a reader of `fd`, which must be non-blocking. Its first read makes a buffer.
    pub fn new(fd: Rc<OwnedFd>, framing: Framing) -> Self {
        Self { filled: true, ..Self::without_buffer(fd, framing) }
    }

    /// Makes a reader without a buffer, for a process that reads many pipes in turn and lends each reader one
    /// buffer. A fork copies the memory that a reader owns, or at least its page tables.
    pub fn without_buffer(fd: Rc<OwnedFd>, framing: Framing) -> Self {
        let (buffer, scan, strays) = (Box::default(), Scanner::default(), Vec::new());
        Self {
            fd,
            framing,
            buffer,
            end: 0,
            scan,
            strays,
            cut: Vec::new(),
            cut_before: Vec::new(),
            translate: None,
            foreign: None,
            ended: false,
            emptied: false,
            filled: false,
        }
    }

    /// Sets `translate`, which turns each read into frames.
    #[must_use]
    pub(crate) fn translated(self, translate: Box<dyn Translate>) -> Self {
        Self { framing: Framing::Messages, translate: Some(translate), ..self }
    }

    /// Sets `foreign`, which receives the foreign bytes that other processes write to the pipe.
    #[must_use]
    pub(crate) fn with_foreign(self, foreign: Rc<dyn Foreign>) -> Self {
        Self { foreign: Some(foreign), ..self }
    }

    /// Begins a batch of reads, which have one budget of look-ups.
    pub fn begin_batch(&self) {
        if let Some(foreign) = &self.foreign {
            foreign.begin_batch();
        }
    }

    /// Passes the bytes skipped since the last `fill` to the receiver of foreign bytes.
    pub(crate) fn pass_on_strays(&mut self) {
        let strays = self.take_strays();
        if let Some(foreign) = &self.foreign {
            foreign.receive(&strays);
        }
    }

    /// Takes `lent` (of [`new_buffer`]) to read into.
    pub fn borrow(&mut self, lent: &mut Box<[u8]>) {
        let rest = std::mem::replace(&mut self.buffer, std::mem::take(lent));
        let kept = self.scan.at..self.end;
        self.buffer[..kept.len()].copy_from_slice(&rest[kept.clone()]);
        (self.scan.at, self.end) = (0, kept.len());
    }

    /// Gives the buffer back, and keeps only the beginning of an incomplete frame.
    pub fn give_back(&mut self, lent: &mut Box<[u8]>) {
        let rest = Box::from(&self.buffer[self.scan.at..self.end]);
        (self.scan.at, self.end) = (0, self.end - self.scan.at);
        *lent = std::mem::replace(&mut self.buffer, rest);
    }

    /// Reads once, as much as there is and fits.
    ///
    /// # Errors
    /// Those of read(2) except EAGAIN.
    pub fn fill(&mut self) -> Result<Filled, Errno> {
        if self.translate.is_some() {
            return self.fill_translated();
        }
        self.strays.clear();
        self.cut_before.append(&mut self.cut);
        self.make_room();
        let room = &mut self.buffer[self.end..];
        if room.is_empty() {
            // A read of no bytes returns 0, which would look like EOF.
            return Ok(Filled::Nothing);
        }
        let filled = read_once(&self.fd, room)?;
        self.filled = filled == Filled::Bytes(room.len());
        match filled {
            Filled::End => self.ended = true,
            Filled::Nothing => self.emptied = true,
            Filled::Bytes(count) => {
                self.emptied = !self.filled;
                self.end += count;
            }
        }
        Ok(filled)
    }

    /// Reads once from a pipe without frames: one message.
    fn fill_translated(&mut self) -> Result<Filled, Errno> {
        let Some(translate) = self.translate.as_mut().filter(|_| self.scan.at == self.end) else {
            return Ok(Filled::Nothing);
        };
        let mut message = vec![0; READ_SIZE];
        let filled = read_once(&self.fd, &mut message)?;
        self.ended = filled == Filled::End;
        let Filled::Bytes(count) = filled else { return Ok(filled) };
        message.truncate(count);
        let frames = translate.frames_of(message);
        (self.scan.at, self.end) = (0, frames.len());
        match self.buffer.get_mut(..frames.len()) {
            // A lent buffer stays, because it must be given back.
            Some(room) => room.copy_from_slice(&frames),
            None => self.buffer = frames.into_boxed_slice(),
        }
        Ok(filled)
    }

    /// Returns the next valid frame among the bytes read, and its place in [`FrameReader::bytes`].
    pub fn next_frame(&mut self) -> Option<(Frame<'_>, Span)> {
        let trust = if self.framing == Framing::Trusted { Trust::Writer } else { Trust::Nobody };
        let whole = self.framing == Framing::Atomic && self.emptied;
        let from = self.scan.at;
        let next = self.scan.next_frame_of(&self.buffer[..self.end], whole, trust);
        let to = next.as_ref().map_or(self.scan.at, |(_, place)| place.start);
        if from < to && self.framing == Framing::Atomic {
            self.strays.push(from..to);
        }
        next
    }

    /// Trusts the writer from here on: no other process can find this pipe by its name after the handshake.
    pub(crate) fn trust_writer(&mut self) {
        self.framing = Framing::Trusted;
    }

    /// Returns the bytes to which the places of [`FrameReader::next_frame`] refer. They are valid until the
    /// next `fill`.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Returns the pipe itself, for a caller that must keep it open.
    pub fn pipe(&self) -> &Rc<OwnedFd> {
        &self.fd
    }

    /// Returns whether a `fill` could read anything: there is room without the processed bytes.
    pub fn has_room(&self) -> bool {
        if self.translate.is_some() {
            // One message at a time.
            return self.scan.at == self.end;
        }
        self.end - self.scan.at < self.buffer.len() || self.may_grow()
    }

    /// Returns whether the last read took less than it might: the pipe was then empty.
    pub fn has_emptied(&self) -> bool {
        self.emptied
    }

    /// Returns the bytes skipped since the last call.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.scan.skipped)
    }

    /// Takes the bytes skipped since the last `fill`, in the pieces in which they stood between frames. Other
    /// processes may have written them into a pipe that has or had the WKP's name. Keeps the last piece back
    /// if it may continue in the next read.
    pub(crate) fn take_strays(&mut self) -> Vec<Vec<u8>> {
        let places = std::mem::take(&mut self.strays);
        let mut pieces = Vec::new();
        if self.has_cut() && places.first().is_none_or(|first| first.start > 0) {
            pieces.push(std::mem::take(&mut self.cut_before));
        }
        for place in &places {
            let mut piece = std::mem::take(&mut self.cut_before);
            piece.extend_from_slice(&self.buffer[place.clone()]);
            pieces.push(piece);
        }
        let joins = self.foreign.as_ref().is_some_and(|foreign| foreign.joins_cut_bytes());
        let ends_the_read = self.filled && places.last().is_some_and(|last| last.end == self.end);
        // No name is longer than one write.
        if let Some(cut) = pieces.pop_if(|last| joins && ends_the_read && last.len() <= PIPE_BUF) {
            self.cut = cut;
        }
        pieces
    }

    /// Returns whether the pipe may contain unread bytes from other processes than its client.
    pub fn is_open_to_others(&self) -> bool {
        matches!(self.framing, Framing::Atomic | Framing::Messages) && !self.ended
    }

    /// Returns whether foreign bytes were kept back before the last read.
    pub(crate) fn has_cut(&self) -> bool {
        !self.cut_before.is_empty()
    }

    fn may_grow(&self) -> bool {
        self.filled && self.buffer.len() < READ_SIZE
    }

    fn make_room(&mut self) {
        if self.may_grow() {
            let size = (self.buffer.len() * GROWTH).clamp(FIRST_SIZE, READ_SIZE);
            // Not `vec![0; size]`: calloc(3) of glibc before 2.41 does not reuse the blocks freed last, and a
            // subserver would have more pages of its own.
            let mut larger = std::mem::take(&mut self.buffer).into_vec();
            larger.resize(size, 0);
            self.buffer = larger.into_boxed_slice();
        }
        if self.scan.at == self.end {
            (self.scan.at, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < FRAME_MAX {
            self.buffer.copy_within(self.scan.at..self.end, 0);
            (self.scan.at, self.end) = (0, self.end - self.scan.at);
        }
    }
}

impl AsFd for FrameReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The writing half: a pipe's writing end and the frames that are not written yet.
#[derive(Debug)]
pub struct FrameWriter {
    fd: OwnedFd,
    framing: Framing,
    buffer: Vec<u8>,
    /// The bytes `buffer[..written]` are in the pipe.
    written: usize,
    /// Where writes may end if they must be whole frames of together at most PIPE_BUF. Empty if there is no
    /// such rule.
    cuts: VecDeque<usize>,
    /// Writes in a row that failed because the kernel had no memory.
    starved: u32,
    /// Whether the writer has requested a larger pipe.
    enlarged: bool,
}

impl FrameWriter {
    /// Makes a writer to `fd`, which must be non-blocking.
    pub fn new(fd: OwnedFd, framing: Framing) -> Self {
        Self {
            fd,
            framing,
            buffer: Vec::new(),
            written: 0,
            cuts: VecDeque::new(),
            starved: 0,
            enlarged: false,
        }
    }

    /// Makes room for the frames of a long message, so that the buffer does not grow to twice their size.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        if bytes > WRITE_SIZE {
            self.buffer.reserve_exact(bytes);
        }
    }

    /// Queues a frame for writing.
    pub fn push(&mut self, header: Header, payload: &[u8]) {
        let start = self.buffer.len();
        if self.framing == Framing::Trusted {
            append_to_trusting(&mut self.buffer, header, payload);
        } else {
            append(&mut self.buffer, header, payload);
        }
        if self.framing == Framing::Atomic {
            let end = self.buffer.len();
            let before = self.cuts.iter().nth_back(1).copied().unwrap_or(self.written);
            match self.cuts.back_mut() {
                Some(cut) if *cut == start && end - before <= FRAME_MAX => *cut = end,
                _ => self.cuts.push_back(end),
            }
        }
    }

    /// Marks the handshake as done: the reader trusts this writer from the next frame on.
    pub(crate) fn mark_trusted(&mut self) {
        self.framing = Framing::Trusted;
    }

    /// Queues bytes that are no frame, for a course client.
    pub(crate) fn push_raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes as much as the pipe takes now.
    ///
    /// # Errors
    /// EPIPE: the reader has gone. Those of write(2) except EAGAIN. ENOMEM only if it lasts.
    pub fn flush(&mut self) -> Result<(), Errno> {
        if !self.enlarged && self.buffer.len() - self.written >= WRITE_SIZE {
            self.enlarged = true;
            enlarge(&self.fd, PIPE_SIZE);
        }
        while !self.is_empty() {
            let until = self.cuts.front().copied().unwrap_or(self.buffer.len());
            match write(&self.fd, &self.buffer[self.written..until]) {
                Ok(count) => self.written += count,
                Err(Errno::EAGAIN) => {
                    self.forget_written();
                    return Ok(());
                }
                Err(Errno::ENOMEM) if self.starved < STARVED_WRITES_MAX => {
                    self.starved += 1;
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
            self.starved = 0;
            if self.cuts.front() == Some(&self.written) {
                self.cuts.pop_front();
            }
        }
        self.clear();
        Ok(())
    }

    /// Releases the room of the written bytes when they are most of the buffer. Each byte is moved at most
    /// once.
    fn forget_written(&mut self) {
        if self.written >= WRITE_SIZE && self.written * 2 >= self.buffer.len() {
            self.buffer.drain(..self.written);
            self.cuts.iter_mut().for_each(|cut| *cut -= self.written);
            self.written = 0;
        }
    }

    /// Returns whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.written == self.buffer.len()
    }

    /// Returns whether more frames may be queued before some are written.
    pub fn has_room(&self) -> bool {
        self.buffer.len() - self.written < WRITE_SIZE
    }

    /// Discards what was not written.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.cuts.clear();
        self.written = 0;
    }
}

impl AsFd for FrameWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
