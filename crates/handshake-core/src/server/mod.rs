//! The server's side of the handshake, until a client can be served. All paradigms share this part.
//!
//! | step | |
//! |---|---|
//! | 1 | [`Server::create_wkp`] |
//! | 2 | [`Server::wait`] |
//! | 6 | [`Server::receive_and_remove`], [`Server::receive_and_replace`] |
//! | 7 (8) | [`Server::acknowledge`] |
//! | 8 | `Session::await_ready` |
//!
//! A client that has sent its name is [`pending`], and waits in the `queue` for its
//! acknowledgement. An [`upstream`] is the pipe that brings the client's bytes. A [`session`] follows the
//! handshake. [`options`] say how to serve. A [`site`] is shared by all parts of a server. The [`wkp`] is
//! made under a [`claim`]. [`subservers`] are for the paradigms that fork.

pub mod claim;
pub mod course;
mod fair;
pub mod options;
pub mod pending;
pub(crate) mod queue;
pub mod session;
pub mod site;
pub mod subservers;
pub mod sweep;
pub mod upstream;
pub mod wkp;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};

use crate::budget::{CLIENTS_A_TURN, LOOK_AFTER, LOOK_AFTER_TROUBLE, TROUBLE};
use crate::deadline::Deadline;
use crate::error::{Error, Result, SHUTTING_DOWN};
use crate::event::What;
use crate::place::{Place, random};
use crate::process::{Process, Woken};
use crate::server::claim::Claim;
use crate::server::course::used_pipe::{Next, USED_MAX, UsedPipe};
use crate::server::options::Options;
use crate::server::pending::PendingClient;
use crate::server::queue::{Queue, ReceivedHello, WhenFull};
use crate::server::session::Session;
use crate::server::site::Site;
use crate::server::sweep::sweep;
use crate::server::wkp::{TakenPipe, WellKnownPipe};
use crate::service::Service;
use crate::stream::FrameReader;

/// How long the server waits while another server, which failed to start, still has its lock file.
const CLAIM_PAUSE: Duration = Duration::from_millis(10);

/// How soon the server retries after a shortage of file descriptors, processes or memory.
const AFTER_SHORTAGE: Duration = Duration::from_millis(100);

/// Why a server's wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// This many of the watched file descriptors are ready. If only the well-known pipe is watched, it has
    /// bytes.
    Ready(usize),
    /// The well-known pipe has lost its name; steps 6 and 1 restore it.
    NameGone,
    /// A signal arrived, or it is time to retry.
    Other,
}

impl Arrived {
    /// Returns whether it is time for step 6.
    pub fn is_connection(self) -> bool {
        self != Self::Other
    }
}

/// A server at its place. Dropping it drops the fields in order: the well-known pipe loses its name, the
/// queue is closed, and the claim is released last.
#[derive(Debug)]
pub struct Server {
    wkp: Option<WellKnownPipe>,
    queue: Queue,
    /// Pipes without a client that another process still has open, and may write a name to.
    used: Vec<UsedPipe>,
    claim: Claim,
    site: Rc<Site>,
    options: Options,
    /// Whether the server has announced step 2 for this well-known pipe.
    waiting: bool,
    /// When to check next whether the well-known name still belongs to its pipe.
    look_after: Deadline,
    /// Until when the server checks more often, because the name was lost.
    trouble: Deadline,
    /// Set by a shortage: until this deadline the server does not read the well-known pipe.
    try_again: Option<Deadline>,
    /// How many clients may still leave the queue in this turn.
    turn: usize,
}

impl Server {
    /// Sets up this process, claims the place, and removes the pipes that dead processes left there.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotOurs`], and errors of the directory.
    pub fn start(mut options: Options) -> Result<Self> {
        let process = options.take_process()?;
        let place = Place::new(&options.wkp)?;
        let claim = Claim::take(&place)?;
        sweep(&place);
        let site = Site::new(&process, place, options.limits.queue_timeout);
        Ok(Self {
            wkp: None,
            queue: Queue::default(),
            used: Vec::new(),
            claim,
            site,
            options,
            waiting: false,
            look_after: Deadline::after(LOOK_AFTER),
            trouble: Deadline::in_exactly(Duration::ZERO),
            try_again: None,
            turn: CLIENTS_A_TURN,
        })
    }

    /// Returns the process of this server.
    pub fn process(&self) -> &Rc<Process> {
        &self.site.process
    }

    /// Returns the process and the place, which pending clients and subservers share.
    pub fn site(&self) -> &Rc<Site> {
        &self.site
    }

    /// Returns the server's options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the well-known pipe, if it exists.
    pub fn wkp(&self) -> Option<&WellKnownPipe> {
        self.wkp.as_ref()
    }

    /// Makes a service for a new session.
    pub fn new_service(&self) -> Box<dyn Service> {
        (self.options.service)()
    }

    /// Step 1: creates the well-known pipe, unless it exists already or this process was asked to end.
    ///
    /// # Errors
    /// Those of [`WellKnownPipe::create`]. The server waits for a temporary shortage to pass, except at the
    /// first pipe: a server that cannot start reports the error.
    pub fn create_wkp(&mut self) -> Result<()> {
        if self.look_after.passed() {
            self.keep_claim()?;
        }
        // The clients of an interrupted turn come first: in basic, no well-known pipe exists while a client
        // is served.
        while self.wkp.is_none() && self.queue.is_empty() && self.site.process.asked_to_end().is_none() {
            match WellKnownPipe::create(&self.claim, &self.site.process) {
                Ok(wkp) => {
                    self.wkp = Some(wkp);
                    self.waiting = false;
                }
                Err(error) if error.is_shortage() && self.waiting => {
                    self.short(&error);
                    self.site.process.wait(&mut [], Deadline::after(AFTER_SHORTAGE))?;
                }
                // The name may belong to another server, which has claimed the place.
                Err(error) => return self.keep_claim().and(Err(error)),
            }
        }
        match self.options.ready.take().map(|ready| File::from(ready).write_all(b"\n")) {
            // The process that reads the notice would wait forever. But it may have exited.
            Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::on("report", "that clients can connect", error))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the lock file still has its name. A server that fails to start removes its own lock
    /// file again within a moment. The claim therefore counts as lost only after several failed attempts.
    fn keep_claim(&self) -> Result<()> {
        for _ in 0..2 {
            match self.claim.renew() {
                Err(Error::InUse { .. }) => self.site.process.wait(&mut [], Deadline::after(CLAIM_PAUSE))?,
                kept => return kept,
            };
        }
        self.claim.renew()
    }

    /// Step 2: waits for a connection, for a child's exit, or until a periodic check is due. With `admit`
    /// false the server does not read the well-known pipe, and clients queue in the kernel.
    ///
    /// Returns `None` when this server was asked to end.
    ///
    /// # Errors
    /// [`Error::Signal`]: asked to end for the second time. [`Error::NotOurs`]: another process has put a
    /// different file at the well-known name.
    pub fn wait(&mut self, admit: bool) -> Result<Option<Arrived>> {
        let used: Vec<_> = self.used.iter().map(|used| Rc::clone(&used.pipe)).collect();
        let arrived = self.wait_by(admit, |process, wkp, admit, until| {
            let watch = if admit { PollFlags::POLLIN } else { PollFlags::empty() };
            let mut fds = vec![PollFd::new(wkp.as_fd(), watch)];
            fds.extend(used.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
            let woken = process.wait(&mut fds, until)?;
            // Bytes in a used pipe are no connection yet.
            let is_connection = fds[0].revents().is_some_and(|shown| !shown.is_empty());
            Ok(if matches!(woken, Woken::Ready(_)) && !is_connection { Woken::Deadline } else { woken })
        })?;
        if arrived == Some(Arrived::Other) && !self.used.is_empty() {
            self.receive_late()?;
        }
        Ok(arrived)
    }

    /// Takes back the pipe of a session that is over. The next client that waits for the pipe joins the
    /// queue. A process that has the pipe open may still write a name.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn release(&mut self, used: UsedPipe) -> Result<()> {
        let used = self.hand_on(used)?.map(|(used, _)| used);
        self.used.extend(used);
        // Each pipe costs a file descriptor.
        let too_many = self.used.len().saturating_sub(USED_MAX);
        self.used.drain(..too_many);
        Ok(())
    }

    /// Looks for clients that have written their names into pipes without a client.
    fn receive_late(&mut self) -> Result<()> {
        std::mem::take(&mut self.used).into_iter().try_for_each(|used| self.release(used))
    }

    /// Adds the next client of a used pipe to the queue, for a server that watches such pipes itself. Returns
    /// the pipe and a deadline if a name may still come.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn hand_on(&mut self, mut used: UsedPipe) -> Result<Option<(UsedPipe, Deadline)>> {
        match used.next(&self.site) {
            Next::Client(client) => {
                self.queue.add(PendingClient::next_at(&used, *client, random()?, &self.site))
            }
            Next::Later(until) => return Ok(Some((used, until))),
            Next::Unused => {}
        }
        Ok(None)
    }

    /// Waits for the next client of this pipe, for a subserver that serves no other pipe. `None`: no process
    /// uses the pipe any more, it cannot be read, or this process was asked to end.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn next_at(&self, used: &mut UsedPipe) -> Result<Option<PendingClient>> {
        loop {
            let until = match used.next(&self.site) {
                Next::Client(client) => {
                    return Ok(Some(PendingClient::next_at(used, *client, random()?, &self.site)));
                }
                Next::Later(until) => until,
                Next::Unused => return Ok(None),
            };
            self.site.process.wait(&mut [PollFd::new(used.as_fd(), PollFlags::POLLIN)], until)?;
        }
    }

    /// Step 2 for a server that watches more than the well-known pipe. `wait` receives this process, the
    /// pipe, whether to watch the pipe, and until when to wait.
    ///
    /// # Errors
    /// Those of [`Server::wait`], and those of `wait`.
    pub fn wait_by(
        &mut self,
        admit: bool,
        wait: impl FnOnce(&Process, &WellKnownPipe, bool, Deadline) -> Result<Woken>,
    ) -> Result<Option<Arrived>> {
        if let Some(signal) = self.site.process.asked_to_end() {
            self.site.process.log(What::AskedToEnd, |event| event.text(signal));
            return Ok(None);
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.site.process.log(What::Waiting, |event| event.pipe(self.site.place.wkp().display()));
        }
        // The previous turn ended with clients still in the queue. They are served after a check of
        // everything else.
        let is_interrupted = std::mem::replace(&mut self.turn, CLIENTS_A_TURN) == 0 && !self.queue.is_empty();
        let at_once = if is_interrupted { Deadline::in_exactly(Duration::ZERO) } else { Deadline::NEVER };
        let until = self.look_after.or(self.try_again.unwrap_or(at_once));
        let woken = match &self.wkp {
            Some(wkp) => wait(&self.site.process, wkp, admit && self.try_again.is_none(), until)?,
            None => self.site.process.wait(&mut [], until)?,
        };
        // Checked after every wait: when connections arrive without a break, no wait would reach its
        // deadline.
        self.try_again = self.try_again.filter(|again| !again.passed());
        if self.look_after.passed() {
            self.keep_claim()?;
            let is_lost = match &self.wkp {
                Some(wkp) if admit && self.try_again.is_none() => !wkp.still_named(&self.claim)?,
                _ => false,
            };
            if is_lost {
                self.trouble = Deadline::after(TROUBLE);
            }
            let is_quiet = self.trouble.passed();
            self.look_after = Deadline::after(if is_quiet { LOOK_AFTER } else { LOOK_AFTER_TROUBLE });
            if is_lost {
                return Ok(Some(Arrived::NameGone));
            }
        }
        Ok(Some(match woken {
            Woken::Ready(count) => Arrived::Ready(count),
            Woken::Signal | Woken::Deadline => Arrived::Other,
        }))
    }

    /// Step 6: removes the well-known pipe, and receives the names that all clients wrote to it.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: a different file has the name.
    pub fn receive_and_remove(&mut self) -> Result<()> {
        let removed = self.remove(What::WkpRemoved);
        let taken = self.unless_short(removed)?;
        self.receive(taken)
    }

    /// Removes the well-known pipe; `what` is the event for the log.
    fn remove(&mut self, what: What) -> Result<Option<TakenPipe>> {
        if let Some(wkp) = &mut self.wkp {
            wkp.remove(&self.claim, &self.site.process, what)?;
        }
        Ok(self.wkp.take().map(WellKnownPipe::taken))
    }

    /// Steps 6 and 1: replaces the well-known pipe by the next one, and receives the names written to the old
    /// one. If no pipe can be made now, the old one stays, and its clients go on waiting.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: a different file has the name.
    pub fn receive_and_replace(&mut self) -> Result<()> {
        let taken = self.replace()?;
        self.receive(taken)
    }

    /// Replaces the well-known pipe by the next one and returns the old one, unread, for a server that goes
    /// on reading it (`--shared-wkp`).
    ///
    /// # Errors
    /// Those of [`Server::receive_and_replace`].
    pub fn replace(&mut self) -> Result<Option<TakenPipe>> {
        let Some(wkp) = &mut self.wkp else { return Ok(None) };
        let replaced = wkp.replace(&self.claim, &self.site.process).map(Some);
        self.waiting &= replaced.is_err();
        self.unless_short(replaced)
    }

    /// Turns a shortage into no pipe: the well-known pipe has kept its name.
    fn unless_short(&mut self, taken: Result<Option<TakenPipe>>) -> Result<Option<TakenPipe>> {
        match taken {
            Err(error) if error.is_shortage() => {
                self.short(&error);
                Ok(None)
            }
            taken => taken,
        }
    }

    /// Receives one HELLO that came through a WKP that is never removed (`--shared-wkp`).
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive_hello(&mut self, nonce: u64, payload: &[u8], wkp: &Rc<OwnedFd>) -> Result<()> {
        let Some(hello) = ReceivedHello::decode(nonce, payload, &self.site) else { return Ok(()) };
        self.queue.join(hello, wkp, None, WhenFull::Refuse, &self.site).map(drop)
    }

    fn receive(&mut self, taken: Option<TakenPipe>) -> Result<()> {
        let Some(taken) = taken else { return Ok(()) };
        self.queue.receive(&taken, &self.site)?.map_or(Ok(()), |used| self.release(used))
    }

    /// Takes the next client out of the queue, to be answered. Returns `None` during a shortage, when this
    /// process was asked to end, or when [enough](CLIENTS_A_TURN) clients have been answered since the last
    /// wait.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn next_pending(&mut self) -> Result<Option<PendingClient>> {
        if self.try_again.is_some() || self.site.process.asked_to_end().is_some() || self.turn == 0 {
            return Ok(None);
        }
        self.turn -= 1;
        self.receive_late()?;
        Ok(self.queue.pop())
    }

    /// Returns whether a pending client waits.
    pub fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Steps 7 and 8: connects to the client's private pipe and sends the acknowledgement.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone. [`Error::System`]: no fresh upstream can be made.
    pub fn acknowledge(&self, client: PendingClient) -> Result<Session> {
        let mut upstream = match client.upstream(&self.site) {
            Ok(upstream) => upstream,
            Err(error) => {
                client.turn_away(&self.site, "there is no fresh pipe for it");
                return Err(error);
            }
        };
        let ack = client.ack(0, self.options.limits.longest, upstream.name_in_ack());
        let from_client = FrameReader::new(Rc::clone(&upstream.from_client), upstream.framing);
        let from_client = upstream.reader(from_client);
        client.begin_session(&self.site, &self.options, &ack, from_client, upstream.fresh)
    }

    /// Handles a client that could not be served because of the error. After a shortage, the client returns
    /// to the front of the queue, and the server retries. For any other error the server refuses the client.
    pub fn requeue(&mut self, (client, error): (PendingClient, Error)) {
        if error.is_shortage() {
            self.queue.requeue(client);
            self.short(&error);
        } else {
            client.refuse(&self.site, &format!("the server {error}"));
        }
    }

    /// Logs a shortage. The server admits no client until it is time to retry.
    pub fn short(&mut self, error: &Error) {
        self.site.process.log(What::Shortage, |event| event.text(error));
        self.try_again = Some(Deadline::after(AFTER_SHORTAGE));
    }

    /// Removes the well-known name, so that no further client can connect, and turns away the clients in the
    /// queue.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: a different file has the name.
    pub fn close(&mut self) -> Result<()> {
        let taken = self.remove(What::WkpClosed)?;
        self.receive(taken)?;
        for used in self.used.drain(..) {
            used.close(&self.site, SHUTTING_DOWN);
        }
        self.queue.turn_away_all(&self.site);
        Ok(())
    }

    /// Cleans up: nothing of this server is left when it returns.
    ///
    /// # Errors
    /// Those of [`Server::close`].
    pub fn end(mut self) -> Result<()> {
        self.close()?;
        let process = Rc::clone(&self.site.process);
        self.site.flush_notices()?;
        drop(self);
        process.log(What::Ended, |event| event);
        Ok(())
    }
}

impl Drop for Server {
    /// Removes the pipes that killed subservers left, while the place is still claimed.
    fn drop(&mut self) {
        if self.claim.has_its_name() == Some(true) {
            sweep(&self.site.place);
        }
    }
}
