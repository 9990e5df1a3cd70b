//! The clients of the central process. It never waits while it writes to their subservers.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::event::What;
use handshake_core::server::site::Site;
use handshake_core::server::subservers::Subservers;
use handshake_core::stream::{FrameReader, STARVED_WRITES_MAX};
use handshake_core::sys::Poller;
use handshake_core::wire::{Frame, Header, Kind, Part, Span, append};
use handshake_core::{Error, Result};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::unistd::{Pid, write};

use crate::token::{Arrival, Token};

/// All clients, the poller that watches their pipes, and their subservers.
pub(crate) struct Clients {
    pub(crate) site: Rc<Site>,
    pub(crate) poller: Poller,
    pub(crate) subservers: Subservers,
    pub(crate) by_number: HashMap<u64, Client>,
    /// The clients whose subservers have sent ANY_INPUT.
    pub(crate) asked: Vec<u64>,
    pub(crate) last_number: u64,
}

/// One client.
pub(crate) struct Client {
    pub(crate) session: u64,
    pub(crate) subserver: Pid,
    /// The pipe that brings only this client's frames, until EOF. While the flow is blocked, it is not read.
    pub(crate) upstream: Option<Rc<OwnedFd>>,
    /// The pipe down, which takes the frames.
    pub(crate) flow: Flow,
    /// The pipe up, which brings the status bytes.
    pub(crate) from_subserver: OwnedFd,
    /// The central process has ended this session.
    pub(crate) is_ending: bool,
}

impl Clients {
    /// A number for a client or a pipe. No number is used twice, so a late event finds no other client.
    pub(crate) fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn watch(&self, fd: impl AsFd, arrival: Arrival, interest: EpollFlags) -> Result<()> {
        let Token(token) = arrival.into();
        self.poller.add(fd, token, interest).map_err(|errno| Error::on("watch", "a pipe", errno))
    }

    /// Removes all pipes of a client from the poller. Closing them may not be enough: a child just forked may
    /// still hold a copy, and the poller would report it for ever.
    pub(crate) fn unwatch(&self, client: &Client) {
        let pipes = [client.upstream.as_deref(), client.flow.pipe(), Some(&client.from_subserver)];
        for pipe in pipes.into_iter().flatten() {
            let _ = self.poller.remove(pipe);
        }
    }

    /// The client writes no more: its subserver sees EOF. While bytes are held, the pipe down stays open.
    pub(crate) fn close(&mut self, number: u64) {
        let Some(client) = self.by_number.get_mut(&number) else { return };
        if let Some(upstream) = client.upstream.take() {
            let _ = self.poller.remove(upstream);
        }
        if let Flow::Reading(_) = client.flow {
            client.flow = Flow::Closed(None);
        }
    }

    /// Watches what the flow waits for now: the pipe down if that is full, or else the upstream.
    pub(crate) fn watch_flow(&mut self, number: u64) {
        let Some(Client { flow, upstream, .. }) = self.by_number.get(&number) else { return };
        let (pipe, upstream) = (flow.pipe(), upstream.as_deref());
        let (before, now, interest) = match flow {
            Flow::Blocked(..) => (upstream, pipe, EpollFlags::EPOLLOUT),
            _ => (pipe, upstream, EpollFlags::EPOLLIN),
        };
        if let Some(before) = before {
            let _ = self.poller.remove(before);
        }
        let watched = now.map(|now| self.watch(now, Arrival::Frames(number), interest));
        if let Some(Err(error)) = watched {
            self.end_session(number, &format!("the server is short of memory: {error}"));
        }
    }

    /// Writes what a blocked flow holds. Returns true if the pipe down takes it all; the upstream is read
    /// again.
    pub(crate) fn resume(&mut self, number: u64) -> bool {
        let blocked = self.by_number.get_mut(&number).filter(|client| client.flow.is_blocked());
        let Some(Client { flow, .. }) = blocked else { return false };
        flow.write(&[]);
        let resumes = !flow.is_blocked();
        if resumes {
            self.watch_flow(number);
        }
        resumes
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

    /// Ends a session. The subserver tells its client why, if the client takes that within the grace.
    pub(crate) fn end_session(&mut self, number: u64, reason: &str) {
        self.send_own(number, Kind::Bye, reason);
        let Some(client) = self.by_number.get_mut(&number) else { return };
        client.is_ending = true;
        let (session, subserver) = (client.session, client.subserver);
        self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        self.subservers.order_to_end(subserver);
    }

    /// The session is over: closes the pair.
    pub(crate) fn forget(&mut self, number: u64, why: &str) {
        let Some(client) = self.by_number.remove(&number) else { return };
        self.unwatch(&client);
        let session = client.session;
        if let Flow::Closed(Some(errno)) = client.flow {
            let reason = Error::on("write to", "its subserver", errno);
            self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        }
        self.site.process.log(What::NewsReceived, |event| event.session(session).text(why));
    }
}

/// The writing end of the pipe down, and what became of the last write.
pub(crate) enum Flow {
    /// The pipe has taken everything, and the central process reads on.
    Reading(OwnedFd),
    /// The pipe is full, and these bytes are held: less than one read of an upstream, or with `--shared-wkp`
    /// a window and a half. The number counts writes in a row for which the kernel had no memory.
    Blocked(OwnedFd, Vec<u8>, u32),
    /// The pipe is closed. The error is that of the last write, if it was not EPIPE (the subserver's death).
    Closed(Option<Errno>),
}

impl Flow {
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked(..))
    }

    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        match self {
            Self::Reading(pipe) | Self::Blocked(pipe, ..) => Some(pipe),
            Self::Closed(_) => None,
        }
    }

    /// Writes what the pipe takes, and holds the rest. Returns true if this blocks the flow.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        if let Self::Blocked(_, held, _) = self {
            held.extend_from_slice(bytes);
            return false;
        }
        self.write(bytes);
        self.is_blocked()
    }

    /// One write of what is held, or else of these bytes. After an error, the subserver sees EOF: a session
    /// must not go on without these bytes.
    fn write(&mut self, bytes: &[u8]) {
        let (pipe, held, starved) = match std::mem::replace(self, Self::Closed(None)) {
            Self::Reading(pipe) => (pipe, Vec::new(), 0),
            Self::Blocked(pipe, held, starved) => (pipe, held, starved),
            closed @ Self::Closed(_) => return *self = closed,
        };
        let bytes = if held.is_empty() { bytes } else { &held };
        *self = match write(&pipe, bytes) {
            Ok(count) if count == bytes.len() => Self::Reading(pipe),
            Ok(count) => Self::Blocked(pipe, bytes[count..].to_vec(), 0),
            Err(Errno::EAGAIN) => Self::Blocked(pipe, bytes.to_vec(), 0),
            Err(Errno::ENOMEM) if starved < STARVED_WRITES_MAX => {
                Self::Blocked(pipe, bytes.to_vec(), starved + 1)
            }
            Err(errno) => Self::Closed(Some(errno).filter(|errno| *errno != Errno::EPIPE)),
        };
    }
}

/// Joins frames of one client that follow each other, so that one write passes them on.
#[derive(Default)]
pub(crate) struct Runs(Option<(u64, Span)>);

impl Runs {
    /// Returns the next run's client, and its place in the reader's bytes. `client_of` returns the client
    /// that a frame is passed on for, or `None`.
    ///
    /// # Errors
    /// Those of `client_of`.
    pub(crate) fn next(
        &mut self,
        reader: &mut FrameReader,
        mut client_of: impl FnMut(&Frame<'_>) -> Result<Option<u64>>,
    ) -> Result<Option<(u64, Span)>> {
        while let Some((frame, place)) = reader.next_frame() {
            let Some(client) = client_of(&frame)? else { continue };
            match &mut self.0 {
                Some((last, run)) if *last == client && run.end == place.start => run.end = place.end,
                run => match run.replace((client, place)) {
                    None => {}
                    whole => return Ok(whole),
                },
            }
        }
        Ok(self.0.take())
    }
}
