//! A client between its name and its acknowledgement.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use crate::course::messages::Messages;
use crate::course::names::{Introduction, NameRecord};
use crate::course::queue::PipeQueue;
use crate::course::text_of;
use crate::course::used_pipe::UsedPipe;
use crate::error::{Error, Named, Result, errno_of};
use crate::event::What;
use crate::fifo::{Fifo, name_of, open_to_read, open_to_write};
use crate::place::Place;
use crate::process::Process;
use crate::records::{Delivery, RecordReader, RecordWriter};
use crate::text::words;
use crate::wire::{Ack, Header, Kind, Part, VERSION};

/// So often it is tried to answer somebody for whose answer there is no memory. Then it is taken for gone, and tries again itself,
/// after a pause.
const ANSWER_TRIES: usize = 4;

/// How a client speaks, and what that means for the handshake.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    Framed {
        /// Its HELLO's session.
        nonce: u64,
    },
    /// It knows no other pipe than the one that its name came through.
    Course(NameRecord),
}

/// A client that has said HELLO and is owed an answer.
#[derive(Debug)]
pub struct Caller {
    /// The number of the session that it will have.
    pub session: u64,
    /// Its private pipe.
    pub private: PathBuf,
    pub(super) dialect: Dialect,
    /// The pipe that its HELLO came through. It stays open until the answer is given: its closing tells a client that none will come.
    pub(super) wkp: Rc<OwnedFd>,
    /// If that is its upstream: the course clients that wait for the same pipe.
    pub(crate) queue: Option<Rc<PipeQueue>>,
    /// Since when it has waited in that queue itself, if it had to.
    pub(crate) waits_since: Option<Duration>,
}

/// The pipe that brings a client's bytes, on the server's side.
#[derive(Debug)]
pub struct Upstream {
    /// Its reading end.
    pub from_client: Rc<OwnedFd>,
    /// How records arrive on it.
    pub arrival: Delivery,
    /// In the course dialect, it brings messages.
    messages: Option<Messages>,
    /// If it was the well-known pipe: where those wait whose names come through it.
    queue: Option<Rc<PipeQueue>>,
    /// A fresh one still has a name, which goes when READY came through it.
    pub fresh: Option<Fifo>,
}

/// What the ACK grants.
#[derive(Debug)]
pub struct Grant {
    /// Records that may be unanswered; 0: any number.
    pub window: u16,
    /// The longest message, in bytes.
    pub longest: usize,
    /// A fresh upstream's name, or nothing.
    pub upstream: Vec<u8>,
}

impl Upstream {
    /// A reader of this pipe, for what this client writes.
    #[must_use]
    pub fn reader(&self, reader: RecordReader) -> RecordReader {
        let reader = reader.with_queue(self.queue.clone());
        match &self.messages {
            Some(messages) => reader.of_messages(messages.clone()),
            None => reader,
        }
    }

    /// What the ACK says: a fresh one's name, or nothing.
    pub fn name_in_ack(&self) -> Vec<u8> {
        self.fresh.as_ref().map(Fifo::name_bytes).unwrap_or_default()
    }
}

impl Caller {
    /// A course client, whose upstream is `wkp`.
    pub(crate) fn in_course(
        session: u64,
        name: Introduction,
        wkp: Rc<OwnedFd>,
        queue: Rc<PipeQueue>,
        process: &Process,
    ) -> Self {
        let Introduction { private, record } = name;
        queue.is_in_course();
        process.saw(What::HelloReceived, |event| {
            event.session(session).pipe(name_of(&private)).text("the course dialect")
        });
        let dialect = Dialect::Course(record);
        Self { session, private, dialect, wkp, queue: Some(queue), waits_since: None }
    }

    /// Leaves those who wait for its pipe to whoever reads it.
    pub fn leave_queue(&mut self) -> Option<Rc<PipeQueue>> {
        self.queue.take()
    }

    /// Takes them back: nobody else will read the pipe.
    pub fn take_queue_back(&mut self, queue: Option<Rc<PipeQueue>>) {
        self.queue = queue;
    }

    /// What its upstream was, for when its session is over: if that was the well-known pipe, others may wait for it.
    pub fn used_pipe(&self) -> Option<UsedPipe> {
        let queue = self.queue.as_ref()?;
        Some(UsedPipe::new(Rc::clone(&self.wkp), Rc::clone(queue)))
    }

    /// Its upstream: the WKP that it shook hands on, or a fresh pipe.
    ///
    /// # Errors
    /// No pipe can be made.
    pub fn upstream(&self, place: &Place, process: &Rc<Process>) -> Result<Upstream> {
        if let Some(queue) = &self.queue {
            if !queue.is_empty() {
                process.queues.adopt(queue);
            }
            let messages = match self.dialect {
                Dialect::Framed { .. } => None,
                Dialect::Course(_) => Some(Messages::of_session(self.session, self.private.clone(), process)),
            };
            let from_client = Rc::clone(&self.wkp);
            let (queue, arrival) = (Some(Rc::clone(queue)), Delivery::Whole);
            return Ok(Upstream { from_client, arrival, messages, queue, fresh: None });
        }
        let path = place.upstream()?;
        let make = || -> Result<_, Errno> {
            let fifo = Fifo::make(path.clone())?;
            Ok((open_to_read(&path)?, fifo))
        };
        let (from_client, fifo) = process
            .does(What::UpstreamCreated, |event| event.session(self.session).pipe(name_of(&path)), make)
            .map_err(|errno| Error::at("make a fresh upstream", &path, errno, ""))?;
        let from_client = Rc::new(from_client);
        let arrival = Delivery::Pieces;
        Ok(Upstream { from_client, arrival, messages: None, queue: None, fresh: Some(fifo) })
    }

    /// Whether it speaks the course dialect.
    pub fn speaks_course(&self) -> bool {
        self.course_name().is_some()
    }

    /// The number of its process, as the private pipe's name has it; 0, if that has none. Nobody has looked whether it
    /// is true: it says only which clients share a turn.
    pub(super) fn process_number(&self) -> i32 {
        let name = self.private.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let number = match &self.dialect {
            Dialect::Framed { .. } => name.rsplit(|byte| *byte == b'.').nth(1),
            Dialect::Course(_) => Some(name),
        };
        number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok()).unwrap_or(0)
    }

    /// In the course dialect, how it sent its name.
    pub(crate) fn course_name(&self) -> Option<NameRecord> {
        match self.dialect {
            Dialect::Framed { .. } => None,
            Dialect::Course(name) => Some(name),
        }
    }

    /// Steps 7 and 8: connects to the private pipe and sends the acknowledgement. Only then the pipe that the
    /// HELLO came through is let go.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone, and needs no answer.
    pub(crate) fn acknowledge(self, process: &Process, grant: Grant) -> Result<RecordWriter> {
        let Grant { window, longest, upstream } = grant;
        let ack = Ack { session: self.session, version: VERSION, window, longest: longest as u64, upstream };
        let mut to_client = process.does(
            What::AckSent,
            |event| event.session(self.session).pipe(name_of(&self.private)),
            || self.answer(Kind::Ack, &ack.encode()),
        )?;
        to_client.is_trusted();
        Ok(to_client)
    }

    /// The same in the course dialect, to a private pipe that is open.
    pub(crate) fn acknowledge_in_course(
        self,
        process: &Process,
        private: OwnedFd,
        ack: &[u8],
    ) -> Result<RecordWriter> {
        let mut to_client = RecordWriter::new(Rc::new(private), Delivery::Pieces);
        to_client.push_raw(ack);
        process
            .does(
                What::AckSent,
                |event| event.session(self.session).pipe(name_of(&self.private)).text(words(text_of(ack))),
                || to_client.flush(),
            )
            .map_err(|errno| self.gone(errno))?;
        Ok(to_client)
    }

    fn gone(&self, errno: Errno) -> Error {
        let what = format!("its private pipe {:?}: {}", name_of(&self.private), Named(errno));
        Error::Lost { what, unanswered: 0 }
    }

    /// Says no, and why; the client will not try again.
    pub fn refuse(self, process: &Process, reason: &str) {
        if self.speaks_course() {
            return self.turn_away(process, reason);
        }
        if let Some(pipe) = self.used_pipe() {
            pipe.close(process, reason);
        }
        process.saw(What::ClientDropped, |event| event.pipe(name_of(&self.private)).text(reason));
        // A client that has gone needs no reason.
        let _ = self.answer(Kind::Refuse, reason.as_bytes());
    }

    /// The pipe that its HELLO came through.
    pub(crate) fn wkp(&self) -> BorrowedFd<'_> {
        self.wkp.as_fd()
    }

    /// Before a fork: others in the line share the descriptor, and in the child nobody would drop their part of it. So this
    /// one takes one of its own.
    ///
    /// # Errors
    /// The client, and why no descriptor can be had now.
    pub(crate) fn alone(mut self) -> Result<Self, Box<(Self, Error)>> {
        if Rc::strong_count(&self.wkp) > 1 {
            match self.wkp.try_clone() {
                Ok(own) => self.wkp = Rc::new(own),
                Err(error) => {
                    let error = Error::on("copy the descriptor of", "a well-known pipe", errno_of(&error));
                    return Err(Box::new((self, error)));
                }
            }
        }
        Ok(self)
    }

    fn answer(&self, kind: Kind, payload: &[u8]) -> Result<RecordWriter> {
        let gone = |errno| self.gone(errno);
        let to_client = Rc::new(open_to_write(&self.private).map_err(gone)?);
        let mut writer = RecordWriter::new(to_client, Delivery::Pieces);
        let Dialect::Framed { nonce } = self.dialect else { return Err(gone(Errno::EINVAL)) };
        writer.push(Header { kind, part: Part::ONLY, session: nonce, sequence: 0 }, payload);
        // It fits, unless the client has filled its own pipe; without memory for the page, it is tried again.
        for _ in 0..ANSWER_TRIES {
            writer.flush().map_err(gone)?;
            if writer.is_empty() {
                return Ok(writer);
            }
        }
        Err(gone(Errno::EAGAIN))
    }

    /// Says "try again".
    pub fn turn_away(self, process: &Process, reason: &str) {
        if let Some(pipe) = self.used_pipe() {
            pipe.close(process, reason);
        }
        if self.speaks_course() {
            return process.send_away(self.private, reason);
        }
        process.saw(What::ClientDropped, |event| event.pipe(name_of(&self.private)).text(reason));
        open_and_close(&self.private);
    }
}

/// Says "try again" to a client that waits for its ACK, by opening and closing its private pipe.
pub(crate) fn open_and_close(private: &Path) {
    // If it cannot be opened, there is nobody to be told.
    let _ = open_to_write(private);
}
