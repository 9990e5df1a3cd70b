//! The server's side of the handshake, up to the moment when a client can be served: what all paradigms share.
//!
//! | step | |
//! |---|---|
//! | 1 | [`Server::create_wkp`] |
//! | 2 | [`Server::wait`] |
//! | 6 | [`Server::receive_and_remove`], [`Server::receive_and_replace`] |
//! | 7 (8) | [`Server::acknowledge`] |
//! | 8 | `Session::await_ready` |
//!
//! A client that has sent its name is [`pending`], in the [`queue`](mod@queue), until its acknowledgement; an [`upstream`] is
//! the pipe that brings its bytes, a [`session`] what follows. [`options`] say how to serve; a [`site`] is what all parts of
//! a server share; the [`wkp`] is made under a [`claim`]. [`subservers`] are for the paradigms that fork.

pub mod claim;
pub mod course;
mod fair;
pub mod options;
pub mod pending;
pub mod queue;
pub mod session;
pub mod site;
pub mod subservers;
pub mod sweep;
pub mod upstream;
pub mod wkp;

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::write;

use crate::budget::{CLIENTS_A_TURN, LOOK_AFTER, LOOK_AFTER_TROUBLE, TROUBLE};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::event::What;
use crate::fifo::Fifo;
use crate::place::{Place, random};
use crate::process::{Process, Woken};
use crate::server::claim::Claim;
use crate::server::course::used_pipe::{Next, USED_MAX, UsedPipe};
use crate::server::options::Options;
use crate::server::pending::{AckParams, PendingClient};
use crate::server::queue::{Queue, Said, WhenFull};
use crate::server::session::Session;
use crate::server::site::Site;
use crate::server::sweep::sweep;
use crate::server::wkp::{TakenPipe, WellKnownPipe};
use crate::service::Service;
use crate::stream::FrameReader;

/// How long a server that failed to start may have its lock file.
const CLAIM_PAUSE: Duration = Duration::from_millis(10);

/// How soon it tries again what a shortage (descriptors, processes, memory) prevented.
const AFTER_SHORTAGE: Duration = Duration::from_millis(100);

/// What a server woke up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// So many of the descriptors watched show something; without others, the well-known pipe has bytes.
    Ready(usize),
    /// The well-known pipe has lost its name; steps 6 and 1 make that good.
    NameGone,
    /// A signal came, or it is time to try again.
    Other,
}

impl Arrived {
    /// Whether it is time for step 6.
    pub fn is_connection(self) -> bool {
        self != Self::Other
    }
}

/// A server at its place. Fields are dropped in this order: first the well-known pipe loses its name, then the line
/// is closed, and the claim is given back last.
#[derive(Debug)]
pub struct Server {
    wkp: Option<WellKnownPipe>,
    queue: Queue,
    /// Pipes that nobody uses, and that somebody has still open who may write a name.
    used: Vec<UsedPipe>,
    claim: Claim,
    site: Rc<Site>,
    options: Options,
    /// Whether step 2 was announced for this well-known pipe.
    waiting: bool,
    /// When to look again whether the well-known name stands for its pipe.
    look_after: Deadline,
    /// Until when it looks more often, since the name was lost.
    trouble: Deadline,
    /// Set by a shortage: until then the well-known pipe is left to itself.
    try_again: Option<Deadline>,
    /// How many clients may still leave the queue in this turn.
    turn: usize,
}

impl Server {
    /// Claims the place, and sweeps away what the dead left there.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotOurs`], and the directory's.
    pub fn start(process: &Rc<Process>, options: Options) -> Result<Self> {
        let place = Place::new(&options.wkp)?;
        let claim = Claim::take(&place)?;
        sweep(&place);
        let site = Site::new(process, place, options.limits.queue_timeout);
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

    /// The process that this server is.
    pub fn process(&self) -> &Rc<Process> {
        &self.site.process
    }

    /// The process and the place, which pending clients and subservers share.
    pub fn site(&self) -> &Rc<Site> {
        &self.site
    }

    /// Where it serves.
    pub fn place(&self) -> &Place {
        &self.site.place
    }

    /// How it serves.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The well-known pipe, while there is one.
    pub fn wkp(&self) -> Option<&WellKnownPipe> {
        self.wkp.as_ref()
    }

    /// A service for a new session.
    pub fn new_service(&self) -> Box<dyn Service> {
        (self.options.service)()
    }

    /// Step 1: creates the well-known pipe, unless there is one, or this process was asked to end.
    ///
    /// # Errors
    /// As [`WellKnownPipe::create`]. What is only short for the moment is waited for, but not the first time:
    /// a server that cannot begin says so.
    pub fn create_wkp(&mut self) -> Result<()> {
        if self.look_after.passed() {
            self.keep_claim()?;
        }
        // Those of a turn that was interrupted come first: in basic there is no well-known pipe while a
        // client is served.
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
                // What stands there may be the pipe of a server that has taken the place.
                Err(error) => return self.keep_claim().and(Err(error)),
            }
        }
        match self.options.ready.take().map(|ready| write(&ready, b"\n")) {
            // Whoever asked to be told may have left.
            None | Some(Ok(_) | Err(Errno::EPIPE)) => Ok(()),
            // Whoever is still there would wait for ever.
            Some(Err(errno)) => Err(Error::on("tell", "that clients can connect", errno)),
        }
    }

    /// Sees to it that the lock file still has its name. A server that fails to start removes its own lock file again within a
    /// moment, so a claim is lost only if several looks say so.
    fn keep_claim(&self) -> Result<()> {
        for _ in 0..2 {
            match self.claim.renew() {
                Err(Error::InUse { .. }) => self.site.process.wait(&mut [], Deadline::after(CLAIM_PAUSE))?,
                kept => return kept,
            };
        }
        self.claim.renew()
    }

    /// Step 2: waits for a connection, a child's end, or until it is time to look after something. With `admit`
    /// false the well-known pipe is left alone: the kernel keeps the line.
    ///
    /// Returns `None` when this server was asked to end.
    ///
    /// # Errors
    /// [`Error::Signal`]: asked for the second time. [`Error::NotOurs`]: somebody has put something else at the
    /// well-known name.
    pub fn wait(&mut self, admit: bool) -> Result<Option<Arrived>> {
        let process = Rc::clone(&self.site.process);
        let used: Vec<_> = self.used.iter().map(UsedPipe::reading_end).collect();
        let arrived = self.wait_by(admit, |wkp, admit, until| {
            let watch = if admit { PollFlags::POLLIN } else { PollFlags::empty() };
            let mut fds = vec![PollFd::new(wkp.as_fd(), watch)];
            fds.extend(used.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
            let woken = process.wait(&mut fds, until)?;
            // What a used pipe shows is no connection yet.
            let is_connection = fds[0].revents().is_some_and(|shown| !shown.is_empty());
            Ok(if matches!(woken, Woken::Ready(_)) && !is_connection { Woken::Deadline } else { woken })
        })?;
        if arrived == Some(Arrived::Other) && !self.used.is_empty() {
            self.receive_late()?;
            if !self.queue.is_empty() {
                return Ok(Some(Arrived::Ready(1)));
            }
        }
        Ok(arrived)
    }

    /// The session that had this pipe is over: whoever waits for the pipe joins the line. Somebody who has it open may
    /// still write a name.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn release(&mut self, used: UsedPipe) -> Result<()> {
        if let Some((used, _)) = self.hand_on(used)? {
            self.used.push(used);
        }
        // Each costs a descriptor.
        let too_many = self.used.len().saturating_sub(USED_MAX);
        self.used.drain(..too_many);
        Ok(())
    }

    /// Looks for those who have written their names into pipes that no client has.
    fn receive_late(&mut self) -> Result<()> {
        for used in std::mem::take(&mut self.used) {
            self.release(used)?;
        }
        Ok(())
    }

    /// The same, for a server that watches such pipes itself. Returns the pipe if a name may still come, and until when.
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

    /// Waits for whoever has this pipe next, for a subserver, which has no other to look after. `None`: nobody uses it any
    /// more, or this process was asked to end.
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

    /// Step 2 for a server that watches more than the well-known pipe: `wait` is told the pipe, whether to watch it,
    /// and until when to wait.
    ///
    /// # Errors
    /// As [`Server::wait`], and those of `wait`.
    pub fn wait_by(
        &mut self,
        admit: bool,
        wait: impl FnOnce(&WellKnownPipe, bool, Deadline) -> Result<Woken>,
    ) -> Result<Option<Arrived>> {
        if let Some(signal) = self.site.process.asked_to_end() {
            self.site.process.log(What::AskedToEnd, |event| event.text(signal));
            return Ok(None);
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.site.process.log(What::Waiting, |event| event.pipe(self.site.place.wkp().display()));
        }
        // The queue is as it was when a turn was over: there is more to do, after a look at everything else.
        let is_interrupted = std::mem::replace(&mut self.turn, CLIENTS_A_TURN) == 0 && !self.queue.is_empty();
        let at_once = if is_interrupted { Deadline::in_exactly(Duration::ZERO) } else { Deadline::NEVER };
        let until = self.look_after.or(self.try_again.unwrap_or(at_once));
        let woken = match &self.wkp {
            Some(wkp) => wait(wkp, admit && self.try_again.is_none(), until)?,
            None => self.site.process.wait(&mut [], until)?,
        };
        // Judged whatever has arrived: where there is always something, nothing else would ever be looked after.
        self.try_again = self.try_again.filter(|again| !again.passed());
        if self.look_after.passed() {
            self.keep_claim()?;
            let is_lost = match &self.wkp {
                Some(wkp) if admit => !wkp.still_named(&self.claim)?,
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

    /// Step 6: removes the well-known pipe, and receives the messages of all who wrote to it.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: something else stands at the name.
    pub fn receive_and_remove(&mut self) -> Result<()> {
        let Some(wkp) = &mut self.wkp else { return Ok(()) };
        match wkp.remove(&self.claim, &self.site.process, What::WkpRemoved) {
            Ok(()) => self.receive_removed(),
            Err(error) if error.is_shortage() => {
                self.short(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn receive_removed(&mut self) -> Result<()> {
        match self.wkp.take() {
            Some(wkp) => self.receive(&wkp.taken()),
            None => Ok(()),
        }
    }

    /// Steps 6 and 1: replaces the well-known pipe by the next one, and receives the messages of all who wrote to
    /// the old one. If there is no pipe to be had now, all stays as it is, and those who wait go on waiting.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: something else stands at the name.
    pub fn receive_and_replace(&mut self) -> Result<()> {
        match self.replace()? {
            Some(taken) => self.receive(&taken),
            None => Ok(()),
        }
    }

    /// The same without receiving anything, for who goes on reading the old pipe (`--shared-wkp`).
    ///
    /// # Errors
    /// As [`Server::receive_and_replace`].
    pub fn replace(&mut self) -> Result<Option<TakenPipe>> {
        let Some(wkp) = &mut self.wkp else { return Ok(None) };
        match wkp.replace(&self.claim, &self.site.process) {
            Ok(taken) => {
                self.waiting = false;
                Ok(Some(taken))
            }
            Err(error) if error.is_shortage() => {
                self.short(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One HELLO that came through a WKP that is never removed (`--shared-wkp`).
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub fn receive_hello(&mut self, nonce: u64, payload: &[u8], wkp: &Rc<OwnedFd>) -> Result<()> {
        let said = Said { nonce, payload, wkp, queue: None };
        self.queue.join(said, WhenFull::Refuse, &self.site).map(drop)
    }

    fn receive(&mut self, taken: &TakenPipe) -> Result<()> {
        match self.queue.receive(taken, &self.site)? {
            Some(used) => self.release(used),
            None => Ok(()),
        }
    }

    /// The next client that is owed an answer, unless this is no time to answer anybody: something is short,
    /// this process was asked to end, or [enough](CLIENTS_A_TURN) have been answered since the last wait.
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

    /// Whether a pending client waits.
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
        let grant =
            AckParams { window: 0, longest: self.options.limits.longest, upstream: upstream.name_in_ack() };
        let from_client = FrameReader::new(Rc::clone(&upstream.from_client), upstream.framing);
        let from_client = upstream.reader(from_client);
        self.begin_session(client, grant, from_client, upstream.fresh)
    }

    /// Steps 7 and 8 with what the ACK grants and the pipe that brings the client's records, for dispatch.
    ///
    /// # Errors
    /// As [`Server::acknowledge`].
    pub fn begin_session(
        &self,
        client: PendingClient,
        grant: AckParams,
        from_client: FrameReader,
        fresh: Option<Fifo>,
    ) -> Result<Session> {
        client.open(&self.site, &self.options, grant, from_client, fresh)
    }

    /// For a client that could not be served because of the error. A shortage may pass: the client goes back to the front of
    /// the queue, and the server tries again. Any other error is told to the client.
    pub fn requeue(&mut self, (client, error): (PendingClient, Error)) {
        if error.is_shortage() {
            self.queue.requeue(client);
            self.short(&error);
        } else {
            client.refuse(&self.site, &format!("the server {error}"));
        }
    }

    /// Takes note that something was short; nobody is admitted until it is time to try again.
    pub fn short(&mut self, error: &Error) {
        self.site.process.log(What::Short, |event| event.text(error));
        self.try_again = Some(Deadline::after(AFTER_SHORTAGE));
    }

    /// Takes the name away, so that nobody new comes; sends those in line away.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: something else stands at the name.
    pub fn close(&mut self) -> Result<()> {
        if let Some(wkp) = &mut self.wkp {
            wkp.remove(&self.claim, &self.site.process, What::WkpClosed)?;
            self.receive_removed()?;
        }
        for used in self.used.drain(..) {
            used.close(&self.site, "the server is shutting down");
        }
        self.queue.turn_away_all(&self.site);
        Ok(())
    }

    /// Tidies up: nothing of this server is left when it returns.
    ///
    /// # Errors
    /// As [`Server::close`].
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
    /// What subservers left that had to be killed goes now, while the place is still claimed.
    fn drop(&mut self) {
        if self.claim.has_its_name() == Some(true) {
            sweep(&self.site.place);
        }
    }
}
