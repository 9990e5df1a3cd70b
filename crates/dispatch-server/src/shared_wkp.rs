//! `--shared-wkp`: one well-known pipe that is never removed brings the frames of all clients.
//!
//! The session number in a frame says which client sent it. The kernel gives no backpressure per client here,
//! so each client has a window.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use handshake_core::deadline::monotonic_ns;
use handshake_core::event::What;
use handshake_core::io::Filled;
use handshake_core::server::pending::{AckParams, PendingClient};
use handshake_core::server::site::Site;
use handshake_core::server::upstream::reader_of_shared;
use handshake_core::strays::note_skipped;
use handshake_core::stream::{FrameReader, READ_SIZE, READS_MAX};
use handshake_core::wire::{FRAME_MAX, Frame, Kind, PAYLOAD_MAX};
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::client::{Client, Clients, Runs};
use crate::token::Arrival;
use crate::upstreams::Upstreams;

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
    sessions: HashMap<u64, Session>,
}

/// What counts for the frames of one session.
struct Session {
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

    /// One read: HELLOs join the queue, and the rest is routed by session number. Returns how many bytes it
    /// read.
    fn read(&mut self, clients: &mut Clients, server: &mut Server, wkp: u64) -> Result<usize> {
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
            Err(errno) => return Err(Error::at("read", server.place().wkp(), errno, "")),
        };
        self.was_full |= bytes + FRAME_MAX > READ_SIZE;
        let (pipe, mut runs) = (Rc::clone(reader.pipe()), Runs::default());
        while let Some((client, run)) =
            runs.next(&mut reader, |frame| self.client_of(clients, server, frame, &pipe))?
        {
            let Some(Client { session, flow, .. }) = clients.by_number.get_mut(&client) else { continue };
            let (session, before, length) = (*session, monotonic_ns(), run.len());
            let blocks = flow.send(&reader.bytes()[run]);
            let process = &clients.site.process;
            process.log_since(What::Routed, before, |event| event.session(session).bytes(length));
            if blocks {
                clients.watch_flow(client);
            }
        }
        note_skipped(&mut reader, None, &clients.site.process);
        self.wkps.insert(wkp, reader);
        Ok(bytes)
    }

    /// Reads all pipes until they are empty.
    fn read_all(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        for wkp in self.wkps.keys().copied().collect::<Vec<_>>() {
            // The number of reads is bounded, since a client may go on writing.
            for _ in 0..READS_MAX {
                if self.read(clients, server, wkp)? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The client that a frame is routed for. None, if it is a HELLO, or of no session or an ended one, or if
    /// clients may not send such a frame.
    fn client_of(
        &mut self,
        clients: &mut Clients,
        server: &mut Server,
        frame: &Frame<'_>,
        pipe: &Rc<OwnedFd>,
    ) -> Result<Option<u64>> {
        let (kind, number) = (frame.header.kind, frame.header.session);
        if kind == Kind::Hello {
            server.receive_hello(number, &frame.payload(), pipe)?;
            return Ok(None);
        }
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(None) };
        let client = session.client;
        let is_ending = clients.by_number.get(&client).is_none_or(|client| client.is_ending);
        let counts = !is_ending
            && match kind {
                // Once: no window bounds more of them.
                Kind::Ready => !std::mem::replace(&mut session.ready, true),
                Kind::Request => {
                    session.unanswered += 1;
                    session.unanswered <= UNANSWERED_MAX || self.allows(clients, number, client)
                }
                Kind::Bye => self.sessions.remove(&number).is_some(),
                _ => false,
            };
        Ok(counts.then_some(client))
    }

    /// A client seems to have exceeded its window: receives its subserver's reports. Returns whether these
    /// allow the frame, and ends the session if not.
    fn allows(&mut self, clients: &mut Clients, session: u64, client: u64) -> bool {
        // What was answered before this frame was sent has been reported by now, if not yet received.
        self.receive_status(clients, client);
        let Some(session) = self.sessions.get(&session) else { return false };
        let is_allowed = session.unanswered <= UNANSWERED_MAX;
        if !is_allowed {
            clients.end_session(client, "it sent more than its window allows");
        }
        is_allowed
    }
}

impl Upstreams for SharedWkp {
    /// Sessions go through this pipe, so it is watched in any case.
    fn watch(&mut self, clients: &mut Clients, wkp: Rc<OwnedFd>, _: bool) -> Result<()> {
        if !self.watches_wkp {
            let number = clients.new_number();
            clients.watch(&wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
            self.watches_wkp = true;
            self.wkps.insert(number, reader_of_shared(wkp, &clients.site));
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

    fn receive(&mut self, clients: &mut Clients, server: &mut Server, wkp: Option<u64>) -> Result<()> {
        if let Some(wkp) = wkp {
            self.read(clients, server, wkp)?;
        } else if self.watches_wkp {
            // Its clients go on writing to it; new clients find the next one.
            self.watches_wkp = server.replace()?.is_none();
        }
        Ok(())
    }

    fn admit(&mut self, clients: &mut Clients, server: &mut Server, client: PendingClient) {
        let longest = server.options().limits.longest.min(usize::from(WINDOW) * PAYLOAD_MAX);
        let (session, ack) = (client.session, AckParams { window: WINDOW, longest, upstream: Vec::new() });
        if let Some(client) = clients.fork(server, client, None, ack) {
            self.sessions.insert(session, Session { client, ready: false, unanswered: 0 });
        }
    }

    fn route(&mut self, clients: &mut Clients, number: u64, _: bool) {
        clients.resume(number);
    }

    fn answered(&mut self, session: u64, frames: usize) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.unanswered = session.unanswered.saturating_sub(frames);
        }
    }

    fn catch_up(&mut self, clients: &mut Clients, server: &mut Server, asked: bool) -> Result<bool> {
        if asked {
            self.read_all(clients, server)?;
        }
        Ok(!std::mem::take(&mut self.was_full))
    }

    fn remove(&mut self, clients: &mut Clients, number: u64) {
        if let Some(client) = clients.by_number.get(&number) {
            self.sessions.remove(&client.session);
        }
    }

    fn stop(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        self.read_all(clients, server)?;
        for (_, reader) in self.wkps.drain() {
            let _ = clients.poller.remove(&reader);
        }
        Ok(())
    }
}
