//! The pending clients: they have sent their names and wait for their acknowledgement.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::course::text_of;
use crate::error::Result;
use crate::event::{Event, What, excerpt};
use crate::fifo::{Standing, look, name_of};
use crate::io::Filled;
use crate::place::random;
use crate::server::course::names::{Lookups, NamedClient, named_clients};
use crate::server::course::queue::PipeQueue;
use crate::server::course::used_pipe::UsedPipe;
use crate::server::fair::FairQueue;
use crate::server::pending::PendingClient;
use crate::server::site::Site;
use crate::server::wkp::TakenPipe;
use crate::stream::{FrameReader, Framing, READS_MAX};
use crate::wire::{Hello, Kind, VERSION};

/// The longest line: more than the clients of any crowd that one machine can have, since with `--shared-wkp`
/// the next one is refused. Without a bound, clients that are never served would cost memory without end; one
/// takes some 200 bytes.
pub const QUEUE_MAX: usize = 16_384;

const QUEUE_FULL: &str = "the server is full, and so is the line before it";

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
pub struct Queue {
    waiting: FairQueue<PendingClient>,
}

impl Queue {
    /// Step 6: everybody who said HELLO in a pipe just taken joins the line. A pipe that is nobody's upstream then may
    /// still bring a name, if somebody has it open.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive(&mut self, taken: &TakenPipe, site: &Rc<Site>) -> Result<Option<UsedPipe>> {
        let has_owner = self.read_names(&taken.from_client, taken.closed_to_others, site)?;
        Ok((!has_owner).then(|| UsedPipe::without_client(&taken.from_client)))
    }

    /// Reads a pipe that is nobody's upstream yet, and returns whether it is somebody's now. A framed client may have it if it is
    /// closed to others; a course client has no choice, and those that come behind it wait.
    fn read_names(&mut self, pipe: &Rc<OwnedFd>, is_closed: bool, site: &Rc<Site>) -> Result<bool> {
        let mut reader = FrameReader::new(Rc::clone(pipe), Framing::Atomic);
        let mut lookups = Lookups::of_well_known_pipe(&site.place);
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
                let names = named_clients(&bytes, &mut lookups);
                if names.is_empty() {
                    unknown.extend_from_slice(&bytes);
                }
                for name in names {
                    if has_owner {
                        site.join(&queue, name);
                    } else {
                        has_owner = self.join_in_course(name, pipe, &queue, site)?;
                    }
                }
            }
            if !unknown.is_empty() {
                let event = |event: Event| event.bytes(unknown.len()).text(excerpt(text_of(&unknown)));
                site.process.log(What::Skipped, event);
            }
            for (nonce, payload) in hellos {
                let keeps_wkp = is_closed && !has_owner;
                let said = Said { nonce, payload: &payload, wkp: pipe, queue: keeps_wkp.then_some(&queue) };
                has_owner |= self.join(said, WhenFull::TurnAway, site)? && keeps_wkp;
            }
        }
        Ok(has_owner)
    }

    /// A course client joins the line, if that has room; returns whether it did.
    fn join_in_course(
        &mut self,
        name: NamedClient,
        wkp: &Rc<OwnedFd>,
        queue: &Rc<PipeQueue>,
        site: &Rc<Site>,
    ) -> Result<bool> {
        site.forget(&name.private);
        let client = PendingClient::in_course(random()?, name, Rc::clone(wkp), Rc::clone(queue), site);
        if !self.make_room_for(&client, WhenFull::TurnAway, site) {
            reject(client, WhenFull::TurnAway, site);
            return Ok(false);
        }
        self.add(client);
        Ok(true)
    }

    /// Adds one for whom there is room, or who has waited elsewhere.
    pub(super) fn add(&mut self, client: PendingClient) {
        self.waiting.push(client.process_number(), client);
    }

    /// One HELLO joins the line, or is answered at once; returns whether it joined.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn join(&mut self, said: Said<'_>, when_full: WhenFull, site: &Rc<Site>) -> Result<bool> {
        let process = &site.process;
        let Said { nonce, payload, wkp, queue } = said;
        let named = Hello::decode(payload).and_then(|hello| {
            site.place.named_by_client(&hello.name).map(|private| (hello.version, private))
        });
        let Some((version, private)) = named else {
            let name = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
            let text = format!("its HELLO names {name:?}, which is no private pipe of this place");
            process.log(What::ClientDropped, |event| event.text(text));
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
            process.log(What::ClientDropped, |event| event.pipe(name_of(&private)).text(text));
            return Ok(false);
        }
        let client = PendingClient::framed(random()?, private, nonce, wkp, queue);
        process
            .log(What::HelloReceived, |event| event.session(client.session).pipe(name_of(&client.private)));
        if version != VERSION {
            client.refuse(
                site,
                &format!("this server speaks version {VERSION} of the protocol, not {version}"),
            );
            return Ok(false);
        }
        if !self.make_room_for(&client, when_full, site) {
            reject(client, when_full, site);
            return Ok(false);
        }
        self.add(client);
        Ok(true)
    }

    /// In a full queue, a client of the process that has most there makes room. False: that is the process of `client`.
    fn make_room_for(&mut self, client: &PendingClient, when_full: WhenFull, site: &Rc<Site>) -> bool {
        if self.waiting.len() < QUEUE_MAX {
            return true;
        }
        let dropped = self.waiting.drop_for(client.process_number());
        dropped.map(|other| reject(other, when_full, site)).is_some()
    }

    /// Takes out the next client.
    pub fn pop(&mut self) -> Option<PendingClient> {
        self.waiting.pop()
    }

    /// Puts a client that could not be served now back at the front.
    pub fn requeue(&mut self, client: PendingClient) {
        self.waiting.put_back(client.process_number(), client);
    }

    /// Whether no client waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Turns all clients away, for a server that ends.
    pub fn turn_away_all(&mut self, site: &Rc<Site>) {
        for client in self.waiting.drain() {
            client.turn_away(site, "the server is shutting down");
        }
    }
}

fn reject(client: PendingClient, when_full: WhenFull, site: &Rc<Site>) {
    match when_full {
        WhenFull::Refuse => client.refuse(site, QUEUE_FULL),
        WhenFull::TurnAway => client.turn_away(site, QUEUE_FULL),
    }
}

/// The HELLOs among the bytes read: nonce and payload.
fn hellos_in(reader: &mut FrameReader) -> Vec<(u64, Vec<u8>)> {
    let mut hellos = Vec::new();
    while let Some((record, _)) = reader.next_frame() {
        if record.header.kind == Kind::Hello {
            hellos.push((record.header.session, record.payload().into_owned()));
        }
    }
    hellos
}
