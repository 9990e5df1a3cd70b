//! The central process: who is who, and what goes where.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::children::Subservers;
use handshake_core::event::{Event, What};
use handshake_core::fifo::Fifo;
use handshake_core::handshake::line::Caller;
use handshake_core::handshake::server::Arrived;
use handshake_core::process::Woken;
use handshake_core::records::{self, Filled, RecordReader};
use handshake_core::sys::Poller;
use handshake_core::wire::{HEADER, Header, Kind, PAYLOAD_MAX, Record, append};
use handshake_core::{Error, Process, Result, Server};
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::unistd::{Pid, read, write};

use crate::pair::{ASK, CentralEnds, DONE, SubserverEnds, pair};
use crate::serve_client;

/// What is watched at most in one turn; whoever shows something beyond that comes first in the next.
const TURN: usize = 256;

/// `--shared-wkp`: records that a client may have unanswered. Sixteen full ones are the 64 KiB of a pipe: nobody can
/// fill the well-known pipe by keeping the rules.
const WINDOW: u16 = 16;

/// How the ring's last arc, client --> well-known pipe --> server, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastArc {
    /// Each client's upstream is the well-known pipe that it shook hands on, nameless since step 6 and kept open here as
    /// long as the client lives. Back-pressure, end of file and privacy come per client, from the kernel.
    OwnPipe,
    /// One well-known pipe that is never removed; all clients write their records to it for good, and the session number
    /// says whose they are. So that nobody can flood the rest, each has a window.
    SharedWkp,
}

impl LastArc {
    /// How many descriptors the central process holds for each client.
    pub fn descriptors_each(self) -> u64 {
        match self {
            Self::OwnPipe => 3,
            Self::SharedWkp => 2,
        }
    }
}

/// What a turn brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Something is in the well-known pipe with this number.
    Wkp(u64),
    /// This client has written something, or its subserver has room again.
    Records(u64),
    /// This client's subserver has news.
    News(u64),
}

/// The number and kind of what is watched, as the poller knows it. Numbers are never used again, so what shows itself
/// after it has gone is nobody's.
impl Arrival {
    fn token(self) -> u64 {
        match self {
            Self::Wkp(number) => number * 3,
            Self::Records(number) => number * 3 + 1,
            Self::News(number) => number * 3 + 2,
        }
    }

    fn of(token: u64) -> Self {
        let number = token / 3;
        match token % 3 {
            0 => Self::Wkp(number),
            1 => Self::Records(number),
            _ => Self::News(number),
        }
    }
}

/// A client, as the central process sees it.
struct Client {
    session: u64,
    subserver: Pid,
    /// Its upstream, until it ends; none with `--shared-wkp`.
    from_client: Option<RecordReader>,
    /// A fresh upstream that still has its name.
    fresh: Option<Fifo>,
    to_subserver: ToSubserver,
    /// Its news.
    from_subserver: OwnedFd,
    /// `--shared-wkp`: records routed and not reported as answered.
    unanswered: usize,
}

/// The writing end of the pipe down, and what it did not take yet: with a pipe per client, less than one read, since no
/// more is read meanwhile; with `--shared-wkp`, a window and a half.
struct ToSubserver {
    /// None once there is nothing more to say.
    pipe: Option<OwnedFd>,
    held: Vec<u8>,
}

impl ToSubserver {
    /// Writes what the pipe takes, and holds the rest. Returns whether anything is held.
    fn pass_on(&mut self, mut bytes: &[u8]) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        if self.held.is_empty() {
            bytes = &bytes[written(pipe, bytes)..];
        }
        self.held.extend_from_slice(bytes);
        !self.held.is_empty()
    }

    /// The pipe has room again.
    fn go_on(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let count = written(pipe, &self.held);
        self.held.drain(..count);
        !self.held.is_empty()
    }
}

/// How many bytes the pipe took. A subserver that has gone takes all: its news tell the rest.
fn written(pipe: &OwnedFd, bytes: &[u8]) -> usize {
    match write(pipe, bytes) {
        Ok(count) => count,
        Err(Errno::EAGAIN) => 0,
        Err(_) => bytes.len(),
    }
}

/// The central process.
pub(crate) struct Central {
    process: Rc<Process>,
    poller: Poller,
    events: Vec<EpollEvent>,
    subservers: Subservers,
    last_arc: LastArc,
    clients: HashMap<u64, Client>,
    /// With `--shared-wkp`: which client has a session.
    by_session: HashMap<u64, u64>,
    /// With `--shared-wkp`: the well-known pipe, and those that lost their name and still have clients.
    wkps: HashMap<u64, RecordReader>,
    /// Clients whose subservers ask whether anything is there.
    asked: Vec<u64>,
    /// The number of the well-known pipe, if it is watched.
    wkp: Option<u64>,
    /// The next number.
    next: u64,
}

impl Central {
    /// A central process without clients.
    ///
    /// # Errors
    /// No descriptor for a poller.
    pub(crate) fn new(process: &Rc<Process>, most: usize, last_arc: LastArc) -> Result<Self> {
        Ok(Self {
            process: Rc::clone(process),
            poller: Poller::new().map_err(|errno| Error::on("make", "a poller", errno))?,
            events: vec![EpollEvent::empty(); TURN],
            subservers: Subservers::at_most(most, process),
            last_arc,
            clients: HashMap::new(),
            by_session: HashMap::new(),
            wkps: HashMap::new(),
            asked: Vec::new(),
            wkp: None,
            next: 0,
        })
    }

    /// Step 2: waits until something has arrived, and returns how much; see [`Central::arrival`]. `None`: asked to end.
    ///
    /// # Errors
    /// As [`Server::wait`].
    pub(crate) fn wait(&mut self, server: &mut Server) -> Result<Option<usize>> {
        let admit = self.has_room() && !server.has_line();
        let arrived = server.wait_by(admit, |wkp, admit, until| {
            self.watch_wkp(wkp.reading_end(), admit)?;
            self.process.wait_for_many(&self.poller, &mut self.events, until)
        })?;
        match (arrived, self.wkp) {
            (Some(Arrived::Ready(count)), _) => return Ok(Some(count)),
            (Some(Arrived::NameGone), Some(_)) if self.last_arc == LastArc::SharedWkp => {
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
        let shared = self.last_arc == LastArc::SharedWkp;
        match self.wkp {
            None if admit || shared => {
                let number = self.number();
                self.watch(&wkp, Arrival::Wkp(number), EpollFlags::EPOLLIN)?;
                self.wkp = Some(number);
                if shared {
                    self.wkps.insert(number, RecordReader::new(wkp, records::Arrival::Whole));
                }
            }
            Some(_) if !admit && !shared => self.unwatch_wkp(&wkp),
            _ => {}
        }
        Ok(())
    }

    fn unwatch_wkp(&mut self, wkp: impl AsFd) {
        if self.wkp.take().is_some() {
            // It was watched, so this cannot fail.
            let _ = self.poller.remove(wkp);
        }
    }

    fn watch(&self, fd: impl AsFd, as_what: Arrival, interest: EpollFlags) -> Result<()> {
        self.poller.add(fd, as_what.token(), interest).map_err(|errno| Error::on("watch", "a pipe", errno))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether there is a place for one more client.
    pub(crate) fn has_room(&self) -> bool {
        self.subservers.have_room()
    }

    /// Step 6, and step 1 for the next client. With `--shared-wkp` the pipe stays, and what is in it are records of all
    /// sessions as well.
    ///
    /// # Errors
    /// Something else stands at the well-known name.
    pub(crate) fn receive(&mut self, server: &mut Server, wkp: u64) -> Result<()> {
        if self.last_arc == LastArc::SharedWkp {
            return self.receive_shared(server, wkp);
        }
        if let Some(wkp) = server.wkp() {
            self.unwatch_wkp(wkp);
        }
        server.receive_and_replace()
    }

    /// One read of a shared well-known pipe: HELLOs join the line, the rest is routed by session number, in one write as
    /// long as records of one session follow each other.
    fn receive_shared(&mut self, server: &mut Server, wkp: u64) -> Result<()> {
        // Taken out, so that what it read can be routed while it is looked at.
        let Some(mut reader) = self.wkps.remove(&wkp) else { return Ok(()) };
        match reader.fill() {
            // Nobody writes to it any more; the well-known one never ends, since this process can write to it.
            Ok(Filled::End) => {
                let _ = self.poller.remove(&reader);
                return Ok(());
            }
            Ok(Filled::Bytes(_) | Filled::Nothing) => {}
            Err(errno) => return Err(Error::at("read", server.place().wkp(), errno, "")),
        }
        let (mut run_of, mut run) = (0, 0..0);
        while let Some((Record { header, .. }, place)) = reader.next() {
            let client = self.by_session.get(&header.session).copied().unwrap_or(0);
            match header.kind {
                Kind::Hello => {
                    let payload = &reader.bytes()[place.start + HEADER..place.end];
                    server.receive_hello(header.session, payload, reader.pipe())?;
                    continue;
                }
                Kind::Request if client != 0 && self.count_in_window(client) => {}
                Kind::Ready | Kind::Bye if client != 0 => {}
                // Of no session, or of one that has been ended, or not a client's to say.
                _ => continue,
            }
            if run_of != client || run.end != place.start {
                self.pass_on(run_of, &reader.bytes()[run]);
                (run_of, run) = (client, place.clone());
            }
            run.end = place.end;
        }
        self.pass_on(run_of, &reader.bytes()[run]);
        self.note_skipped(reader.take_skipped(), None);
        self.wkps.insert(wkp, reader);
        Ok(())
    }

    /// `--shared-wkp`: one more record is unanswered. Who overruns the window by half, which is how often answers are
    /// reported, breaks the rules.
    fn count_in_window(&mut self, number: u64) -> bool {
        let Some(client) = self.clients.get_mut(&number) else { return false };
        client.unanswered += 1;
        let most = usize::from(WINDOW + WINDOW / 2);
        if client.unanswered > most {
            // What was answered before this record was sent has been reported by now, if not yet heard.
            self.hear(number);
        }
        let Some(client) = self.clients.get(&number) else { return false };
        let keeps_the_rules = client.unanswered <= most;
        if !keeps_the_rules {
            self.evict(number, "it sent more than its window allows");
        }
        keeps_the_rules
    }

    /// client --> server --> subserver: one read of what the client wrote, one write of what counts. While the pipe down
    /// is full, this client's upstream alone is left unread.
    pub(crate) fn route(&mut self, number: u64) {
        self.route_if(number, true);
    }

    /// The same, with `shown` false if the upstream has shown nothing: then `read` = 0 is perhaps no end, but a fresh pipe
    /// that its client has not opened yet.
    fn route_if(&mut self, number: u64, shown: bool) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if !client.to_subserver.held.is_empty() {
            if !client.to_subserver.go_on() {
                self.watch_upstream(number);
            }
            return;
        }
        let Some(reader) = &mut client.from_client else { return };
        let ended = match reader.fill() {
            Ok(Filled::Bytes(_) | Filled::Nothing) => false,
            Ok(Filled::End) => shown || client.fresh.is_none(),
            Err(_) => true,
        };
        let (mut run, mut routed, mut is_ready) = (0..0, 0, false);
        while let Some((Record { header: Header { kind, session, .. }, .. }, place)) = reader.next() {
            is_ready |= kind == Kind::Ready;
            // Nothing else is a client's to say.
            if session != client.session || !matches!(kind, Kind::Ready | Kind::Request | Kind::Bye) {
                continue;
            }
            if run.end != place.start {
                client.to_subserver.pass_on(&reader.bytes()[run]);
                run = place.clone();
            }
            run.end = place.end;
            routed += place.len();
        }
        let holds = client.to_subserver.pass_on(&reader.bytes()[run]);
        let skipped = reader.take_skipped();
        let session = client.session;
        if routed > 0 {
            self.process.saw(What::Routed, |event| event.session(session).bytes(routed));
        }
        self.note_skipped(skipped, Some(session));
        if is_ready {
            self.remove_fresh_name(number);
        }
        if ended {
            self.close_upstream(number);
        }
        if holds {
            self.watch_room(number);
        }
    }

    fn note_skipped(&self, skipped: u64, session: Option<u64>) {
        if skipped > 0 {
            let bytes = usize::try_from(skipped).unwrap_or(usize::MAX);
            self.process
                .saw(What::Skipped, |event| session.into_iter().fold(event, Event::session).bytes(bytes));
        }
    }

    /// `--shared-wkp`: passes on records of a client.
    fn pass_on(&mut self, number: u64, records: &[u8]) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let session = client.session;
        let held_before = !client.to_subserver.held.is_empty();
        let holds = client.to_subserver.pass_on(records);
        self.process.saw(What::Routed, |event| event.session(session).bytes(records.len()));
        if holds && !held_before {
            self.watch_room(number);
        }
    }

    /// The pipe down is full: watches it instead of the upstream.
    fn watch_room(&mut self, number: u64) {
        let Some(client) = self.clients.get(&number) else { return };
        if let Some(upstream) = &client.from_client {
            let _ = self.poller.remove(upstream);
        }
        if let Some(pipe) = &client.to_subserver.pipe {
            // It fails only for lack of memory; then the client has to wait for its subserver's next news.
            let _ = self.watch(pipe, Arrival::Records(number), EpollFlags::EPOLLOUT);
        }
    }

    /// The pipe down has room again: watches the upstream instead of it.
    fn watch_upstream(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if let Some(pipe) = &client.to_subserver.pipe {
            let _ = self.poller.remove(pipe);
        }
        if client.from_client.is_none() && self.last_arc == LastArc::OwnPipe {
            client.to_subserver.pipe = None;
        }
        let Some(client) = self.clients.get(&number) else { return };
        if let Some(upstream) = &client.from_client {
            let _ = self.watch(upstream, Arrival::Records(number), EpollFlags::EPOLLIN);
        }
    }

    fn remove_fresh_name(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let (session, Some(fifo)) = (client.session, client.fresh.take()) else { return };
        let name = fifo.name();
        // If it cannot be removed now, the next start sweeps it.
        let _ = self.process.does(
            What::UpstreamRemoved,
            |event| event.session(session).pipe(name),
            || fifo.remove(),
        );
    }

    /// The client writes no more: its subserver sees the end when it has taken what is held.
    fn close_upstream(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if let Some(upstream) = client.from_client.take() {
            let _ = self.poller.remove(&upstream);
        }
        if client.to_subserver.held.is_empty() {
            client.to_subserver.pipe = None;
        }
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
        for number in std::mem::take(&mut self.asked) {
            match self.last_arc {
                LastArc::OwnPipe => self.route_if(number, false),
                LastArc::SharedWkp => self.receive_all_shared(server)?,
            }
            // In the order of the pipe: if anything came after the question, the subserver sees it before this.
            self.say(number, Kind::Refuse, "");
        }
        Ok(())
    }

    fn receive_all_shared(&mut self, server: &mut Server) -> Result<()> {
        let wkps: Vec<u64> = self.wkps.keys().copied().collect();
        wkps.into_iter().try_for_each(|wkp| self.receive_shared(server, wkp))
    }

    /// Says something of its own to a subserver, after all that was routed to it.
    fn say(&mut self, number: u64, kind: Kind, reason: &str) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut record = Vec::new();
        let header = Header { kind, more: false, session: client.session, sequence: 0 };
        append(&mut record, header, reason.as_bytes());
        let held_before = !client.to_subserver.held.is_empty();
        if client.to_subserver.pass_on(&record) && !held_before {
            self.watch_room(number);
        }
    }

    /// Ends a session. The subserver tells its client why, if that takes it within the grace.
    fn evict(&mut self, number: u64, reason: &str) {
        self.say(number, Kind::Bye, reason);
        let Some(client) = self.clients.get(&number) else { return };
        let (session, subserver) = (client.session, client.subserver);
        self.by_session.remove(&session);
        self.process.saw(What::ClientDropped, |event| event.session(session).text(reason));
        self.subservers.order_to_end(subserver);
    }

    /// A session is over: closes both pipe ends, and the upstream, which the client sees at once.
    fn forget(&mut self, number: u64, why: &str) {
        let Some(client) = self.clients.remove(&number) else { return };
        self.by_session.remove(&client.session);
        // Not left to close(2): a child just forked may still hold a copy, and what has no owner would show for ever.
        if let Some(upstream) = &client.from_client {
            let _ = self.poller.remove(upstream);
        }
        if let Some(pipe) = &client.to_subserver.pipe {
            let _ = self.poller.remove(pipe);
        }
        let _ = self.poller.remove(&client.from_subserver);
        self.process.saw(What::NewsReceived, |event| event.session(client.session).text(why));
    }

    /// Reaps subservers that have ended.
    pub(crate) fn reap(&mut self) {
        self.subservers.reap();
    }

    /// Step 7: forks off a subserver, with a pair of unnamed pipes. If there are none to be had, or no process, the client
    /// stays first in line.
    pub(crate) fn fork_subserver(&mut self, server: &mut Server, client: Caller) {
        let forked = match self.prepare(server, &client) {
            Ok((prepared, ends)) => self.fork(server, client, prepared, ends),
            Err(error) => Err((client, error)),
        };
        if let Err((client, error)) = forked {
            server.put_back(client, &error);
        }
    }

    /// All that a new client needs, before there is a subserver for it.
    fn prepare(&mut self, server: &Server, client: &Caller) -> Result<(Client, SubserverEnds)> {
        let longest = server.terms().longest;
        let (from_client, fresh, in_ack, window, longest) = match self.last_arc {
            LastArc::OwnPipe => {
                let upstream = client.upstream(server.place(), &self.process)?;
                let in_ack = upstream.name_in_ack();
                let reader = RecordReader::new(upstream.from_client, upstream.arrival);
                (Some(reader), upstream.fresh, in_ack, 0, longest)
            }
            LastArc::SharedWkp => {
                (None, None, Vec::new(), WINDOW, longest.min(usize::from(WINDOW) * PAYLOAD_MAX))
            }
        };
        let (CentralEnds { to_subserver, from_subserver }, ends) = pair(in_ack, window, longest)?;
        let to_subserver = ToSubserver { pipe: Some(to_subserver), held: Vec::new() };
        let (session, subserver) = (client.session, Pid::from_raw(0));
        Ok((
            Client { session, subserver, from_client, fresh, to_subserver, from_subserver, unanswered: 0 },
            ends,
        ))
    }

    fn fork(
        &mut self,
        server: &Server,
        client: Caller,
        prepared: Client,
        ends: SubserverEnds,
    ) -> Result<(), (Caller, Error)> {
        let (from_central, to_central) = (Rc::clone(&ends.from_central), Rc::clone(&ends.to_central));
        let keep = [from_central.as_fd(), to_central.as_fd()];
        let subserver = self.subservers.fork(client, &keep, |client| serve_client(server, client, ends))?;
        let number = self.number();
        let session = prepared.session;
        let watched = prepared
            .from_client
            .as_ref()
            .map_or(Ok(()), |upstream| self.watch(upstream, Arrival::Records(number), EpollFlags::EPOLLIN))
            .and_then(|()| self.watch(&prepared.from_subserver, Arrival::News(number), EpollFlags::EPOLLIN));
        if let Err(error) = watched {
            // Its client sees its pipes closed, and tries again.
            self.process.saw(What::Short, |event| event.text(&error));
            self.subservers.order_to_end(subserver);
            return Ok(());
        }
        self.by_session.insert(session, number);
        self.clients.insert(number, Client { subserver, ..prepared });
        Ok(())
    }

    /// Ends: what has arrived up to now is routed, and nothing that comes later; subservers answer it and end. Who still
    /// runs when the grace is over is killed.
    ///
    /// # Errors
    /// Asked to end for the second time.
    pub(crate) fn end(mut self, mut server: Server) -> Result<()> {
        self.receive_all_shared(&mut server)?;
        if let Some(wkp) = server.wkp() {
            self.unwatch_wkp(wkp);
        }
        server.close()?;
        for number in self.clients.keys().copied().collect::<Vec<_>>() {
            self.route_if(number, false);
            self.say(number, Kind::Bye, "the server is shutting down");
            self.close_upstream(number);
        }
        let until = self.process.end_of(server.terms().grace);
        while !(self.clients.is_empty() && self.subservers.is_empty()) && !until.passed() {
            if let Woken::Ready(count) = self.process.wait_for_many(&self.poller, &mut self.events, until)? {
                for arrival in 0..count {
                    match self.arrival(arrival) {
                        Arrival::Records(client) => self.route(client),
                        Arrival::News(client) => self.hear(client),
                        Arrival::Wkp(_) => {}
                    }
                }
            }
            self.reap();
        }
        self.subservers.kill_all();
        server.end()
    }
}
