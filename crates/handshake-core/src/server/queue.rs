//! The queue of pending clients, which have sent their names and wait for their acknowledgement.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use crate::course::text_of;
use crate::error::{Result, SHUTTING_DOWN};
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

/// The longest queue. It is longer than the largest crowd of clients that one machine can have, because with
/// `--shared-wkp` the server refuses the next client. Without a bound, clients that are never served would
/// use unlimited memory. One client takes some 200 bytes.
pub(crate) const QUEUE_MAX: usize = 16_384;

const QUEUE_FULL: &str = "the server is at capacity, and its queue is full";

/// What happens to a client that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The server opens and closes its private pipe. The client retries until its own deadline.
    TurnAway,
    /// The server refuses it. With a WKP that must always be read, endless retries would flood the server.
    Refuse,
}

/// The contents of a HELLO.
#[derive(Debug)]
pub(crate) struct ReceivedHello {
    nonce: u64,
    version: u16,
    /// The private pipe that it names.
    private: PathBuf,
}

impl ReceivedHello {
    /// Decodes the payload of a HELLO whose header had this nonce. Logs a HELLO that names no private pipe of
    /// this place, and returns `None`.
    pub(crate) fn decode(nonce: u64, payload: &[u8], site: &Site) -> Option<Self> {
        let hello = Hello::decode(payload);
        let named = hello.and_then(|hello| Some((hello.version, site.place.named_by_client(hello.name)?)));
        let Some((version, private)) = named else {
            let name = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
            let text = format!("its HELLO names {name:?}, which is no private pipe of this place");
            site.process.log(What::ClientDropped, |event| event.text(text));
            return None;
        };
        Some(Self { nonce, version, private })
    }
}

/// The queue. Processes take turns in it: a process that sends HELLO without end delays only itself.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: FairQueue<PendingClient>,
}

impl Queue {
    /// Step 6: adds all clients that wrote HELLO to a pipe just taken. Returns the pipe if it became no
    /// client's upstream: a process that has it open may still write a name.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub(crate) fn receive(&mut self, taken: &TakenPipe, site: &Rc<Site>) -> Result<Option<UsedPipe>> {
        let has_owner = self.read_names(&taken.from_client, taken.closed_to_others, site)?;
        Ok((!has_owner).then(|| UsedPipe::without_client(&taken.from_client)))
    }

    /// Reads a pipe that is no client's upstream yet. Returns whether it is one now. A framed client may have
    /// the pipe if it is closed to other writers. A course client has no choice of pipe, and course clients
    /// that come after it wait.
    fn read_names(&mut self, pipe: &Rc<OwnedFd>, is_closed: bool, site: &Rc<Site>) -> Result<bool> {
        let mut reader = FrameReader::new(Rc::clone(pipe), Framing::Atomic);
        let mut lookups = Lookups::of_well_known_pipe(&site.place);
        let queue: Rc<PipeQueue> = Rc::default();
        let mut has_owner = false;
        let (mut reads, mut ended) = (0, false);
        while !ended {
            // Reads all that there is before parsing: a name that ends where a read ends may continue.
            while !ended && reader.has_room() {
                reads += 1;
                let filled = matches!(reader.fill(), Ok(Filled::Bytes(_)));
                ended = reads == READS_MAX || !filled || reader.has_emptied();
            }
            let hellos = hellos_in(&mut reader, site);
            // Course clients first, since they can have no other pipe than this.
            let mut unknown = Vec::new();
            for bytes in reader.take_strays() {
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
            for hello in hellos {
                let own = (is_closed && !has_owner).then_some(&queue);
                has_owner |= self.join(hello, pipe, own, WhenFull::TurnAway, site)? && own.is_some();
            }
        }
        Ok(has_owner)
    }

    /// Adds a course client if the queue has room. Returns whether it did.
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

    /// Adds a client for which there is room, or which has waited elsewhere.
    pub(super) fn add(&mut self, client: PendingClient) {
        self.waiting.push(client.process_number(), client);
    }

    /// Adds the client of one HELLO, or answers it at once. Returns whether it was added. The HELLO came
    /// through `wkp`. If the client may keep that pipe as its upstream, `queue` is for later clients whose
    /// names come through it.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub(crate) fn join(
        &mut self,
        hello: ReceivedHello,
        wkp: &Rc<OwnedFd>,
        queue: Option<&Rc<PipeQueue>>,
        when_full: WhenFull,
        site: &Rc<Site>,
    ) -> Result<bool> {
        let process = &site.process;
        let ReceivedHello { nonce, version, private } = hello;
        // A client that has gone, or a name that costs its sender nothing, is not worth a place and a later
        // fork.
        let stands = match look(&private) {
            Ok(Standing::Nothing) => Some("nothing"),
            Ok(Standing::Other(what)) => Some(what),
            // The open for the acknowledgement will find the cause of an error.
            Ok(Standing::Fifo(_)) | Err(_) => None,
        };
        if let Some(what) = stands {
            let text = format!("{what} stands at its private pipe's name");
            process.log(What::ClientDropped, |event| event.pipe(name_of(&private)).text(text));
            return Ok(false);
        }
        let client = PendingClient::framed(random()?, &private, nonce, wkp, queue);
        process.log(What::HelloReceived, |event| event.session(client.session).pipe(client.name()));
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

    /// If the queue is full, drops a client of the process that has most clients in it. Returns false if that
    /// process is the one of `client`.
    fn make_room_for(&mut self, client: &PendingClient, when_full: WhenFull, site: &Rc<Site>) -> bool {
        if self.waiting.len() < QUEUE_MAX {
            return true;
        }
        let dropped = self.waiting.drop_for(client.process_number());
        dropped.map(|other| reject(other, when_full, site)).is_some()
    }

    /// Takes out the next client.
    pub(crate) fn pop(&mut self) -> Option<PendingClient> {
        self.waiting.pop()
    }

    /// Returns a client that could not be served now to the front.
    pub(crate) fn requeue(&mut self, client: PendingClient) {
        self.waiting.requeue(client.process_number(), client);
    }

    /// Returns whether no client waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Turns all clients away, for a server that ends.
    pub(crate) fn turn_away_all(&mut self, site: &Rc<Site>) {
        for client in self.waiting.drain() {
            client.turn_away(site, SHUTTING_DOWN);
        }
    }
}

fn reject(client: PendingClient, when_full: WhenFull, site: &Rc<Site>) {
    match when_full {
        WhenFull::Refuse => client.refuse(site, QUEUE_FULL),
        WhenFull::TurnAway => client.turn_away(site, QUEUE_FULL),
    }
}

/// Returns the HELLOs among the bytes read. Logs those that name no private pipe.
fn hellos_in(reader: &mut FrameReader, site: &Site) -> Vec<ReceivedHello> {
    // Nearly always there is one HELLO.
    let mut hellos = Vec::with_capacity(1);
    while let Some((frame, _)) = reader.next_frame() {
        if frame.header.kind == Kind::Hello {
            hellos.extend(ReceivedHello::decode(frame.header.session, &frame.payload(), site));
        }
    }
    hellos
}
