//! Each client's upstream is the well-known pipe that it shook hands on, or a fresh pipe.
//!
//! The pipe is this client's alone, so the kernel gives it backpressure, EOF and privacy. While the pipe down
//! to the subserver is full, the central process leaves this one upstream unread.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::deadline::{Deadline, monotonic_ns};
use handshake_core::event::What;
use handshake_core::fifo::Fifo;
use handshake_core::io::Filled;
use handshake_core::server::course::used_pipe::{USED_MAX, UsedPipe};
use handshake_core::server::pending::{AckParams, PendingClient};
use handshake_core::server::site::Site;
use handshake_core::strays::{drain, note_skipped};
use handshake_core::stream::{FrameReader, new_buffer};
use handshake_core::wire::Kind;
use handshake_core::{Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::client::{Clients, Runs};
use crate::pair::long_lived;
use crate::token::Arrival;
use crate::upstreams::Upstreams;

/// The upstreams of all clients.
pub(crate) struct OwnPipes {
    /// By the client's number.
    pipes: HashMap<u64, OwnPipe>,
    /// Lent to each reader for one read.
    buffer: Box<[u8]>,
    /// Whether the poller watches the well-known pipe.
    watches_wkp: bool,
    /// Pipes whose clients have left. Course clients may wait for them.
    used: Vec<UsedPipe>,
    /// Used pipes without a waiting client. Another process has them open and may still write a name.
    open: HashMap<u64, UsedPipe>,
    /// The earliest time at which one of `open` may close.
    open_until: Deadline,
}

/// The upstream of one client.
struct OwnPipe {
    /// Until the upstream ends.
    reader: Option<FrameReader>,
    /// That pipe, if it was the well-known one. Course clients may wait for it.
    used: Option<UsedPipe>,
    /// A fresh upstream that still has its name.
    fresh: Option<Fifo>,
}

impl OwnPipe {
    fn new(client: &PendingClient, server: &Server) -> Result<(Self, AckParams)> {
        let mut upstream = client.upstream(server.site())?;
        let longest = server.options().limits.longest;
        let ack = AckParams { window: 0, longest, upstream: upstream.name_in_ack() };
        let pipe = Rc::new(long_lived(&upstream.from_client)?);
        let used = client.used_pipe().map(|used| used.read_through(&pipe));
        let reader = upstream.reader(FrameReader::without_buffer(pipe, upstream.framing));
        Ok((Self { reader: Some(reader), used, fresh: upstream.fresh }, ack))
    }
}

impl OwnPipes {
    /// No upstreams yet.
    pub(crate) fn new() -> Self {
        Self {
            pipes: HashMap::new(),
            buffer: new_buffer(),
            watches_wkp: false,
            used: Vec::new(),
            open: HashMap::new(),
            open_until: Deadline::NEVER,
        }
    }

    fn unwatch_wkp(&mut self, clients: &Clients, wkp: impl AsFd) {
        if std::mem::take(&mut self.watches_wkp) {
            // It was watched, so this cannot fail.
            let _ = clients.poller.remove(wkp);
        }
    }

    /// A pipe whose client has left has bytes or EOF, or its time is up.
    fn check_open(&mut self, clients: &Clients, number: u64) {
        if let Some(pipe) = self.open.remove(&number) {
            // It was watched, so this cannot fail.
            let _ = clients.poller.remove(&pipe);
            self.used.push(pipe);
        }
    }
}

impl Upstreams for OwnPipes {
    fn watch(&mut self, clients: &mut Clients, wkp: Rc<OwnedFd>, admit: bool) -> Result<()> {
        if admit && !self.watches_wkp {
            let number = clients.new_number();
            clients.watch(&wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
            self.watches_wkp = true;
        } else if !admit {
            self.unwatch_wkp(clients, wkp);
        }
        Ok(())
    }

    fn receive(&mut self, clients: &mut Clients, server: &mut Server, _: Option<u64>) -> Result<()> {
        let Some(wkp) = server.wkp().filter(|_| self.watches_wkp) else { return Ok(()) };
        self.unwatch_wkp(clients, wkp);
        server.receive_and_replace()
    }

    fn admit(&mut self, clients: &mut Clients, server: &mut Server, client: PendingClient) {
        let (pipe, ack) = match OwnPipe::new(&client, server) {
            Ok(new) => new,
            Err(error) => return server.requeue((client, error)),
        };
        let upstream = pipe.reader.as_ref().map(|reader| Rc::clone(reader.pipe()));
        if let Some(number) = clients.fork(server, client, upstream, ack) {
            self.pipes.insert(number, pipe);
        }
    }

    /// One read of what the client wrote, and one write of the frames that count. If the poller has not
    /// reported the pipe, `read` = 0 may be no EOF: the client may not have opened its fresh pipe yet.
    fn route(&mut self, clients: &mut Clients, number: u64, shown: bool) {
        let Some(client) = clients.by_number.get_mut(&number) else {
            return self.check_open(clients, number);
        };
        let Some(OwnPipe { reader, fresh, .. }) = self.pipes.get_mut(&number) else { return };
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
            Ok(Filled::End) => shown || fresh.is_none(),
            Err(_) => true,
        };
        let (before, session, process) = (monotonic_ns(), client.session, &clients.site.process);
        let (mut runs, mut routed, mut is_ready, mut blocks) = (Runs::default(), 0, false, false);
        while let Ok(Some((_, run))) = runs.next(reader, |frame| {
            let kind = frame.header.kind;
            is_ready |= kind == Kind::Ready;
            // A client may send nothing else.
            let counts = matches!(kind, Kind::Ready | Kind::Request | Kind::Bye);
            Ok((counts && frame.header.session == session).then_some(number))
        }) {
            routed += run.len();
            blocks |= client.flow.send(&reader.bytes()[run]);
        }
        note_skipped(reader, Some(session), process);
        reader.give_back(&mut self.buffer);
        if routed > 0 {
            process.log_since(What::Routed, before, |event| event.session(session).bytes(routed));
        }
        if let Some(fifo) = fresh.take_if(|_| is_ready) {
            let name = fifo.name();
            let remove = || fifo.remove();
            // If this fails, the next start of a server sweeps the name.
            let _ =
                process.log_around(What::UpstreamRemoved, |event| event.session(session).pipe(name), remove);
        }
        if ended {
            self.close(clients, number);
        }
        if blocks {
            clients.watch_flow(number);
        }
    }

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

    fn remove(&mut self, clients: &mut Clients, number: u64) {
        self.close(clients, number);
        self.used.extend(self.pipes.remove(&number).and_then(|pipe| pipe.used));
    }

    fn hand_on(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        if self.open_until.passed() {
            self.open_until = Deadline::NEVER;
            for number in self.open.keys().copied().collect::<Vec<_>>() {
                self.check_open(clients, number);
            }
        }
        for pipe in std::mem::take(&mut self.used) {
            let Some((pipe, until)) = server.hand_on(pipe)? else { continue };
            let number = clients.new_number();
            if self.open.len() < USED_MAX
                && clients.watch(&pipe, Arrival::Frames(number), EpollFlags::EPOLLIN).is_ok()
            {
                self.open.insert(number, pipe);
                self.open_until = self.open_until.or(until);
            }
        }
        Ok(())
    }

    fn stop(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        server.wkp().into_iter().for_each(|wkp| self.unwatch_wkp(clients, wkp));
        Ok(())
    }

    fn end(&mut self, site: &Rc<Site>) {
        let pipes = self.pipes.drain().filter_map(|(_, pipe)| pipe.used);
        for pipe in pipes.chain(self.open.drain().map(|(_, pipe)| pipe)).chain(self.used.drain(..)) {
            pipe.close(site, "the server is shutting down");
        }
    }
}
