//! Step 7: how a new client is admitted. All that it needs is had, and watched, before its subserver is forked.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::server::options::UpstreamMode;
use handshake_core::server::pending::PendingClient;
use handshake_core::stream::FrameReader;
use handshake_core::sys::out_of_the_way;
use handshake_core::wire::PAYLOAD_MAX;
use handshake_core::{Error, Result, Server};
use nix::sys::epoll::EpollFlags;
use nix::unistd::Pid;

use crate::central::{Arrival, Central};
use crate::client::{Client, ToSubserver};
use crate::pair::{CentralEnds, SubserverEnds, pair};
use crate::serve_client;
use crate::shared_wkp::WINDOW;

impl Central {
    /// Step 7: forks off a subserver, with a pair of unnamed pipes. If there are none to be had, or no process, the client
    /// stays first in line.
    pub(crate) fn fork_subserver(&mut self, server: &mut Server, client: PendingClient) {
        let forked = match self.prepare(server, &client) {
            Ok((prepared, ends)) => self.fork(server, client, prepared, ends),
            Err(error) => Err(Box::new((client, error))),
        };
        if let Err(failed) = forked {
            server.requeue(*failed);
        }
    }

    /// All that a new client needs, before there is a subserver for it.
    fn prepare(&mut self, server: &Server, client: &PendingClient) -> Result<(Client, SubserverEnds)> {
        let longest = server.options().limits.longest;
        let (from_client, pipe, fresh, in_ack, window, longest) = match self.mode {
            UpstreamMode::PerClient => {
                let mut upstream = client.upstream(&self.site)?;
                let in_ack = upstream.name_in_ack();
                let from_client = Rc::new(kept_for_long(&upstream.from_client)?);
                let pipe = client.used_pipe().map(|pipe| pipe.read_through(&from_client));
                let reader = upstream.reader(FrameReader::without_buffer(from_client, upstream.framing));
                (Some(reader), pipe, upstream.fresh, in_ack, 0, longest)
            }
            UpstreamMode::Shared => {
                (None, None, None, Vec::new(), WINDOW, longest.min(usize::from(WINDOW) * PAYLOAD_MAX))
            }
        };
        let (CentralEnds { to_subserver, from_subserver }, ends) = pair(in_ack, window, longest)?;
        let (to_subserver, from_subserver) = (kept_for_long(to_subserver)?, kept_for_long(from_subserver)?);
        let prepared = Client {
            session: client.session,
            subserver: Pid::from_raw(0),
            from_client,
            pipe,
            fresh,
            to_subserver: ToSubserver::new(to_subserver),
            from_subserver,
            ready: false,
            unanswered: 0,
        };
        Ok((prepared, ends))
    }

    fn fork(
        &mut self,
        server: &Server,
        mut client: PendingClient,
        prepared: Client,
        ends: SubserverEnds,
    ) -> Result<(), Box<(PendingClient, Error)>> {
        let (from_central, to_central) = (Rc::clone(&ends.from_central), Rc::clone(&ends.to_central));
        let keep = [from_central.as_fd(), to_central.as_fd()];
        let number = self.number();
        let session = prepared.session;
        // Before the fork: afterwards it would be too late to let the client wait.
        if let Err(error) = self.watch_client(number, &prepared) {
            self.unwatch_client(&prepared);
            return Err(Box::new((client, error)));
        }
        // Those who wait for the pipe are the central process's, which reads it.
        let queue = client.leave_queue();
        match self.subservers.fork(client, &keep, |client| serve_client(server, client, ends)) {
            Ok(subserver) => {
                self.by_session.insert(session, number);
                self.clients.insert(number, Client { subserver, ..prepared });
                Ok(())
            }
            Err(mut failed) => {
                self.unwatch_client(&prepared);
                failed.0.take_queue_back(queue);
                Err(failed)
            }
        }
    }

    fn watch_client(&self, number: u64, client: &Client) -> Result<()> {
        if let Some(upstream) = &client.from_client {
            self.watch(upstream, Arrival::Frames(number), EpollFlags::EPOLLIN)?;
        }
        self.watch(&client.from_subserver, Arrival::News(number), EpollFlags::EPOLLIN)
    }

    /// Not left to close(2): a child just forked may still hold a copy, and what has no owner would show for ever.
    pub(crate) fn unwatch_client(&self, client: &Client) {
        if let Some(upstream) = &client.from_client {
            let _ = self.poller.remove(upstream);
        }
        if let Some(pipe) = &client.to_subserver.pipe {
            let _ = self.poller.remove(pipe);
        }
        let _ = self.poller.remove(&client.from_subserver);
    }
}

/// A descriptor that the central process holds as long as a client lives: moved out of the way of those that a child needs,
/// since each fork copies what is below them.
fn kept_for_long(fd: impl AsFd) -> Result<OwnedFd> {
    out_of_the_way(fd).map_err(|errno| Error::on("hold", "the pipes of one more client", errno))
}
