//! Pipes whose clients have left. Course clients may wait for them, or may still write their names there.

use std::collections::HashMap;
use std::rc::Rc;

use handshake_core::deadline::Deadline;
use handshake_core::error::SHUTTING_DOWN;
use handshake_core::server::course::used_pipe::{USED_MAX, UsedPipe};
use handshake_core::server::site::Site;
use handshake_core::{Result, Server};
use nix::sys::epoll::EpollFlags;

use crate::arrival::Arrival;
use crate::clients::Clients;

/// The used pipes.
pub(crate) struct UsedPipes {
    /// Pipes to hand on in this turn.
    pub(crate) due: Vec<UsedPipe>,
    /// Pipes without a waiting client. Another process has them open and may still write a name.
    open: HashMap<u64, UsedPipe>,
    /// The earliest time at which one of `open` may close.
    open_until: Deadline,
}

impl UsedPipes {
    /// No used pipes yet.
    pub(crate) fn new() -> Self {
        Self { due: Vec::new(), open: HashMap::new(), open_until: Deadline::NEVER }
    }

    /// An open pipe has bytes or EOF, or its time is up.
    pub(crate) fn check(&mut self, clients: &Clients, number: u64) {
        if let Some(pipe) = self.open.remove(&number) {
            // It was watched, so this cannot fail.
            let _ = clients.poller.remove(&pipe);
            self.due.push(pipe);
        }
    }

    /// Hands each pipe to the next client that waits for it. If none waits, watches the pipe while another
    /// process has it open.
    pub(crate) fn hand_on(&mut self, clients: &mut Clients, server: &mut Server) -> Result<()> {
        if self.open_until.passed() {
            self.open_until = Deadline::NEVER;
            for number in self.open.keys().copied().collect::<Vec<_>>() {
                self.check(clients, number);
            }
        }
        for pipe in std::mem::take(&mut self.due) {
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

    /// Closes all pipes, and turns away the clients that wait for them.
    pub(crate) fn close_all(self, site: &Rc<Site>) {
        for pipe in self.due.into_iter().chain(self.open.into_values()) {
            pipe.close(site, SHUTTING_DOWN);
        }
    }
}
