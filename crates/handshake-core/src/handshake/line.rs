//! Those who have said HELLO and wait for their answer.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use nix::errno::Errno;

use crate::error::{Error, Named, Result, errno_of};
use crate::event::{Event, What};
use crate::fifo::{Fifo, name_of, open_to_read, open_to_write};
use crate::place::{Place, random};
use crate::process::Process;
use crate::records::{Delivery, Filled, READS_MAX, RecordReader, RecordWriter};
use crate::wire::{Ack, Header, Hello, Kind, VERSION};
use crate::wkp::TakenPipe;

/// The longest line. Without a bound, clients that are never served would cost memory without end.
pub const LINE_MAX: usize = 4096;

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
    nonce: u64,
    /// Whether the pipe that its HELLO came through is its upstream.
    keeps_wkp: bool,
    /// That pipe. It stays open until the answer is given: its closing tells a client that none will come.
    wkp: Rc<OwnedFd>,
}

/// The pipe that brings a client's bytes, on the server's side.
#[derive(Debug)]
pub struct Upstream {
    /// Its reading end.
    pub from_client: Rc<OwnedFd>,
    /// How records arrive on it.
    pub arrival: Delivery,
    /// A fresh one still has a name, which goes when READY came through it.
    pub fresh: Option<Fifo>,
}

impl Upstream {
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
    pub fn upstream(&self, place: &Place, process: &Process) -> Result<Upstream> {
        if self.keeps_wkp {
            let from_client = Rc::clone(&self.wkp);
            return Ok(Upstream { from_client, arrival: Delivery::Whole, fresh: None });
        }
        let path = place.upstream()?;
        let make = || -> Result<_, Errno> {
            let fifo = Fifo::make(path.clone())?;
            Ok((open_to_read(&path)?, fifo))
        };
        let (from_client, fifo) = process
            .does(What::UpstreamCreated, |event| event.session(self.session).pipe(name_of(&path)), make)
            .map_err(|errno| Error::at("make a fresh upstream", &path, errno, ""))?;
        Ok(Upstream { from_client: Rc::new(from_client), arrival: Delivery::Pieces, fresh: Some(fifo) })
    }

    /// Steps 7 and 8: connects to the private pipe and sends the acknowledgement. Only then the pipe that the
    /// HELLO came through is let go.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone, and needs no answer.
    pub fn acknowledge(
        self,
        process: &Process,
        window: u16,
        longest: usize,
        upstream: Vec<u8>,
    ) -> Result<RecordWriter> {
        let ack = Ack { session: self.session, version: VERSION, window, longest: longest as u64, upstream };
        process.does(
            What::AckSent,
            |event| event.session(self.session).pipe(name_of(&self.private)),
            || self.answer(Kind::Ack, &ack.encode()),
        )
    }

    /// Says no, and why; the client will not try again.
    pub fn refuse(self, process: &Process, reason: &str) {
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
        let gone = |errno| Error::Lost {
            what: format!("its private pipe {:?}: {}", name_of(&self.private), Named(errno)),
            unanswered: 0,
        };
        let to_client = Rc::new(open_to_write(&self.private).map_err(gone)?);
        let mut writer = RecordWriter::new(to_client, Delivery::Pieces);
        writer.push(Header { kind, more: false, session: self.nonce, sequence: 0 }, payload);
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
        self.read_hellos(&taken.from_client, taken.closed_to_others, place, process)
    }

    /// Looks once more into the pipes that are still open to others. Call it before [`Line::next_caller`].
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive_late(&mut self, place: &Place, process: &Process) -> Result<()> {
        self.may_bring_more.retain(|pipe| pipe.strong_count() > 0);
        for pipe in self.may_bring_more.iter().filter_map(Weak::upgrade).collect::<Vec<_>>() {
            self.read_hellos(&pipe, false, place, process)?;
        }
        Ok(())
    }

    fn read_hellos(
        &mut self,
        pipe: &Rc<OwnedFd>,
        mut keeps: bool,
        place: &Place,
        process: &Process,
    ) -> Result<()> {
        let mut reader = RecordReader::new(Rc::clone(pipe), Delivery::Whole);
        let mut reads = 0;
        while reads < READS_MAX && matches!(reader.fill(), Ok(Filled::Bytes(_))) {
            reads += 1;
            while let Some((record, _)) = reader.next_record() {
                if record.header.kind == Kind::Hello {
                    let (nonce, payload) = (record.header.session, record.payload);
                    let said = Said { nonce, payload, wkp: pipe, keeps_wkp: keeps };
                    keeps &= !self.join(said, WhenFull::TurnAway, place, process)?;
                }
            }
        }
        note_skipped(&mut reader, None, process);
        Ok(())
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
        let caller = Caller { session: random()?, private, nonce, keeps_wkp, wkp: Rc::clone(wkp) };
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
            let reason = "the server is full, and so is the line before it";
            match when_full {
                WhenFull::Refuse => caller.refuse(process, reason),
                WhenFull::TurnAway => caller.turn_away(process, reason),
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
    pub fn turn_away_all(&mut self) {
        for caller in self.waiting.drain(..) {
            open_and_close(&caller.private);
        }
    }
}

/// Records what a reader skipped, if anything.
pub fn note_skipped(reader: &mut RecordReader, session: Option<u64>, process: &Process) {
    let skipped = reader.take_skipped();
    if skipped > 0 {
        let bytes = usize::try_from(skipped).unwrap_or(usize::MAX);
        process.saw(What::Skipped, |event| session.into_iter().fold(event, Event::session).bytes(bytes));
    }
}
