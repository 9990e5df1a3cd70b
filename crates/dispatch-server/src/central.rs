//! The central process: waits for all pipes at once, and hands what arrives to the part that it is for.

use std::collections::HashMap;
use std::rc::Rc;

use handshake_core::event::What;
use handshake_core::process::Woken;
use handshake_core::server::Arrived;
use handshake_core::server::options::UpstreamMode;
use handshake_core::server::pending::PendingClient;
use handshake_core::server::subservers::Subservers;
use handshake_core::sys::Poller;
use handshake_core::wire::Kind;
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollEvent;

use crate::client::Clients;
use crate::own_pipe::OwnPipes;
use crate::shared_wkp::SharedWkp;
use crate::token::{Arrival, Token};
use crate::upstreams::Upstreams;

/// The most events of one turn; epoll(7) reports the others first in the next turn.
const TURN: usize = 256;

/// The central process.
pub(crate) struct Central {
    clients: Clients,
    upstreams: Box<dyn Upstreams>,
    events: Vec<EpollEvent>,
}

impl Central {
    /// A central process without clients.
    ///
    /// # Errors
    /// No descriptor for a poller.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let upstreams: Box<dyn Upstreams> = match server.options().upstream {
            UpstreamMode::PerClient => Box::new(OwnPipes::new()),
            UpstreamMode::Shared => Box::new(SharedWkp::new(server.site())),
        };
        let clients = Clients {
            site: Rc::clone(server.site()),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            subservers: Subservers::of(server)?.of_many_descriptors(),
            by_number: HashMap::new(),
            asked: Vec::new(),
            last_number: 0,
        };
        Ok(Self { clients, upstreams, events: vec![EpollEvent::empty(); TURN] })
    }

    /// Step 2: waits until something arrives, and returns how many [arrivals](Central::arrival). `None`:
    /// asked to end.
    ///
    /// # Errors
    /// As [`Server::wait`].
    pub(crate) fn wait(&mut self, server: &mut Server) -> Result<Option<usize>> {
        let admit = self.has_room() && !server.has_queue();
        let Self { clients, upstreams, events } = self;
        let arrived = server.wait_by(admit, |wkp, admit, until| {
            // After an error, the next wait tries again.
            if let Err(error) = upstreams.watch(clients, wkp.reading_end(), admit) {
                clients.site.process.log(What::Short, |event| event.text(error));
            }
            clients.site.process.wait_for_many(&clients.poller, events, until)
        })?;
        match arrived {
            Some(Arrived::Ready(count)) => return Ok(Some(count)),
            Some(Arrived::NameGone) => upstreams.receive(clients, server, None)?,
            Some(Arrived::Other) => {}
            None => return Ok(None),
        }
        Ok(Some(0))
    }

    /// The n-th of what has arrived.
    pub(crate) fn arrival(&self, n: usize) -> Arrival {
        Token(self.events[n].data()).into()
    }

    /// Whether there is a place for one more client.
    pub(crate) fn has_room(&self) -> bool {
        self.clients.subservers.have_room()
    }

    /// Step 6, and step 1 for the next client. With `--shared-wkp` the pipe stays, and brings frames of all
    /// sessions.
    ///
    /// # Errors
    /// Something else stands at the well-known name.
    pub(crate) fn receive(&mut self, server: &mut Server, wkp: u64) -> Result<()> {
        self.upstreams.receive(&mut self.clients, server, Some(wkp))
    }

    /// client --> server --> subserver: passes on the frames of one client.
    pub(crate) fn route(&mut self, number: u64) {
        self.upstreams.route(&mut self.clients, number, true);
    }

    /// subserver --> server: receives the status of one subserver.
    pub(crate) fn receive_status(&mut self, number: u64) {
        self.upstreams.receive_status(&mut self.clients, number);
    }

    /// Answers the subservers that have sent ANY_INPUT. Only a fresh read can tell whether a client is idle:
    /// a central process that was stopped must time out no client.
    ///
    /// # Errors
    /// As [`Central::receive`].
    pub(crate) fn check_idle_clients(&mut self, server: &mut Server) -> Result<()> {
        let asked = std::mem::take(&mut self.clients.asked);
        // Without an answer, a subserver asks again later.
        if self.upstreams.catch_up(&mut self.clients, server, !asked.is_empty())? {
            for number in asked {
                self.upstreams.route(&mut self.clients, number, false);
                // In the order of the pipe: frames that came after the question reach the subserver before
                // IDLE.
                self.clients.send_own(number, Kind::Idle, "");
            }
        }
        Ok(())
    }

    /// Hands pipes of clients that have left to the clients that wait for them.
    ///
    /// # Errors
    /// As [`Server::hand_on`].
    pub(crate) fn hand_on(&mut self, server: &mut Server) -> Result<()> {
        self.upstreams.hand_on(&mut self.clients, server)
    }

    /// Reaps subservers that have ended.
    pub(crate) fn reap(&mut self) {
        self.clients.subservers.reap();
    }

    /// Step 7: forks off a subserver. If no pipe or process can be had, the client stays first in the queue.
    pub(crate) fn fork_subserver(&mut self, server: &mut Server, client: PendingClient) {
        self.upstreams.admit(&mut self.clients, server, client);
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
        self.upstreams.end(&self.clients.site);
        self.clients.by_number.clear();
        drained?;
        server.end()
    }

    fn drain(&mut self, server: &mut Server) -> Result<()> {
        self.upstreams.stop(&mut self.clients, server)?;
        server.close()?;
        for number in self.clients.by_number.keys().copied().collect::<Vec<_>>() {
            self.upstreams.route(&mut self.clients, number, false);
            self.clients.send_own(number, Kind::Bye, "the server is shutting down");
            self.upstreams.close(&mut self.clients, number);
        }
        let until = self.clients.site.process.end_of(server.options().limits.grace);
        while !until.passed() && self.clients.by_number.len() + self.clients.subservers.len() > 0 {
            let Clients { site, poller, subservers, .. } = &self.clients;
            let patience = until.or(subservers.patience());
            if let Woken::Ready(count) = site.process.wait_for_many(poller, &mut self.events, patience)? {
                for arrival in 0..count {
                    match self.arrival(arrival) {
                        Arrival::Frames(client) => self.route(client),
                        Arrival::Status(client) => self.receive_status(client),
                        Arrival::Wkp(_) => {}
                    }
                }
            }
            self.reap();
            self.hand_on(server)?;
        }
        Ok(())
    }
}
