//! The central process: waits for all pipes at once, and hands what arrives to the part that it is for.

use handshake_core::event::What;
use handshake_core::process::Woken;
use handshake_core::server::Arrived;
use handshake_core::server::options::UpstreamMode;
use handshake_core::server::pending::PendingClient;
use handshake_core::wire::Kind;
use handshake_core::{Result, Server};
use nix::sys::epoll::EpollEvent;

use self::Upstreams::{PerClient, Shared};
use crate::arrival::Arrival;
use crate::clients::Clients;
use crate::own_pipe::OwnPipes;
use crate::pair::SubserverEnds;
use crate::shared_wkp::SharedWkp;

/// The most events of one turn; epoll(7) reports the others first in the next turn.
const TURN: usize = 256;

/// What a subserver does.
type Serve = fn(&Server, PendingClient, SubserverEnds) -> Result<()>;

/// The central process.
pub(crate) struct Central {
    clients: Clients,
    upstreams: Upstreams,
    events: Vec<EpollEvent>,
}

/// The pipes that bring the clients' frames, in the two readings of the course's text.
enum Upstreams {
    PerClient(OwnPipes),
    Shared(SharedWkp),
}

impl Central {
    /// A central process without clients.
    ///
    /// # Errors
    /// No file descriptor for a poller. `EDEADLK`: this process has other threads.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let upstreams = match server.options().upstream {
            UpstreamMode::PerClient => PerClient(OwnPipes::new()),
            UpstreamMode::Shared => Shared(SharedWkp::new(server.site())),
        };
        Ok(Self { clients: Clients::new(server)?, upstreams, events: vec![EpollEvent::empty(); TURN] })
    }

    /// Step 2: waits until something arrives. `None`: asked to end.
    ///
    /// # Errors
    /// As [`Server::wait`].
    pub(crate) fn wait(&mut self, server: &mut Server) -> Result<Option<Arrived>> {
        let admit = self.has_room() && !server.has_queue();
        let Self { clients, upstreams, events } = self;
        server.wait_by(admit, |process, wkp, admit, until| {
            let watched = match upstreams {
                PerClient(pipes) => pipes.watch(clients, wkp, admit),
                Shared(shared) => shared.watch(clients, wkp),
            };
            // After an error, the next wait tries again.
            if let Err(error) = watched {
                process.log(What::Shortage, |event| event.text(error));
            }
            process.wait_for_many(&clients.poller, events, until)
        })
    }

    /// Receives what has arrived: HELLOs (step 6), frames to route, and status bytes of subservers. If an
    /// unnamed pipe was full, [`Arrival::Frames`] means that it has room again.
    ///
    /// # Errors
    /// Something else stands at the well-known name.
    pub(crate) fn receive(&mut self, server: &mut Server, arrived: Arrived) -> Result<()> {
        let Self { clients, upstreams, events } = self;
        let count = if let Arrived::Ready(count) = arrived { count } else { 0 };
        for event in &events[..count] {
            match (&mut *upstreams, Arrival::of(event.data())) {
                (PerClient(pipes), Arrival::Wkp(_)) => pipes.receive(clients, server)?, // Step 6.
                (PerClient(pipes), Arrival::Frames(client)) => pipes.route(clients, client, true),
                (PerClient(pipes), Arrival::Status(client)) => pipes.receive_status(clients, client),
                (Shared(shared), Arrival::Wkp(wkp)) => drop(shared.route(clients, server, wkp)?),
                (Shared(_), Arrival::Frames(client)) => drop(clients.resume(client)),
                (Shared(shared), Arrival::Status(client)) => shared.receive_status(clients, client),
            }
        }
        match upstreams {
            PerClient(pipes) if arrived == Arrived::NameGone => pipes.receive(clients, server)?,
            Shared(shared) if arrived == Arrived::NameGone => shared.replace(server)?,
            _ => {}
        }
        self.check_idle_clients(server)?;
        match &mut self.upstreams {
            PerClient(pipes) => pipes.used.hand_on(&mut self.clients, server),
            Shared(_) => Ok(()),
        }
    }

    /// Answers the subservers that have asked whether their clients are idle. Only a fresh read can tell: a
    /// central process that was stopped must time out no client.
    fn check_idle_clients(&mut self, server: &mut Server) -> Result<()> {
        let Self { clients, upstreams, .. } = self;
        let asked = std::mem::take(&mut clients.asked);
        let is_read = match upstreams {
            PerClient(pipes) => {
                asked.iter().for_each(|client| pipes.route(clients, *client, false));
                true
            }
            Shared(shared) => shared.reread(clients, server, !asked.is_empty())?,
        };
        // In the order of the pipe: frames that came after the question reach the subserver before IDLE.
        // Without an answer, a subserver asks again later.
        if is_read {
            asked.into_iter().for_each(|client| clients.send_own(client, Kind::Idle, ""));
        }
        Ok(())
    }

    /// Whether there is a place for one more client.
    pub(crate) fn has_room(&self) -> bool {
        self.clients.subservers.have_room()
    }

    /// Reaps subservers that have ended.
    pub(crate) fn reap(&mut self) {
        self.clients.subservers.reap();
    }

    /// Step 7: forks off a subserver, which runs `serve`. If no pipe or process can be had, the client stays
    /// at the head of the queue.
    pub(crate) fn fork_subserver(&mut self, server: &mut Server, client: PendingClient, serve: Serve) {
        let (number, session) = (self.clients.new_number(), client.session);
        let forked = match self.prepare(server, &client, number) {
            Ok(ends) => self.clients.fork(number, client, ends, |client, ends| serve(server, client, ends)),
            Err(error) => Err(Box::new((client, error))),
        };
        if let Err(failed) = forked {
            match &mut self.upstreams {
                PerClient(pipes) => pipes.cancel(number),
                Shared(shared) => shared.cancel(session),
            }
            self.clients.remove(number);
            server.requeue(*failed);
        }
    }

    /// Acquires and watches everything that a session needs. Before the fork the client can still be
    /// requeued.
    fn prepare(&mut self, server: &Server, client: &PendingClient, number: u64) -> Result<SubserverEnds> {
        let (upstream, ack) = match &mut self.upstreams {
            PerClient(pipes) => pipes.prepare(server, client, number)?,
            Shared(shared) => (None, shared.prepare(server, client, number)),
        };
        self.clients.add(number, client.session, upstream, ack)
    }

    /// Ends: routes what has arrived up to now, and nothing that comes later. Subservers answer that and end;
    /// those that still run after the grace are killed.
    ///
    /// # Errors
    /// Asked to end for the second time.
    pub(crate) fn end(mut self, mut server: Server) -> Result<()> {
        let drained = self.drain(&mut server);
        // In any case, the subservers end first, and the server gives up the place last.
        self.clients.subservers.kill_all();
        if let PerClient(pipes) = self.upstreams {
            pipes.close_all(server.site());
        }
        drop(self.clients);
        drained?;
        server.end()
    }

    fn drain(&mut self, server: &mut Server) -> Result<()> {
        match &mut self.upstreams {
            PerClient(pipes) => pipes.stop(&mut self.clients, server)?,
            Shared(shared) => shared.stop(&mut self.clients, server)?,
        }
        let until = self.clients.site.process.end_of(server.options().limits.grace);
        while !until.passed() && !self.clients.is_empty() {
            let Clients { site, poller, subservers, .. } = &self.clients;
            let patience = until.or(subservers.patience());
            let arrived = match site.process.wait_for_many(poller, &mut self.events, patience)? {
                Woken::Ready(count) => Arrived::Ready(count),
                Woken::Signal | Woken::Deadline => Arrived::Other,
            };
            self.receive(server, arrived)?;
            self.reap();
        }
        Ok(())
    }
}
