//! client --> central process, in the first reading: each client has its own upstream. That is the well-known
//! pipe that its HELLO came through, or a fresh pipe.
//!
//! The pipe is this client's alone, so the kernel gives it backpressure, EOF and privacy. While the unnamed
//! pipe to the subserver is full, the central process leaves this one upstream unread.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use handshake_core::error::SHUTTING_DOWN;
use handshake_core::event::{Event, What};
use handshake_core::fifo::Fifo;
use handshake_core::io::Filled;
use handshake_core::server::course::used_pipe::UsedPipe;
use handshake_core::server::pending::PendingClient;
use handshake_core::server::site::Site;
use handshake_core::server::wkp::WellKnownPipe;
use handshake_core::strays::{drain, note_skipped};
use handshake_core::stream::{FrameReader, new_buffer};
use handshake_core::wire::{Ack, Kind};
use handshake_core::{Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::arrival::Arrival;
use crate::clients::Clients;
use crate::pair::long_lived;
use crate::used_pipes::UsedPipes;

/// The upstreams of all clients.
pub(crate) struct OwnPipes {
    /// By the client's number.
    pipes: HashMap<u64, OwnPipe>,
    /// Lent to each reader for one read.
    buffer: Box<[u8]>,
    /// Whether the poller watches the well-known pipe.
    watches_wkp: bool,
    /// Pipes whose clients have left.
    pub(crate) used: UsedPipes,
}

/// The upstream of one client.
struct OwnPipe {
    /// Until the upstream ends.
    reader: Option<FrameReader>,
    /// That pipe, if it was the well-known one. Course clients may wait for it.
    used: Option<UsedPipe>,
    /// A fresh upstream that still has its name.
    fresh: Option<Fifo>,
    /// Its writing end, held until READY if another process has opened and closed it.
    own_end: Option<OwnedFd>,
}

impl OwnPipes {
    /// No upstreams yet.
    pub(crate) fn new() -> Self {
        let (buffer, used) = (new_buffer(), UsedPipes::new());
        Self { pipes: HashMap::new(), buffer, watches_wkp: false, used }
    }

    /// Step 2: watches the well-known pipe, or not while the server wants no new clients.
    pub(crate) fn watch(&mut self, clients: &mut Clients, wkp: &WellKnownPipe, admit: bool) -> Result<()> {
        if admit && !self.watches_wkp {
            let number = clients.new_number();
            clients.watch(wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
        } else if !admit && self.watches_wkp {
            // It was watched, so this cannot fail.
            let _ = clients.poller.remove(wkp);
        }
        self.watches_wkp = admit;
        Ok(())
    }

    /// Steps 6 and 1: replaces the well-known pipe by the next one, and receives the HELLOs.
    pub(crate) fn receive(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        let Some(wkp) = server.wkp().filter(|_| self.watches_wkp) else { return Ok(()) };
        self.watch(clients, wkp, false)?;
        server.receive_and_replace()
    }

    /// Step 7: acquires the upstream of a client, and returns it with what the ACK says.
    pub(crate) fn prepare(
        &mut self,
        server: &Server,
        client: &PendingClient,
        number: u64,
    ) -> Result<(Option<Rc<OwnedFd>>, Ack)> {
        let mut upstream = client.upstream(server.site())?;
        let longest = server.options().limits.longest;
        let ack = client.ack(0, longest, upstream.name_in_ack());
        let pipe = Rc::new(long_lived(&upstream.from_client)?);
        let used = client.used_pipe().map(|used| used.read_through(&pipe));
        let reader = upstream.reader(FrameReader::without_buffer(Rc::clone(&pipe), upstream.framing));
        self.pipes
            .insert(number, OwnPipe { reader: Some(reader), used, fresh: upstream.fresh, own_end: None });
        Ok((Some(pipe), ack))
    }

    /// The subserver could not be forked.
    pub(crate) fn cancel(&mut self, number: u64) {
        self.pipes.remove(&number);
    }

    /// client --> central process --> subserver: one read, and one write of the frames that count. If the
    /// poller has not reported the pipe (`shown`), `read` = 0 may be no EOF: the client may not have opened
    /// its fresh pipe yet.
    pub(crate) fn route(&mut self, clients: &mut Clients, number: u64, shown: bool) {
        let Some(client) = clients.by_number.get(&number) else { return self.used.check(clients, number) };
        let Some(OwnPipe { reader, fresh, own_end, .. }) = self.pipes.get_mut(&number) else { return };
        let session = client.session;
        if client.flow.is_blocked() {
            if clients.resume(number) && reader.is_none() {
                clients.close(number);
            }
            return;
        }
        let Some(reader) = reader else { return };
        reader.begin_batch();
        reader.borrow(&mut self.buffer);
        let ended = match reader.fill() {
            Ok(Filled::Bytes(_) | Filled::Nothing) => false,
            // Another process may have opened a fresh upstream by its name, and closed it. The subserver sees
            // at the private pipe whether the client has gone.
            Ok(Filled::End) => match &fresh {
                Some(fifo) if shown => {
                    *own_end = fifo.open_to_write().ok();
                    own_end.is_none()
                }
                Some(_) => false,
                None => true,
            },
            Err(_) => true,
        };
        let mut is_ready = false;
        // This `client_of` does not fail.
        let _ = clients.pass_on(reader, |_, frame| {
            let kind = frame.header.kind;
            is_ready |= kind == Kind::Ready;
            // A client may send nothing else.
            let counts = matches!(kind, Kind::Ready | Kind::Request | Kind::Bye);
            Ok((counts && frame.header.session == session).then_some(number))
        });
        let process = &clients.site.process;
        note_skipped(reader, Some(session), process);
        reader.give_back(&mut self.buffer);
        own_end.take_if(|_| is_ready);
        if let Some(fifo) = fresh.as_ref().filter(|_| is_ready) {
            let event = |event: Event| event.session(session).pipe(fifo.name());
            // If this fails, the session goes on: the pipe works with its name, too. Its end tries again.
            let removed = process.log_around(What::UpstreamRemoved, event, || fifo.remove());
            fresh.take_if(|_| removed.is_ok());
        }
        if ended {
            self.close(clients, number);
        }
    }

    /// Reads no more of this client; its subserver sees EOF after the frames routed so far.
    fn close(&mut self, clients: &mut Clients, number: u64) {
        clients.close(number);
        let Some(client) = clients.by_number.get(&number) else { return };
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        if let Some(mut reader) = pipe.reader.take()
            && reader.is_open_to_others()
        {
            // Course clients that have written their names into it join its queue.
            reader.borrow(&mut self.buffer);
            drain(&mut reader, client.session, &clients.site.process);
            reader.give_back(&mut self.buffer);
        }
        pipe.used = pipe.used.take().filter(UsedPipe::may_be_handed_on);
    }

    /// subserver --> central process: the subserver's status.
    pub(crate) fn receive_status(&mut self, clients: &mut Clients, number: u64) {
        if let Some(why) = clients.read_status(number).over {
            self.close(clients, number);
            self.used.due.extend(self.pipes.remove(&number).and_then(|pipe| pipe.used));
            clients.forget(number, why);
        }
    }

    /// The server shuts down: receives what has arrived up to now, and nothing that comes later.
    pub(crate) fn stop(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        if let Some(wkp) = server.wkp() {
            self.watch(clients, wkp, false)?;
        }
        server.close()?;
        for number in clients.by_number.keys().copied().collect::<Vec<_>>() {
            self.route(clients, number, false);
            clients.send_own(number, Kind::Bye, SHUTTING_DOWN);
            self.close(clients, number);
        }
        Ok(())
    }

    /// Closes all pipes, and turns away the course clients that wait for them.
    pub(crate) fn close_all(mut self, site: &Rc<Site>) {
        self.used.due.extend(self.pipes.into_values().filter_map(|pipe| pipe.used));
        self.used.close_all(site);
    }
}
