//! Those who have said HELLO and wait for their answer.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use nix::errno::Errno;

use crate::course::latecomers::TOO_LATE;
use crate::course::names::{Form, Introduction, introductions};
use crate::course::text_of;
use crate::error::{Error, Named, Result, errno_of};
use crate::event::{Event, What};
use crate::fifo::{Fifo, name_of, open_to_read, open_to_write};
use crate::place::{Place, random};
use crate::process::Process;
use crate::records::{Delivery, Filled, Messages, READS_MAX, RecordReader, RecordWriter};
use crate::wire::{Ack, Header, Hello, Kind, VERSION, words};
use crate::wkp::TakenPipe;

/// The longest line. Without a bound, clients that are never served would cost memory without end.
pub const LINE_MAX: usize = 4096;

const LINE_FULL: &str = "the server is full, and so is the line before it";

/// So often it is tried to answer somebody for whose answer there is no memory. Then it is taken for gone, and tries again itself,
/// after a pause.
const ANSWER_TRIES: usize = 4;

/// What becomes of who finds the line full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Its private pipe is opened and closed: it tries again until its own deadline.
    TurnAway,
    /// It is told no: where the WKP must always be read, tries without end would be a flood.
    Refuse,
}

/// How a client speaks, and what that means for the handshake.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Framed {
        /// Its HELLO's session.
        nonce: u64,
        /// Whether the pipe that its HELLO came through is its upstream.
        keeps_wkp: bool,
    },
    /// It knows no other pipe than the one that its name came through.
    Course(Form),
}

/// A HELLO as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Its header's session.
    pub nonce: u64,
    /// Its payload.
    pub payload: &'a [u8],
    /// The pipe that it came through.
    pub wkp: &'a Rc<OwnedFd>,
    /// Whether its client may keep that pipe as its upstream.
    pub keeps_wkp: bool,
}

/// A client that has said HELLO and is owed an answer.
#[derive(Debug)]
pub struct Caller {
    /// The number of the session that it will have.
    pub session: u64,
    /// Its private pipe.
    pub private: PathBuf,
    dialect: Dialect,
    /// The pipe that its HELLO came through. It stays open until the answer is given: its closing tells a client that none will come.
    wkp: Rc<OwnedFd>,
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
    /// Its upstream: the WKP that it shook hands on, or a fresh pipe.
    ///
    /// # Errors
    /// No pipe can be made.
    pub fn upstream(&self, place: &Place, process: &Rc<Process>) -> Result<Upstream> {
        let from_client = Rc::clone(&self.wkp);
        let wkp = Upstream { from_client, arrival: Delivery::Whole, messages: None, fresh: None };
        match self.dialect {
            Dialect::Framed { keeps_wkp: true, .. } => return Ok(wkp),
            Dialect::Framed { .. } => {}
            Dialect::Course(_) => {
                let messages = Messages::of_session(self.session, self.private.clone(), process);
                return Ok(Upstream { messages: Some(messages), ..wkp });
            }
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
        Ok(Upstream { from_client, arrival: Delivery::Pieces, messages: None, fresh: Some(fifo) })
    }

    /// Whether it speaks the course dialect.
    pub fn speaks_course(&self) -> bool {
        self.course_form().is_some()
    }

    /// In the course dialect, how it sent its name.
    pub(crate) fn course_form(&self) -> Option<Form> {
        match self.dialect {
            Dialect::Framed { .. } => None,
            Dialect::Course(form) => Some(form),
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
        process.does(
            What::AckSent,
            |event| event.session(self.session).pipe(name_of(&self.private)),
            || self.answer(Kind::Ack, &ack.encode()),
        )
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
        let Dialect::Framed { nonce, .. } = self.dialect else { return Err(gone(Errno::EINVAL)) };
        writer.push(Header { kind, more: false, session: nonce, sequence: 0 }, payload);
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

/// The line, first come, first served.
#[derive(Debug, Default)]
pub struct Line {
    waiting: VecDeque<Caller>,
    /// Taken pipes that could not be closed to others: who was stopped just there may still say HELLO, as long
    /// as somebody keeps them open.
    may_bring_more: Vec<Weak<OwnedFd>>,
}

impl Line {
    /// Step 6: everybody who said HELLO in a pipe just taken joins the line.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive(&mut self, taken: &TakenPipe, place: &Place, process: &Process) -> Result<()> {
        if !taken.closed_to_others {
            self.may_bring_more.push(Rc::downgrade(&taken.from_client));
        }
        self.read_names(&taken.from_client, taken.closed_to_others, true, place, process)
    }

    /// Looks once more into the pipes that are still open to others. Call it before [`Line::next_caller`].
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive_late(&mut self, place: &Place, process: &Process) -> Result<()> {
        self.may_bring_more.retain(|pipe| pipe.strong_count() > 0);
        for pipe in self.may_bring_more.iter().filter_map(Weak::upgrade).collect::<Vec<_>>() {
            self.read_names(&pipe, false, false, place, process)?;
        }
        Ok(())
    }

    /// `is_free`: the pipe is nobody's upstream yet. A framed client may have it if it is closed to others as well; a course
    /// client has no choice.
    fn read_names(
        &mut self,
        pipe: &Rc<OwnedFd>,
        is_closed: bool,
        mut is_free: bool,
        place: &Place,
        process: &Process,
    ) -> Result<()> {
        let mut reader = RecordReader::new(Rc::clone(pipe), Delivery::Whole);
        let (mut reads, mut ended) = (0, false);
        while !ended {
            // All that there is, before a look at it: what ends where a read ends may go on.
            while !ended && reader.has_room() {
                reads += 1;
                ended = reads > READS_MAX
                    || !matches!(reader.fill(), Ok(Filled::Bytes(_)))
                    || reader.has_emptied();
            }
            let mut hellos = Vec::new();
            while let Some((record, _)) = reader.next_record() {
                if record.header.kind == Kind::Hello {
                    hellos.push((record.header.session, record.payload.to_vec()));
                }
            }
            // Course clients first, since one of them can have no other pipe than this.
            let mut unknown = 0;
            for bytes in reader.strays() {
                let names = introductions(bytes, place);
                unknown += if names.is_empty() { bytes.len() } else { 0 };
                for name in names {
                    is_free &= !self.join_in_course(name, pipe, is_free, process)?;
                }
            }
            count_skipped(unknown, None, process);
            for (nonce, payload) in hellos {
                let said = Said { nonce, payload: &payload, wkp: pipe, keeps_wkp: is_free && is_closed };
                is_free &= !(self.join(said, WhenFull::TurnAway, place, process)? && is_closed);
            }
        }
        Ok(())
    }

    /// A course client joins the line if the pipe can be its own; returns whether it did.
    fn join_in_course(
        &mut self,
        name: Introduction,
        wkp: &Rc<OwnedFd>,
        is_free: bool,
        process: &Process,
    ) -> Result<bool> {
        let Introduction { private, form } = name;
        let caller =
            Caller { session: random()?, private, dialect: Dialect::Course(form), wkp: Rc::clone(wkp) };
        if !is_free || self.waiting.len() >= LINE_MAX {
            caller.turn_away(process, if is_free { LINE_FULL } else { TOO_LATE });
            return Ok(false);
        }
        process.forgive(&caller.private);
        process.saw(What::HelloReceived, |event| {
            event.session(caller.session).pipe(name_of(&caller.private)).text("the course dialect")
        });
        self.waiting.push_back(caller);
        Ok(true)
    }

    /// One HELLO joins the line, or is answered at once; returns whether it joined.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn join(
        &mut self,
        said: Said<'_>,
        when_full: WhenFull,
        place: &Place,
        process: &Process,
    ) -> Result<bool> {
        let Said { nonce, payload, wkp, keeps_wkp } = said;
        let named = Hello::decode(payload)
            .and_then(|hello| place.named_by_client(&hello.name).map(|private| (hello.version, private)));
        let Some((version, private)) = named else {
            let name = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
            let text = format!("its HELLO names {name:?}, which is no private pipe of this place");
            process.saw(What::ClientDropped, |event| event.text(text));
            return Ok(false);
        };
        let dialect = Dialect::Framed { nonce, keeps_wkp };
        let caller = Caller { session: random()?, private, dialect, wkp: Rc::clone(wkp) };
        process
            .saw(What::HelloReceived, |event| event.session(caller.session).pipe(name_of(&caller.private)));
        if version != VERSION {
            caller.refuse(
                process,
                &format!("this server speaks version {VERSION} of the protocol, not {version}"),
            );
            return Ok(false);
        }
        if self.waiting.len() >= LINE_MAX {
            match when_full {
                WhenFull::Refuse => caller.refuse(process, LINE_FULL),
                WhenFull::TurnAway => caller.turn_away(process, LINE_FULL),
            }
            return Ok(false);
        }
        self.waiting.push_back(caller);
        Ok(true)
    }

    /// The next one.
    pub fn next_caller(&mut self) -> Option<Caller> {
        self.waiting.pop_front()
    }

    /// Puts one back at the front, whose turn could not be kept.
    pub fn put_back(&mut self, caller: Caller) {
        self.waiting.push_front(caller);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends everybody away; for a server that ends.
    pub fn turn_away_all(&mut self, process: &Process) {
        for caller in self.waiting.drain(..) {
            caller.turn_away(process, "the server is shutting down");
        }
    }
}

/// Records what a reader skipped, if anything. If others than its client may have written that, they are told.
pub fn note_skipped(reader: &mut RecordReader, session: Option<u64>, process: &Process) {
    let skipped = reader.take_skipped();
    if skipped > 0 {
        count_skipped(usize::try_from(skipped).unwrap_or(usize::MAX), session, process);
        process.hear_strangers(reader.strays(), None);
    }
}

fn count_skipped(bytes: usize, session: Option<u64>, process: &Process) {
    if bytes > 0 {
        process.saw(What::Skipped, |event| session.into_iter().fold(event, Event::session).bytes(bytes));
    }
}

/// Before a pipe that others may have written to is closed: who has, is told.
pub fn drain(reader: &mut RecordReader, session: u64, process: &Process) {
    let mut reads = 0;
    while reads < READS_MAX && matches!(reader.fill(), Ok(Filled::Bytes(_))) {
        reads += 1;
        while reader.next_record().is_some() {}
        note_skipped(reader, Some(session), process);
    }
}
