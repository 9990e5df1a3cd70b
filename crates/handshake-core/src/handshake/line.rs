//! Those who have said HELLO and wait for their answer.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::course::names::{Introduction, Lookups, introductions};
use crate::course::queue::PipeQueue;
use crate::course::text_of;
use crate::course::used_pipe::UsedPipe;
use crate::error::Result;
use crate::event::{Event, What, excerpt};
use crate::fifo::{Standing, look, name_of};
use crate::handshake::caller::{Caller, Dialect};
use crate::handshake::fair::FairQueue;
use crate::place::{Place, random};
use crate::process::Process;
use crate::records::{Delivery, Filled, READS_MAX, RecordReader};
use crate::wire::{Hello, Kind, VERSION};
use crate::wkp::TakenPipe;

/// The longest line: more than the clients of any crowd that one machine can have, since with `--shared-wkp`
/// the next one is refused. Without a bound, clients that are never served would cost memory without end; one
/// takes some 200 bytes.
pub const LINE_MAX: usize = 16_384;

const LINE_FULL: &str = "the server is full, and so is the line before it";

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
    /// If its client may keep that pipe as its upstream: where those will wait whose names come through it.
    pub queue: Option<&'a Rc<PipeQueue>>,
}

/// The line, in which processes take turns: one that says HELLO without end delays itself.
#[derive(Debug, Default)]
pub struct Line {
    waiting: FairQueue<Caller>,
}

impl Line {
    /// Step 6: everybody who said HELLO in a pipe just taken joins the line. A pipe that is nobody's upstream then may
    /// still bring a name, if somebody has it open.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive(
        &mut self,
        taken: &TakenPipe,
        place: &Place,
        process: &Process,
    ) -> Result<Option<UsedPipe>> {
        let has_owner = self.read_names(&taken.from_client, taken.closed_to_others, place, process)?;
        Ok((!has_owner).then(|| UsedPipe::without_client(&taken.from_client)))
    }

    /// Reads a pipe that is nobody's upstream yet, and returns whether it is somebody's now. A framed client may have it if it is
    /// closed to others; a course client has no choice, and those that come behind it wait.
    fn read_names(
        &mut self,
        pipe: &Rc<OwnedFd>,
        is_closed: bool,
        place: &Place,
        process: &Process,
    ) -> Result<bool> {
        let mut reader = RecordReader::new(Rc::clone(pipe), Delivery::Whole);
        let mut lookups = Lookups::of_well_known_pipe(place);
        let queue: Rc<PipeQueue> = Rc::default();
        let mut has_owner = false;
        let (mut reads, mut ended) = (0, false);
        while !ended {
            // All that there is, before a look at it: what ends where a read ends may go on.
            while !ended && reader.has_room() {
                reads += 1;
                let filled = matches!(reader.fill(), Ok(Filled::Bytes(_)));
                ended = reads == READS_MAX || !filled || reader.has_emptied();
            }
            let hellos = hellos_in(&mut reader);
            // Course clients first, since they can have no other pipe than this.
            let mut unknown = Vec::new();
            for bytes in reader.strays() {
                let names = introductions(&bytes, &mut lookups);
                if names.is_empty() {
                    unknown.extend_from_slice(&bytes);
                }
                for name in names {
                    if has_owner {
                        queue.join(name, process);
                    } else {
                        has_owner = self.join_in_course(name, pipe, &queue, process)?;
                    }
                }
            }
            if !unknown.is_empty() {
                let event = |event: Event| event.bytes(unknown.len()).text(excerpt(text_of(&unknown)));
                process.saw(What::Skipped, event);
            }
            for (nonce, payload) in hellos {
                let keeps_wkp = is_closed && !has_owner;
                let said = Said { nonce, payload: &payload, wkp: pipe, queue: keeps_wkp.then_some(&queue) };
                has_owner |= self.join(said, WhenFull::TurnAway, place, process)? && keeps_wkp;
            }
        }
        Ok(has_owner)
    }

    /// A course client joins the line, if that has room; returns whether it did.
    fn join_in_course(
        &mut self,
        name: Introduction,
        wkp: &Rc<OwnedFd>,
        queue: &Rc<PipeQueue>,
        process: &Process,
    ) -> Result<bool> {
        process.forgive(&name.private);
        let caller = Caller::in_course(random()?, name, Rc::clone(wkp), Rc::clone(queue), process);
        if !self.make_room_for(&caller, WhenFull::TurnAway, process) {
            send_away(caller, WhenFull::TurnAway, process);
            return Ok(false);
        }
        self.add(caller);
        Ok(true)
    }

    /// Adds one for whom there is room, or who has waited elsewhere.
    pub(super) fn add(&mut self, caller: Caller) {
        self.waiting.push(caller.process_number(), caller);
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
        let Said { nonce, payload, wkp, queue } = said;
        let named = Hello::decode(payload)
            .and_then(|hello| place.named_by_client(&hello.name).map(|private| (hello.version, private)));
        let Some((version, private)) = named else {
            let name = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
            let text = format!("its HELLO names {name:?}, which is no private pipe of this place");
            process.saw(What::ClientDropped, |event| event.text(text));
            return Ok(false);
        };
        // A client that has gone, or a name that costs its sender nothing: neither is worth a place, and
        // later a fork.
        let stands: Option<&str> = match look(&private) {
            Ok(Standing::Fifo(_)) => None,
            Ok(Standing::Nothing) => Some("nothing"),
            Ok(Standing::Other(what)) => Some(what),
            // The open of the acknowledgement will tell.
            Err(_) => None,
        };
        if let Some(what) = stands {
            let text = format!("{what} stands at its private pipe's name");
            process.saw(What::ClientDropped, |event| event.pipe(name_of(&private)).text(text));
            return Ok(false);
        }
        let caller = Caller {
            session: random()?,
            private,
            dialect: Dialect::Framed { nonce },
            wkp: Rc::clone(wkp),
            queue: queue.cloned(),
            waits_since: None,
        };
        process
            .saw(What::HelloReceived, |event| event.session(caller.session).pipe(name_of(&caller.private)));
        if version != VERSION {
            caller.refuse(
                process,
                &format!("this server speaks version {VERSION} of the protocol, not {version}"),
            );
            return Ok(false);
        }
        if !self.make_room_for(&caller, when_full, process) {
            send_away(caller, when_full, process);
            return Ok(false);
        }
        self.add(caller);
        Ok(true)
    }

    /// In a full line, a client of the process that has most there makes room. False: that is the process of `caller`.
    fn make_room_for(&mut self, caller: &Caller, when_full: WhenFull, process: &Process) -> bool {
        if self.waiting.len() < LINE_MAX {
            return true;
        }
        let dropped = self.waiting.drop_for(caller.process_number());
        dropped.map(|other| send_away(other, when_full, process)).is_some()
    }

    /// The next one.
    pub fn next_caller(&mut self) -> Option<Caller> {
        self.waiting.pop()
    }

    /// Puts one back at the front, whose turn could not be kept.
    pub fn put_back(&mut self, caller: Caller) {
        self.waiting.put_back(caller.process_number(), caller);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends everybody away; for a server that ends.
    pub fn turn_away_all(&mut self, process: &Process) {
        for caller in self.waiting.drain() {
            caller.turn_away(process, "the server is shutting down");
        }
    }
}

fn send_away(caller: Caller, when_full: WhenFull, process: &Process) {
    match when_full {
        WhenFull::Refuse => caller.refuse(process, LINE_FULL),
        WhenFull::TurnAway => caller.turn_away(process, LINE_FULL),
    }
}

/// The HELLOs among the bytes read: nonce and payload.
fn hellos_in(reader: &mut RecordReader) -> Vec<(u64, Vec<u8>)> {
    let mut hellos = Vec::new();
    while let Some((record, _)) = reader.next_record() {
        if record.header.kind == Kind::Hello {
            hellos.push((record.header.session, record.payload().into_owned()));
        }
    }
    hellos
}

/// Records what a reader skipped, if anything. If others than its client may have written that, they wait for the pipe, or
/// are told.
pub fn note_skipped(reader: &mut RecordReader, session: Option<u64>, process: &Process) {
    let skipped = reader.take_skipped();
    if skipped > 0 {
        let bytes = usize::try_from(skipped).unwrap_or(usize::MAX);
        process.saw(What::Skipped, |event| session.into_iter().fold(event, Event::session).bytes(bytes));
    }
    if skipped > 0 || reader.has_cut() {
        process.hear_strangers(reader.strays(), None, reader.queue());
    }
}

/// Before a pipe that others may have written to is let go: who has, waits for it, or is told.
pub fn drain(reader: &mut RecordReader, session: u64, process: &Process) {
    let mut reads = 0;
    reader.begin_batch();
    while reads < READS_MAX && matches!(reader.fill(), Ok(Filled::Bytes(_))) {
        reads += 1;
        while reader.next_record().is_some() {}
        note_skipped(reader, Some(session), process);
    }
}
