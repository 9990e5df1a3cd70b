//! The roster of the demo: PIDs, sessions and pipes of each process, learnt from the event log and at the
//! start.

use std::collections::{HashMap, HashSet};
use std::fmt;

use handshake_core::event::{Event, Role, What};

/// A process of the demo. Clients are numbered in the order of their starts, subservers in the order of their
/// forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Actor {
    Server,
    /// From 1; 0 is a client that the demo did not start.
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

/// All processes of the demo so far.
#[derive(Debug, Default)]
pub(super) struct Roster {
    server: Option<u32>,
    /// `clients[0]` is client 1.
    clients: Vec<u32>,
    subservers: Vec<u32>,
    /// The client of each session.
    sessions: HashMap<String, usize>,
    /// The number of the external client.
    external: Option<usize>,
    /// The private pipes of the external client.
    external_pipes: HashSet<String>,
    /// `served[0]` is the client of subserver 1.
    served: Vec<Option<usize>>,
}

impl Roster {
    pub(super) fn set_server(&mut self, pid: u32) {
        self.server = Some(pid);
    }

    /// Adds a client; returns its number.
    pub(super) fn add_client(&mut self, pid: u32) -> usize {
        self.clients.push(pid);
        self.clients.len()
    }

    /// Adds the external client; returns its number.
    pub(super) fn add_external(&mut self, pid: u32) -> usize {
        let number = self.add_client(pid);
        self.external = Some(number);
        number
    }

    pub(super) fn external(&self) -> Option<usize> {
        self.external
    }

    /// Notes that the external client has made this pipe.
    pub(super) fn note_external_pipe(&mut self, pipe: &str) {
        self.external_pipes.insert(pipe.into());
    }

    /// Whether an event concerns the external client, which writes no event log.
    pub(super) fn concerns_external(&self, event: &Event) -> bool {
        self.external.is_some() && self.client_of(event) == self.external
    }

    /// Learns from an event which session, pipe and subserver belong to which client.
    pub(super) fn learn(&mut self, event: &Event) {
        if let (What::HelloReceived | What::ClientDropped, Some(pipe)) = (event.what, &event.pipe)
            && self.external.is_some()
            && self.maker_of(pipe).is_none()
        {
            // All other clients have made their own pipes, under known names.
            self.note_external_pipe(pipe);
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

    /// The client that made the private pipe of this name: `NAME.client.PID.RANDOM`, or any name by an
    /// external client.
    pub(super) fn maker_of(&self, pipe: &str) -> Option<usize> {
        if self.external_pipes.contains(pipe) {
            return self.external;
        }
        let pid = pipe.split_once(".client.")?.1.split('.').next()?.parse().ok()?;
        number_of(pid, &self.clients)
    }

    /// The client that an event concerns.
    pub(super) fn client_of(&self, event: &Event) -> Option<usize> {
        if event.role == Role::Client {
            return number_of(event.pid, &self.clients);
        }
        let by_session = event.session.as_ref().and_then(|session| self.sessions.get(session).copied());
        by_session.or_else(|| self.maker_of(event.pipe.as_deref()?))
    }

    /// The client that an actor is, or serves; none for the server.
    pub(super) fn client_served_by(&self, actor: Actor) -> Option<usize> {
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

    /// The name with the PID: `client 1 [4711]`.
    pub(super) fn name(&self, actor: Actor) -> String {
        self.pid(actor).map_or_else(|| actor.to_string(), |pid| format!("{actor} [{pid}]"))
    }

    /// The name of the process with this PID, also of one that is not the demo's.
    pub(super) fn name_of(&self, pid: u32) -> String {
        self.actor(pid).map_or_else(|| format!("process {pid}"), |actor| self.name(actor))
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.clients.len()
    }

    pub(super) fn subservers(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.subservers.len()
    }

    /// All processes: the server, the subservers, the clients.
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

/// The message that a client sends. No two are equal, so that a reply to the wrong client would show.
pub(super) fn message(client: usize, number: usize) -> String {
    match number {
        1 => format!("it's-a me, client {client}!"),
        _ => format!("message {number} of client {client}"),
    }
}
