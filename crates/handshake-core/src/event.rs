//! Events: what happened, in the course's numbered steps, as one JSON object a line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::words;

/// The role of a process in the paradigm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The basic server, the main server, or the central process.
    Server,
    /// The n-th subserver, from 1.
    #[doc(alias = "child")]
    Subserver(u32),
    /// A client.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            Self::Subserver(number) => write!(f, "subserver {number}"),
            Self::Client => f.write_str("client"),
        }
    }
}

impl Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match (text.as_str(), text.strip_prefix("subserver ").map(str::parse)) {
            ("server", _) => Ok(Self::Server),
            ("client", _) => Ok(Self::Client),
            (_, Some(Ok(number))) => Ok(Self::Subserver(number)),
            _ => Err(serde::de::Error::custom(format!("no role: {text:?}"))),
        }
    }
}

/// What happened. The number is the course's step, if the event belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// 1. The server made the well-known pipe.
    WkpCreated,
    /// 2. The server waits for a connection.
    Waiting,
    /// 3. The client made its private pipe.
    PrivateCreated,
    /// 4. The client opened the well-known pipe and, under its lock, saw that it still has its name.
    WkpOpened,
    /// 4. The client sent the private pipe's name.
    HelloSent,
    /// 5. The client waits for the private pipe's connection.
    AwaitingAck,
    /// 6. The server removed the well-known pipe's name.
    WkpRemoved,
    /// 6. The server received a client's HELLO.
    HelloReceived,
    /// 7. The server forked a subserver (`peer`).
    SubserverForked,
    /// A subserver started: its first event, when it has closed all file descriptors but its own.
    SubserverBegan,
    /// The server made a fresh upstream for this client.
    UpstreamCreated,
    /// 7, in a subserver 8. The server connected to the private pipe and sent the acknowledgement.
    AckSent,
    /// 8. The client received the acknowledgement.
    AckReceived,
    /// 8. The client removed its private pipe.
    PrivateRemoved,
    /// The client confirmed: both ends have now verified both directions.
    ReadySent,
    /// The server received the confirmation.
    ReadyReceived,
    /// In the course dialect: the server no longer waits for a confirmation; `text` says why.
    NoConfirmation,
    /// In the course dialect: the kind of a record is in doubt. `text` says how the server read it, and which
    /// option decides.
    InDoubt,
    /// In the course dialect: a client's name came through a pipe that another client has. The new client
    /// waits for its turn there.
    Queued,
    /// The fresh upstream lost its name; it belongs to this client alone.
    UpstreamRemoved,
    /// The client sent a request.
    RequestSent,
    /// The central process routed a client's frames to its subserver.
    Routed,
    /// The server received a complete request.
    RequestReceived,
    /// The server sent a reply.
    ReplySent,
    /// The client received a complete reply.
    ReplyReceived,
    /// The server refused a request; `text` says why.
    RequestRefused,
    /// The client has all its replies, and sent BYE.
    ByeSent,
    /// A session is over; `text` says how.
    SessionEnded,
    /// The central process received a subserver's status: its client has gone.
    StatusReceived,
    /// A subserver (`peer`) exited and was reaped; `text` says how.
    SubserverReaped,
    /// The server could not serve a HELLO now, or not at all; `text` says why.
    ClientDropped,
    /// A client returns to step 3 or 4; `text` says why.
    TryingAgain,
    /// Bytes outside all frames were skipped; `bytes` says how many. Where a private pipe's name was
    /// expected, `text` has the bytes that came instead.
    Skipped,
    /// A resource is short (file descriptors, processes, memory); `text` says which. Clients wait meanwhile.
    Shortage,
    /// The server was asked to end; `text` names the signal.
    AskedToEnd,
    /// The server, which is ending, removed the well-known pipe's name.
    WkpClosed,
    /// The server has cleaned up.
    Ended,
    /// The event log has a gap, since its file does not take all; `text` says how many are missing, or why.
    EventsDropped,
}

impl What {
    /// Returns the course's number of this step, for a process in this role.
    pub fn step(self, role: Role) -> Option<u8> {
        match (self, role) {
            (Self::WkpCreated, _) => Some(1),
            (Self::Waiting, _) => Some(2),
            (Self::PrivateCreated, _) => Some(3),
            (Self::WkpOpened | Self::HelloSent, _) => Some(4),
            (Self::AwaitingAck, _) => Some(5),
            (Self::WkpRemoved | Self::HelloReceived, _) => Some(6),
            (Self::SubserverForked, _) | (Self::AckSent, Role::Server) => Some(7),
            (Self::AckSent | Self::AckReceived | Self::PrivateRemoved, _) => Some(8),
            _ => None,
        }
    }
}

/// One line of the event log. Empty optional fields are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// CLOCK_MONOTONIC: for an action, the time just before it; for something received, the time just after.
    /// If one event caused another, the cause therefore has the smaller number.
    pub ns: u64,
    /// The PID.
    pub pid: u32,
    /// The role of the process.
    pub role: Role,
    /// The session's number, 16 hexadecimal digits (it does not fit a JSON number).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The course's step number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// What happened.
    pub what: What,
    /// The name of the pipe concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<String>,
    /// A request's sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
    /// How many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The beginning of a message, or a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The PID of the other process, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
}

impl Event {
    /// Makes an event of this process, in this role.
    pub(crate) fn new(ns: u64, role: Role, what: What) -> Self {
        Self {
            ns,
            pid: std::process::id(),
            role,
            session: None,
            step: what.step(role),
            what,
            pipe: None,
            seq: None,
            bytes: None,
            text: None,
            peer: None,
        }
    }

    /// Adds the session's number.
    #[must_use]
    pub fn session(mut self, session: u64) -> Self {
        self.session = Some(format!("{session:016x}"));
        self
    }

    /// Adds the name of the pipe.
    #[must_use]
    pub fn pipe(mut self, name: impl fmt::Display) -> Self {
        self.pipe = Some(name.to_string());
        self
    }

    /// Adds a message's number, length and beginning.
    #[must_use]
    pub fn message(mut self, seq: u32, message: &[u8]) -> Self {
        self.seq = Some(seq);
        self.bytes = Some(message.len());
        self.text = Some(excerpt(message));
        self
    }

    /// Adds the request's number.
    #[must_use]
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = Some(seq);
        self
    }

    /// Adds a number of bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: impl fmt::Display) -> Self {
        self.text = Some(text.to_string());
        self
    }

    /// Adds the PID of the other process.
    #[must_use]
    pub fn peer(mut self, pid: u32) -> Self {
        self.peer = Some(pid);
        self
    }
}

/// The most of a message that an event or a log line quotes, in bytes.
const EXCERPT: usize = 60;

/// Returns the beginning of a message as text, on one line.
pub(crate) fn excerpt(message: &[u8]) -> String {
    let (shown, rest) = message.split_at(message.len().min(EXCERPT));
    let mut text = words(shown);
    if !rest.is_empty() {
        text.push('…');
    }
    text
}
