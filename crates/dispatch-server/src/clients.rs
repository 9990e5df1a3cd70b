//! The clients of the central process, and the way central process --> subserver.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::deadline::monotonic_ns;
use handshake_core::event::What;
use handshake_core::server::pending::PendingClient;
use handshake_core::server::site::Site;
use handshake_core::server::subservers::Subservers;
use handshake_core::stream::FrameReader;
use handshake_core::sys::Poller;
use handshake_core::wire::{Ack, Frame, Header, Kind, Part, Span, append};
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollFlags;
use nix::unistd::Pid;

use crate::arrival::Arrival;
use crate::flow::Flow;
use crate::pair::{Status, SubserverEnds, pair};

/// All clients, the poller that watches their pipes, and their subservers.
pub(crate) struct Clients {
    pub(crate) site: Rc<Site>,
    pub(crate) poller: Poller,
    pub(crate) subservers: Subservers,
    /// The clients whose subservers have sent ANY_INPUT.
    pub(crate) asked: Vec<u64>,
    pub(crate) by_number: HashMap<u64, Client>,
    last_number: u64,
}

/// One client.
pub(crate) struct Client {
    pub(crate) session: u64,
    subserver: Pid,
    /// The pipe that brings only this client's frames, until EOF. While the flow is blocked, it is not read.
    upstream: Option<Rc<OwnedFd>>,
    pub(crate) flow: Flow,
    /// The pipe up, which brings the status bytes.
    from_subserver: OwnedFd,
}

impl Clients {
    /// No clients yet.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Ok(Self {
            site: Rc::clone(server.site()),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            subservers: Subservers::of(server)?.of_many_descriptors(),
            asked: Vec::new(),
            by_number: HashMap::new(),
            last_number: 0,
        })
    }

    /// Passes on the frames that a reader has read, each to the subserver of the client that `client_of`
    /// returns. Frames of one client that follow each other are joined, and cost one write. Errors are those
    /// of `client_of`.
    pub(crate) fn pass_on(
        &mut self,
        reader: &mut FrameReader,
        mut client_of: impl FnMut(&mut Self, &Frame<'_>) -> Result<Option<u64>>,
    ) -> Result<()> {
        let mut joined: Option<(u64, Span)> = None;
        while let Some((frame, place)) = reader.next_frame() {
            let Some(number) = client_of(self, &frame)? else { continue };
            match &mut joined {
                Some((last, run)) if *last == number && run.end == place.start => run.end = place.end,
                _ => {
                    if let Some((last, run)) = joined.replace((number, place)) {
                        self.send(last, &reader.bytes()[run]);
                    }
                }
            }
        }
        if let Some((last, run)) = joined {
            self.send(last, &reader.bytes()[run]);
        }
        Ok(())
    }

    /// central process --> subserver: passes on frames of one client.
    fn send(&mut self, number: u64, frames: &[u8]) {
        let Some(Client { session, flow, .. }) = self.by_number.get_mut(&number) else { return };
        let (session, before) = (*session, monotonic_ns());
        let blocks = flow.send(frames);
        let process = &self.site.process;
        process.log_since(What::Routed, before, |event| event.session(session).bytes(frames.len()));
        if blocks {
            self.watch_flow(number);
        }
    }

    /// Sends a frame of the central process to a subserver, after all that was routed to it.
    pub(crate) fn send_own(&mut self, number: u64, kind: Kind, reason: &str) {
        let Some(client) = self.by_number.get_mut(&number) else { return };
        let mut frame = Vec::new();
        let header = Header { kind, part: Part::ONLY, session: client.session, sequence: 0 };
        append(&mut frame, header, reason.as_bytes());
        if client.flow.send(&frame) {
            self.watch_flow(number);
        }
    }

    /// Writes what a blocked flow holds. Returns true if the pipe takes it all; the upstream is read again.
    pub(crate) fn resume(&mut self, number: u64) -> bool {
        let resumes = self.by_number.get_mut(&number).is_some_and(|client| client.flow.resume());
        if resumes {
            self.watch_flow(number);
        }
        resumes
    }

    /// Watches what the flow waits for now: the pipe down if that is full, or else the upstream.
    fn watch_flow(&mut self, number: u64) {
        let Some(Client { flow, upstream, .. }) = self.by_number.get(&number) else { return };
        let (down, upstream) = (flow.pipe(), upstream.as_deref());
        let (before, now, interest) = if flow.is_blocked() {
            (upstream, down, EpollFlags::EPOLLOUT)
        } else {
            (down, upstream, EpollFlags::EPOLLIN)
        };
        if let Some(before) = before {
            let _ = self.poller.remove(before);
        }
        let watched = now.map(|now| self.watch(now, Arrival::Frames(number), interest));
        if let Some(Err(error)) = watched {
            self.end_session(number, &format!("the server is short of memory: {error}"));
        }
    }

    /// subserver --> central process: reads the status bytes that a subserver has sent.
    pub(crate) fn read_status(&mut self, number: u64) -> Status {
        let Some(client) = self.by_number.get(&number) else { return Status::default() };
        let status = Status::read(&client.from_subserver);
        if status.asks {
            self.asked.push(number);
        }
        status
    }

    /// A number for a client or a pipe. No number is used twice, so a late event finds no other client.
    pub(crate) fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Adds a client, with a pair of unnamed pipes, and watches its pipes. `upstream` brings only this
    /// client's frames.
    pub(crate) fn add(
        &mut self,
        number: u64,
        session: u64,
        upstream: Option<Rc<OwnedFd>>,
        ack: Ack,
    ) -> Result<SubserverEnds> {
        let (to_subserver, from_subserver, ends) = pair(ack)?;
        let flow = Flow::Open(to_subserver);
        let client = Client { session, subserver: Pid::from_raw(0), upstream, flow, from_subserver };
        if let Some(upstream) = &client.upstream {
            self.watch(upstream, Arrival::Frames(number), EpollFlags::EPOLLIN)?;
        }
        let watched = self.watch(&client.from_subserver, Arrival::Status(number), EpollFlags::EPOLLIN);
        self.by_number.insert(number, client);
        watched.map(|()| ends)
    }

    /// Forks off the subserver of a client that was added.
    pub(crate) fn fork(
        &mut self,
        number: u64,
        mut client: PendingClient,
        ends: SubserverEnds,
        serve: impl FnOnce(PendingClient, SubserverEnds) -> Result<()>,
    ) -> Result<(), Box<(PendingClient, Error)>> {
        let (from_central, to_central) = (Rc::clone(&ends.from_central), Rc::clone(&ends.to_central));
        let keep = [from_central.as_fd(), to_central.as_fd()];
        // The central process reads the pipe, so the clients that wait for this pipe stay with it.
        let queue = client.leave_queue();
        let forked = self.subservers.fork(client, &keep, |client| serve(client, ends));
        let subserver = forked.map_err(|mut failed| {
            failed.0.take_queue_back(queue);
            failed
        })?;
        self.by_number.entry(number).and_modify(|client| client.subserver = subserver);
        Ok(())
    }

    pub(crate) fn watch(&self, fd: impl AsFd, arrival: Arrival, interest: EpollFlags) -> Result<()> {
        self.poller.add(fd, arrival.token(), interest).map_err(|errno| Error::on("watch", "a pipe", errno))
    }

    /// Removes a client, and all its pipes from the poller. Closing them may not be enough: a child just
    /// forked may still hold a copy, and the poller would report it for ever.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Client> {
        let client = self.by_number.remove(&number)?;
        let pipes = [client.upstream.as_deref(), client.flow.pipe(), Some(&client.from_subserver)];
        for pipe in pipes.into_iter().flatten() {
            let _ = self.poller.remove(pipe);
        }
        Some(client)
    }

    /// The client writes no more: its subserver sees EOF. While bytes are held, the pipe down stays open.
    pub(crate) fn close(&mut self, number: u64) {
        let Some(client) = self.by_number.get_mut(&number) else { return };
        if let Some(upstream) = client.upstream.take() {
            let _ = self.poller.remove(upstream);
        }
        client.flow.close();
    }

    /// Ends a session. The subserver tells its client why, if the client takes that within the grace.
    pub(crate) fn end_session(&mut self, number: u64, reason: &str) {
        self.send_own(number, Kind::Bye, reason);
        let Some(client) = self.by_number.get_mut(&number) else { return };
        let (session, subserver) = (client.session, client.subserver);
        self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        self.subservers.order_to_end(subserver);
    }

    /// The session is over: closes the pair.
    pub(crate) fn forget(&mut self, number: u64, why: &str) {
        let Some(client) = self.remove(number) else { return };
        let session = client.session;
        if let Flow::Closed(Some(errno)) = client.flow {
            let reason = Error::on("write to", "its subserver", errno);
            self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        }
        self.site.process.log(What::StatusReceived, |event| event.session(session).text(why));
    }

    /// Whether no client and no subserver is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_number.is_empty() && self.subservers.is_empty()
    }
}
