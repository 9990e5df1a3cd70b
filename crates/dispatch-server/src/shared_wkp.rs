//! client --> central process, in the second reading (`--shared-wkp`): one well-known pipe, which is never
//! removed, brings the frames of all clients.
//!
//! The session number in a frame says which client sent it. The kernel gives no backpressure per client here,
//! so each client has a window.

use std::collections::HashMap;
use std::rc::Rc;

use handshake_core::error::SHUTTING_DOWN;
use handshake_core::io::Filled;
use handshake_core::server::pending::PendingClient;
use handshake_core::server::site::Site;
use handshake_core::server::upstream::reader_of_shared;
use handshake_core::server::wkp::WellKnownPipe;
use handshake_core::strays::note_skipped;
use handshake_core::stream::{FrameReader, READ_SIZE, READS_MAX};
use handshake_core::wire::{Ack, FRAME_MAX, Frame, Kind, PAYLOAD_MAX};
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::arrival::Arrival;
use crate::clients::Clients;

/// Why the server cannot serve a client of the course dialect.
const NO_COURSE: &str =
    "it speaks the course dialect, whose messages do not say whose they are; with --shared-wkp they must";

/// Frames that a client may have unanswered. Sixteen full ones are the 64 KiB of a pipe, so no client that
/// keeps to its window can fill the well-known pipe.
const WINDOW: u16 = 16;

/// A client that has more frames unanswered breaks the rules. Subservers report answers once for each half
/// window, so the central process may know of half a window too many.
const UNANSWERED_MAX: usize = (WINDOW + WINDOW / 2) as usize;

/// The well-known pipe, and old ones that clients may still have open. Each costs a descriptor and 64 KiB.
const WKPS_MAX: usize = 8;

/// The well-known pipes that all clients write to.
pub(crate) struct SharedWkp {
    /// The well-known pipe, and those that lost their name and still have clients.
    wkps: HashMap<u64, FrameReader>,
    /// Whether the current well-known pipe is among them.
    watches_wkp: bool,
    /// Whether one of them was full in this turn.
    was_full: bool,
    /// The sessions whose frames are routed, by the number in the frames.
    sessions: HashMap<u64, RoutedSession>,
}

/// What counts for the frames of one session.
struct RoutedSession {
    /// The client's number.
    client: u64,
    /// Whether READY came.
    ready: bool,
    /// Frames routed and not reported as answered.
    unanswered: usize,
}

impl SharedWkp {
    /// No clients yet; none will speak the course dialect.
    pub(crate) fn new(site: &Site) -> Self {
        site.serve_no_course(NO_COURSE);
        Self { wkps: HashMap::new(), watches_wkp: false, was_full: false, sessions: HashMap::new() }
    }

    /// Step 2: watches the well-known pipe, even at capacity, since sessions go through it.
    pub(crate) fn watch(&mut self, clients: &mut Clients, wkp: &WellKnownPipe) -> Result<()> {
        if !self.watches_wkp {
            let number = clients.new_number();
            clients.watch(wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
            self.watches_wkp = true;
            self.wkps.insert(number, reader_of_shared(wkp.reading_end(), &clients.site));
            // A pipe that has lost its name is read as long as a client has it open. Of too many such pipes,
            // the oldest is closed, which its clients see.
            while self.wkps.len() > WKPS_MAX
                && let Some(oldest) = self.wkps.keys().min().copied()
                && let Some(reader) = self.wkps.remove(&oldest)
            {
                let _ = clients.poller.remove(&reader);
            }
        }
        Ok(())
    }

    /// The well-known pipe has lost its name: makes the next one for new clients. Sessions go on through the
    /// old one.
    pub(crate) fn replace(&mut self, server: &mut Server) -> Result<()> {
        if self.watches_wkp {
            self.watches_wkp = server.replace()?.is_none();
        }
        Ok(())
    }

    /// Step 7: opens the window of a client, and returns what the ACK says.
    pub(crate) fn prepare(&mut self, server: &Server, client: &PendingClient, number: u64) -> Ack {
        let longest = server.options().limits.longest.min(usize::from(WINDOW) * PAYLOAD_MAX);
        self.sessions.insert(client.session, RoutedSession { client: number, ready: false, unanswered: 0 });
        client.ack(WINDOW, longest, Vec::new())
    }

    /// The subserver could not be forked.
    pub(crate) fn cancel(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// client --> central process --> subserver: one read. HELLOs join the queue (step 6), and the rest is
    /// routed by session number. Returns how many bytes it read.
    pub(crate) fn route(&mut self, clients: &mut Clients, server: &mut Server, wkp: u64) -> Result<usize> {
        // Taken out, so that what it read can be routed meanwhile.
        let Some(mut reader) = self.wkps.remove(&wkp) else { return Ok(0) };
        let bytes = match reader.fill() {
            // No client has it open any more. The current pipe has no EOF: this process can write to it.
            Ok(Filled::End) => {
                let _ = clients.poller.remove(&reader);
                return Ok(0);
            }
            Ok(Filled::Bytes(bytes)) => bytes,
            Ok(Filled::Nothing) => 0,
            Err(errno) => return Err(Error::at("read", server.site().place.wkp(), errno, "")),
        };
        self.was_full |= bytes + FRAME_MAX > READ_SIZE;
        let pipe = Rc::clone(reader.pipe());
        clients.pass_on(&mut reader, |clients, frame| match frame.header.kind {
            Kind::Hello => {
                server.receive_hello(frame.header.session, &frame.payload(), &pipe)?;
                Ok(None)
            }
            _ => Ok(self.client_of(clients, frame)),
        })?;
        note_skipped(&mut reader, None, &clients.site.process);
        self.wkps.insert(wkp, reader);
        Ok(bytes)
    }

    /// Reads all pipes until they are empty.
    fn read_all(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        for wkp in self.wkps.keys().copied().collect::<Vec<_>>() {
            // The number of reads is bounded, since a client may go on writing.
            for _ in 0..READS_MAX {
                if self.route(clients, server, wkp)? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The client that a frame is routed for. None, if the frame is of no session or of one that has ended,
    /// or if clients may not send such a frame.
    fn client_of(&mut self, clients: &mut Clients, frame: &Frame<'_>) -> Option<u64> {
        let number = frame.header.session;
        let session = self.sessions.get_mut(&number)?;
        let client = session.client;
        let counts = match frame.header.kind {
            // Once: no window bounds more of them.
            Kind::Ready => !std::mem::replace(&mut session.ready, true),
            Kind::Request => {
                session.unanswered += 1;
                session.unanswered <= UNANSWERED_MAX || self.allows(clients, number, client)
            }
            Kind::Bye => self.sessions.remove(&number).is_some(),
            _ => false,
        };
        counts.then_some(client)
    }

    /// A client seems to have exceeded its window: receives its subserver's reports. Returns whether these
    /// allow the frame, and ends the session if not.
    fn allows(&mut self, clients: &mut Clients, number: u64, client: u64) -> bool {
        // What was answered before this frame was sent has been reported by now, if not yet received.
        self.receive_status(clients, client);
        let Some(session) = self.sessions.get(&number) else { return false };
        let is_allowed = session.unanswered <= UNANSWERED_MAX;
        if !is_allowed {
            clients.end_session(client, "it sent more than its window allows");
            self.sessions.remove(&number);
        }
        is_allowed
    }

    /// subserver --> central process: the subserver's status.
    pub(crate) fn receive_status(&mut self, clients: &mut Clients, client: u64) {
        let Some(number) = clients.by_number.get(&client).map(|client| client.session) else { return };
        let status = clients.read_status(client);
        if let Some(why) = status.over {
            self.sessions.remove(&number);
            clients.forget(client, why);
        } else if let Some(session) = self.sessions.get_mut(&number) {
            session.unanswered = session.unanswered.saturating_sub(status.answered);
        }
    }

    /// Called once a turn. If a subserver has asked whether its client is idle, reads all pipes. Returns
    /// false if a pipe was full: its clients wait for room, and are not idle.
    pub(crate) fn reread(&mut self, clients: &mut Clients, server: &mut Server, asked: bool) -> Result<bool> {
        if asked {
            self.read_all(clients, server)?;
        }
        Ok(!std::mem::take(&mut self.was_full))
    }

    /// The server shuts down: receives what has arrived up to now, and nothing that comes later.
    pub(crate) fn stop(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        self.read_all(clients, server)?;
        for (_, reader) in self.wkps.drain() {
            let _ = clients.poller.remove(&reader);
        }
        server.close()?;
        for number in clients.by_number.keys().copied().collect::<Vec<_>>() {
            clients.send_own(number, Kind::Bye, SHUTTING_DOWN);
            clients.close(number);
        }
        Ok(())
    }
}
