//! The central process: who is who, and what goes where.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::deadline::Deadline;
use handshake_core::event::What;
use handshake_core::process::Woken;
use handshake_core::server::Arrived;
use handshake_core::server::course::used_pipe::{USED_MAX, UsedPipe};
use handshake_core::server::options::UpstreamMode;
use handshake_core::server::site::Site;
use handshake_core::server::subservers::Subservers;
use handshake_core::server::upstream::reader_of_shared;
use handshake_core::stream::{FrameReader, READS_MAX, new_buffer};
use handshake_core::sys::Poller;
use handshake_core::wire::Kind;
use handshake_core::{Error, Result, Server};
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::unistd::read;

use crate::client::Client;
use crate::pair::{ASK, DONE};
use crate::shared_wkp::NO_COURSE;

/// What is watched at most in one turn; whoever shows something beyond that comes first in the next.
const TURN: usize = 256;

/// What a turn brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Something is in the well-known pipe with this number.
    Wkp(u64),
    /// This client has written something, or its subserver has room again.
    Frames(u64),
    /// This client's subserver has news.
    News(u64),
}

/// The number and kind of what is watched, as the poller knows it. Numbers are never used again, so what shows itself
/// after it has gone is nobody's.
impl Arrival {
    fn token(self) -> u64 {
        match self {
            Self::Wkp(number) => number * 3,
            Self::Frames(number) => number * 3 + 1,
            Self::News(number) => number * 3 + 2,
        }
    }

    fn of(token: u64) -> Self {
        let number = token / 3;
        match token % 3 {
            0 => Self::Wkp(number),
            1 => Self::Frames(number),
            _ => Self::News(number),
        }
    }
}

/// The central process.
pub(crate) struct Central {
    pub(crate) site: Rc<Site>,
    pub(crate) poller: Poller,
    events: Vec<EpollEvent>,
    /// Lent to each client's reader in its turn.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) subservers: Subservers,
    pub(crate) mode: UpstreamMode,
    pub(crate) clients: HashMap<u64, Client>,
    /// With `--shared-wkp`: which client has a session.
    pub(crate) by_session: HashMap<u64, u64>,
    /// With `--shared-wkp`: the well-known pipe, and those that lost their name and still have clients.
    pub(crate) wkps: HashMap<u64, FrameReader>,
    /// With `--shared-wkp`: whether one of them was full in this turn.
    pub(crate) was_full: bool,
    /// Clients whose subservers ask whether anything is there.
    asked: Vec<u64>,
    /// Pipes whose clients have left, and that others may wait for.
    used: Vec<UsedPipe>,
    /// Those of them that nobody waits for, and that somebody has still open who may write a name; until when, the first.
    open: HashMap<u64, UsedPipe>,
    open_until: Deadline,
    /// The number of the well-known pipe, if it is watched.
    wkp: Option<u64>,
    /// The next number.
    next: u64,
}

/// `--shared-wkp`: the well-known pipe and old ones that clients may still have open. Each costs a descriptor
/// and 64 KiB.
const WKPS_MAX: usize = 8;

impl Central {
    /// A central process without clients.
    ///
    /// # Errors
    /// No descriptor for a poller.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let (site, mode) = (server.site(), server.options().upstream);
        if mode == UpstreamMode::Shared {
            site.serve_no_course(NO_COURSE);
        }
        Ok(Self {
            site: Rc::clone(site),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            events: vec![EpollEvent::empty(); TURN],
            buffer: new_buffer(),
            subservers: Subservers::of(server)?.of_many_descriptors(),
            mode,
            clients: HashMap::new(),
            by_session: HashMap::new(),
            wkps: HashMap::new(),
            was_full: false,
            asked: Vec::new(),
            used: Vec::new(),
            open: HashMap::new(),
            open_until: Deadline::NEVER,
            wkp: None,
            next: 0,
        })
    }

    /// Step 2: waits until something has arrived, and returns how much; see [`Central::arrival`]. `None`: asked to end.
    ///
    /// # Errors
    /// As [`Server::wait`].
    pub(crate) fn wait(&mut self, server: &mut Server) -> Result<Option<usize>> {
        let admit = self.has_room() && !server.has_queue();
        let arrived = server.wait_by(admit, |wkp, admit, until| {
            if let Err(error) = self.watch_wkp(wkp.reading_end(), admit) {
                self.site.process.log(What::Short, |event| event.text(error)); // Tried again with the next wait.
            }
            self.site.process.wait_for_many(&self.poller, &mut self.events, until)
        })?;
        match (arrived, self.wkp) {
            (Some(Arrived::Ready(count)), _) => return Ok(Some(count)),
            (Some(Arrived::NameGone), Some(_)) if self.mode == UpstreamMode::Shared => {
                // Its clients go on writing to it; new ones find the next.
                if server.replace()?.is_some() {
                    self.wkp = None;
                }
            }
            (Some(Arrived::NameGone), Some(wkp)) => {
                self.events[0] = EpollEvent::new(EpollFlags::empty(), Arrival::Wkp(wkp).token());
                return Ok(Some(1));
            }
            (Some(_), _) => {}
            (None, _) => return Ok(None),
        }
        Ok(Some(0))
    }

    /// The n-th of what has arrived.
    pub(crate) fn arrival(&self, n: usize) -> Arrival {
        Arrival::of(self.events[n].data())
    }

    /// Watches the well-known pipe if clients are admitted; a shared one in any case, since sessions go through it.
    fn watch_wkp(&mut self, wkp: Rc<OwnedFd>, admit: bool) -> Result<()> {
        let shared = self.mode == UpstreamMode::Shared;
        match self.wkp {
            None if admit || shared => {
                let number = self.number();
                self.watch(&wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
                self.wkp = Some(number);
                if shared {
                    self.wkps.insert(number, reader_of_shared(wkp, &self.site));
                    self.bound_old_wkps();
                }
            }
            Some(_) if !admit && !shared => self.unwatch_wkp(&wkp),
            _ => {}
        }
        Ok(())
    }

    /// `--shared-wkp`: a pipe whose name was removed is read as long as a client has it open. Of too many
    /// such pipes, the oldest is closed, which its clients see.
    fn bound_old_wkps(&mut self) {
        while self.wkps.len() > WKPS_MAX
            && let Some(oldest) = self.wkps.keys().min().copied()
            && let Some(reader) = self.wkps.remove(&oldest)
        {
            let _ = self.poller.remove(&reader);
        }
    }

    fn unwatch_wkp(&mut self, wkp: impl AsFd) {
        if self.wkp.take().is_some() {
            // It was watched, so this cannot fail.
            let _ = self.poller.remove(wkp);
        }
    }

    pub(crate) fn watch(&self, fd: impl AsFd, as_what: Arrival, interest: EpollFlags) -> Result<()> {
        self.poller.add(fd, as_what.token(), interest).map_err(|errno| Error::on("watch", "a pipe", errno))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether there is a place for one more client.
    pub(crate) fn has_room(&self) -> bool {
        self.subservers.have_room()
    }

    /// Step 6, and step 1 for the next client. With `--shared-wkp` the pipe stays, and what is in it are frames of all
    /// sessions as well.
    ///
    /// # Errors
    /// Something else stands at the well-known name.
    pub(crate) fn receive(&mut self, server: &mut Server, wkp: u64) -> Result<()> {
        if self.mode == UpstreamMode::Shared {
            return self.receive_shared(server, wkp).map(drop);
        }
        if let Some(wkp) = server.wkp() {
            self.unwatch_wkp(wkp);
        }
        server.receive_and_replace()
    }

    /// subserver --> server: what the subserver has to say.
    pub(crate) fn hear(&mut self, number: u64) {
        let mut news = [0; 512];
        let Some(client) = self.clients.get_mut(&number) else { return };
        let heard = match read(&client.from_subserver, &mut news) {
            Err(Errno::EAGAIN) => return,
            Ok(0) | Err(_) => return self.forget(number, "subserver gone"),
            Ok(count) => &news[..count],
        };
        let answered: usize = heard.iter().filter(|news| **news != ASK).map(|news| usize::from(*news)).sum();
        client.unanswered = client.unanswered.saturating_sub(answered);
        if heard.contains(&ASK) {
            self.asked.push(number);
        }
        if heard.contains(&DONE) {
            self.forget(number, "client gone, done");
        }
    }

    /// Answers the subservers whose deadlines have passed. Whether a client is to blame shows a read: a central process
    /// that was stopped for a while must not blame anybody.
    ///
    /// # Errors
    /// As [`Central::receive`].
    pub(crate) fn look_for_the_silent(&mut self, server: &mut Server) -> Result<()> {
        let asked = std::mem::take(&mut self.asked);
        if !asked.is_empty() && self.mode == UpstreamMode::Shared {
            self.receive_all_shared(server)?;
        }
        // Who waits for room in a full pipe is not silent. Without an answer, the subserver asks again later.
        if std::mem::take(&mut self.was_full) {
            return Ok(());
        }
        for number in asked {
            self.route_if(number, false);
            // In the order of the pipe: if anything came after the question, the subserver sees it before this.
            self.say(number, Kind::Idle, "");
        }
        Ok(())
    }

    /// Reads the shared well-known pipes until they are empty.
    fn receive_all_shared(&mut self, server: &mut Server) -> Result<()> {
        for wkp in self.wkps.keys().copied().collect::<Vec<_>>() {
            // Somebody who goes on writing must not keep us here.
            for _ in 0..READS_MAX {
                if self.receive_shared(server, wkp)? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A session is over: closes both pipe ends, and the upstream, unless others wait for it.
    fn forget(&mut self, number: u64, why: &str) {
        let Some(mut client) = self.clients.remove(&number) else { return };
        self.by_session.remove(&client.session);
        self.unwatch_client(&client);
        let session = client.session;
        if let Some(upstream) = client.from_client.take() {
            self.let_go(upstream, session);
        }
        self.used.extend(client.pipe);
        if let Some(errno) = client.to_subserver.failed {
            let reason = Error::on("write to", "its subserver", errno);
            self.site.process.log(What::ClientDropped, |event| event.session(session).text(reason));
        }
        self.site.process.log(What::NewsReceived, |event| event.session(session).text(why));
    }

    /// Lets those have the pipes of clients that have left who wait for them.
    ///
    /// # Errors
    /// As [`Server::hand_on`].
    pub(crate) fn hand_on(&mut self, server: &mut Server) -> Result<()> {
        if self.open_until.passed() {
            self.open_until = Deadline::NEVER;
            self.open.keys().copied().collect::<Vec<_>>().into_iter().for_each(|number| self.look_at(number));
        }
        for pipe in std::mem::take(&mut self.used) {
            let Some((pipe, until)) = server.hand_on(pipe)? else { continue };
            let number = self.number();
            if self.open.len() < USED_MAX
                && self.watch(&pipe, Arrival::Frames(number), EpollFlags::EPOLLIN).is_ok()
            {
                self.open.insert(number, pipe);
                self.open_until = self.open_until.or(until);
            }
        }
        Ok(())
    }

    /// A pipe whose client has left shows something.
    pub(crate) fn look_at(&mut self, number: u64) {
        if let Some(pipe) = self.open.remove(&number) {
            // It was watched, so this cannot fail.
            let _ = self.poller.remove(&pipe);
            self.used.push(pipe);
        }
    }

    /// Reaps subservers that have ended.
    pub(crate) fn reap(&mut self) {
        self.subservers.reap();
    }

    /// Ends: what has arrived up to now is routed, and nothing that comes later; subservers answer it and end. Who still
    /// runs when the grace is over is killed.
    ///
    /// # Errors
    /// Asked to end for the second time.
    pub(crate) fn end(mut self, mut server: Server) -> Result<()> {
        let drained = self.drain(&mut server);
        // Whatever happened: the subservers end first, and the place is given back last.
        self.subservers.kill_all();
        let pipes = self.clients.drain().filter_map(|(_, client)| client.pipe);
        for pipe in pipes.chain(self.open.drain().map(|(_, pipe)| pipe)).chain(self.used.drain(..)) {
            pipe.close(&self.site, "the server is shutting down");
        }
        drained?;
        server.end()
    }

    fn drain(&mut self, server: &mut Server) -> Result<()> {
        self.receive_all_shared(server)?;
        if let Some(wkp) = server.wkp() {
            self.unwatch_wkp(wkp);
        }
        // Old shared ones, too: nothing that comes later counts.
        for wkp in self.wkps.drain() {
            let _ = self.poller.remove(&wkp.1);
        }
        server.close()?;
        for number in self.clients.keys().copied().collect::<Vec<_>>() {
            self.route_if(number, false);
            self.say(number, Kind::Bye, "the server is shutting down");
            self.close_upstream(number);
        }
        let until = self.site.process.end_of(server.options().limits.grace);
        while !until.passed() && self.clients.len() + self.subservers.len() > 0 {
            let patience = until.or(self.subservers.patience());
            if let Woken::Ready(count) =
                self.site.process.wait_for_many(&self.poller, &mut self.events, patience)?
            {
                for arrival in 0..count {
                    match self.arrival(arrival) {
                        Arrival::Frames(client) => self.route(client),
                        Arrival::News(client) => self.hear(client),
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
