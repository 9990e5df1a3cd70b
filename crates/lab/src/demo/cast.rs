//! Who is who: process numbers and sessions, learnt from the record and from who was started.

use std::collections::{HashMap, HashSet};
use std::fmt;

use handshake_core::event::{Event, Role, What};

/// A process of the play. Clients are numbered as they start, subservers as they are forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Actor {
    Server,
    /// From 1; 0 is somebody whom the demo did not start.
    Client(usize),
    Subserver(usize),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            Self::Client(0) => f.write_str("a client"),
            Self::Client(number) => write!(f, "client {number}"),
            Self::Subserver(number) => write!(f, "subserver {number}"),
        }
    }
}

/// All processes of the play so far.
#[derive(Debug, Default)]
pub(super) struct Cast {
    server: Option<u32>,
    /// `clients[0]` is client 1.
    clients: Vec<u32>,
    subservers: Vec<u32>,
    /// Which client has which session.
    sessions: HashMap<String, usize>,
    /// The client that is a program of somebody else.
    guest: Option<usize>,
    /// Its private pipes.
    pipes_of_guest: HashSet<String>,
    /// `served[0]` is the client of subserver 1.
    served: Vec<Option<usize>>,
}

impl Cast {
    pub(super) fn server_is(&mut self, pid: u32) {
        self.server = Some(pid);
    }

    /// One more client; returns its number.
    pub(super) fn add_client(&mut self, pid: u32) -> usize {
        self.clients.push(pid);
        self.clients.len()
    }

    /// One more client, which is a program of somebody else; returns its number.
    pub(super) fn add_guest(&mut self, pid: u32) -> usize {
        let number = self.add_client(pid);
        self.guest = Some(number);
        number
    }

    pub(super) fn guest(&self) -> Option<usize> {
        self.guest
    }

    /// The guest has made this pipe.
    pub(super) fn is_of_guest(&mut self, pipe: &str) {
        self.pipes_of_guest.insert(pipe.into());
    }

    /// Whether an event is about the guest, who keeps no record.
    pub(super) fn concerns_guest(&self, event: &Event) -> bool {
        self.guest.is_some() && self.client_of(event) == self.guest
    }

    /// Learns from an event who belongs to whom.
    pub(super) fn learn(&mut self, event: &Event) {
        if let (What::HelloReceived | What::ClientDropped, Some(pipe)) = (event.what, &event.pipe)
            && self.guest.is_some()
            && self.maker_of(pipe).is_none()
        {
            // The others are ours, and made theirs.
            self.is_of_guest(pipe);
        }
        let client = event.pipe.as_deref().and_then(|pipe| self.maker_of(pipe));
        if let (What::HelloReceived, Some(session), Some(client)) = (event.what, &event.session, client) {
            self.sessions.insert(session.clone(), client);
        }
        if let (What::SubserverForked, Some(pid)) = (event.what, event.peer) {
            self.subservers.push(pid);
            self.served.push(self.client_of(event));
        }
    }

    /// Which client made the private pipe of this name: `NAME.client.PID.RANDOM`, or what a guest likes.
    pub(super) fn maker_of(&self, pipe: &str) -> Option<usize> {
        if self.pipes_of_guest.contains(pipe) {
            return self.guest;
        }
        let pid = pipe.split_once(".client.")?.1.split('.').next()?.parse().ok()?;
        number_of(pid, &self.clients)
    }

    /// Which client an event is about.
    pub(super) fn client_of(&self, event: &Event) -> Option<usize> {
        if event.role == Role::Client {
            return number_of(event.pid, &self.clients);
        }
        let by_session = event.session.as_ref().and_then(|session| self.sessions.get(session).copied());
        by_session.or_else(|| self.maker_of(event.pipe.as_deref()?))
    }

    /// The client that an actor is, or serves; none for the server.
    pub(super) fn client_behind(&self, actor: Actor) -> Option<usize> {
        match actor {
            Actor::Server => None,
            Actor::Client(number) => (number > 0).then_some(number),
            Actor::Subserver(number) => self.served.get(number.checked_sub(1)?).copied().flatten(),
        }
    }

    /// The subserver of a client.
    pub(super) fn subserver_of(&self, client: usize) -> Option<usize> {
        self.served.iter().position(|served| *served == Some(client)).map(|index| index + 1)
    }

    pub(super) fn actor(&self, pid: u32) -> Option<Actor> {
        let client = || number_of(pid, &self.clients).map(Actor::Client);
        let subserver = || number_of(pid, &self.subservers).map(Actor::Subserver);
        (self.server == Some(pid)).then_some(Actor::Server).or_else(client).or_else(subserver)
    }

    pub(super) fn pid(&self, actor: Actor) -> Option<u32> {
        match actor {
            Actor::Server => self.server,
            Actor::Client(number) => self.clients.get(number.checked_sub(1)?).copied(),
            Actor::Subserver(number) => self.subservers.get(number.checked_sub(1)?).copied(),
        }
    }

    /// The name with the process number: `client 1 [4711]`.
    pub(super) fn name(&self, actor: Actor) -> String {
        self.pid(actor).map_or_else(|| actor.to_string(), |pid| format!("{actor} [{pid}]"))
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.clients.len()
    }

    pub(super) fn subservers(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.subservers.len()
    }

    /// Everybody: the server, then each client with its subserver.
    pub(super) fn all(&self) -> impl Iterator<Item = (Actor, u32)> + '_ {
        let clients = self.clients().map(Actor::Client);
        let subservers = self.subservers().map(Actor::Subserver);
        [Actor::Server]
            .into_iter()
            .chain(subservers)
            .chain(clients)
            .filter_map(|actor| Some((actor, self.pid(actor)?)))
    }
}

fn number_of(pid: u32, among: &[u32]) -> Option<usize> {
    among.iter().position(|one| *one == pid).map(|index| index + 1)
}
