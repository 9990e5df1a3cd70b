//! The last arc of the ring, client --> well-known pipe --> server, as the central process uses it.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use handshake_core::server::pending::PendingClient;
use handshake_core::server::site::Site;
use handshake_core::{Result, Server};
use nix::errno::Errno;
use nix::unistd::read;

use crate::client::Clients;
use crate::pair::{ANY_INPUT, DONE};

/// The pipes that bring the clients' frames. The course's text has two readings:
/// [`OwnPipes`](crate::own_pipe::OwnPipes) and [`SharedWkp`](crate::shared_wkp::SharedWkp).
pub(crate) trait Upstreams {
    /// Step 2: watches the well-known pipe. With `admit` false, the server wants no new clients now.
    fn watch(&mut self, clients: &mut Clients, wkp: Rc<OwnedFd>, admit: bool) -> Result<()>;

    /// Step 6: receives HELLOs from the well-known pipe with this number. `None`: the pipe has lost its name.
    fn receive(&mut self, clients: &mut Clients, server: &mut Server, wkp: Option<u64>) -> Result<()>;

    /// Step 7: acquires what `client` needs, and has its subserver forked. If anything is short, requeues the
    /// client.
    fn admit(&mut self, clients: &mut Clients, server: &mut Server, client: PendingClient);

    /// client --> server --> subserver: routes frames of this client, or what a blocked flow holds. `shown`:
    /// the poller has reported a pipe.
    fn route(&mut self, clients: &mut Clients, number: u64, shown: bool);

    /// The subserver has answered this many more frames.
    fn answered(&mut self, _session: u64, _frames: usize) {}

    /// Called once a turn, before the central process answers ANY_INPUT; `asked`: a subserver has sent it.
    /// Returns false if a pipe was full: its clients wait for room, and are not idle.
    fn catch_up(&mut self, _clients: &mut Clients, _server: &mut Server, _asked: bool) -> Result<bool> {
        Ok(true)
    }

    /// Reads no more of this client; its subserver sees EOF after the frames routed so far.
    fn close(&mut self, clients: &mut Clients, number: u64) {
        clients.close(number);
    }

    /// The client's session is over: frees what it held here.
    fn remove(&mut self, clients: &mut Clients, number: u64);

    /// Hands pipes of clients that have left to the clients that wait for them.
    fn hand_on(&mut self, _clients: &mut Clients, _server: &mut Server) -> Result<()> {
        Ok(())
    }

    /// The server shuts down: receives what has arrived up to now, and nothing that comes later.
    fn stop(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()>;

    /// Turns away the clients that wait for a pipe.
    fn end(&mut self, _site: &Rc<Site>) {}

    /// subserver --> server: reads the status bytes of a subserver.
    fn receive_status(&mut self, clients: &mut Clients, number: u64) {
        let Some(client) = clients.by_number.get(&number) else { return };
        let mut buffer = [0; 512];
        let over = match read(&client.from_subserver, &mut buffer) {
            Err(Errno::EAGAIN) => return,
            Ok(0) | Err(_) => Some("subserver gone"),
            Ok(count) => {
                let status = &buffer[..count];
                let answered = status.iter().filter(|byte| **byte != ANY_INPUT);
                self.answered(client.session, answered.map(|byte| usize::from(*byte)).sum());
                if status.contains(&ANY_INPUT) {
                    clients.asked.push(number);
                }
                status.contains(&DONE).then_some("client gone, done")
            }
        };
        if let Some(why) = over {
            self.remove(clients, number);
            clients.forget(number, why);
        }
    }
}
