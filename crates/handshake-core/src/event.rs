//! The event record: what happened, in the course's numbered steps, as one JSON object a line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::words;

/// What a process is in the paradigm.
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

/// What happened. The number is the course's step, where it has one.
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
    /// 6. The server took the well-known pipe's name away.
    WkpRemoved,
    /// 6. The server received a client's HELLO.
    HelloReceived,
    /// 7. The server forked off a subserver (`peer`).
    SubserverForked,
    /// A subserver is there: its first event, when it holds no more than its own.
    SubserverBegan,
    /// A fresh upstream was made for this client.
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
    /// In the course dialect: no confirmation is waited for any longer; `text` says why.
    ThirdStepSpared,
    /// In the course dialect: what a record is could not be told for certain; `text` says what it was taken for, and
    /// which option decides.
    InDoubt,
    /// In the course dialect: a client's name came through a pipe that another one has; it waits for its turn there.
    Queued,
    /// The fresh upstream lost its name; it is this client's alone.
    UpstreamRemoved,
    /// The client sent a request.
    RequestSent,
    /// The central process routed a client's records to its subserver.
    Routed,
    /// A request has come whole.
    RequestReceived,
    /// The server sent a reply.
    ReplySent,
    /// A reply has come whole.
    ReplyReceived,
    /// A request was refused; `text` says why.
    RequestRefused,
    /// The client has all it wanted, and says so.
    ByeSent,
    /// A session is over; `text` says how.
    SessionEnded,
    /// A subserver's news came up to the central process: its client is gone.
    NewsReceived,
    /// A subserver (`peer`) ended and was reaped; `text` says how.
    SubserverReaped,
    /// A HELLO could not be served now, or not at all; `text` says why.
    ClientDropped,
    /// A client goes back to step 3 or 4; `text` says why.
    TryingAgain,
    /// Bytes that are no record of ours were skipped; `bytes` says how many. Where a private pipe's name was
    /// expected, `text` says what came instead.
    Skipped,
    /// Something is short (descriptors, processes, memory); `text` says what. Clients wait meanwhile.
    Short,
    /// The server was asked to end; `text` names the signal.
    AskedToEnd,
    /// The server that ends took the well-known pipe's name away.
    WkpClosed,
    /// The server has tidied up.
    Ended,
    /// The event log has a gap, since its file does not take all; `text` says how many are missing, or why.
    EventsDropped,
}

impl What {
    /// The course's number of this step, for a process in this role.
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

/// One line of the record. Optional fields are left out when they say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// CLOCK_MONOTONIC: for what is sent or done, just before it was; for what is received, just after. So of
    /// two events of which one caused the other, the cause has the smaller number.
    pub ns: u64,
    /// The process.
    pub pid: u32,
    /// What it is.
    pub role: Role,
    /// The session's number, 16 hexadecimal digits (it does not fit a JSON number).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The course's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// What happened.
    pub what: What,
    /// The pipe that it happened to: its name.
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
    /// The other process, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
}

impl Event {
    /// Of this process, in this role.
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

    /// Of session number `session`.
    #[must_use]
    pub fn session(mut self, session: u64) -> Self {
        self.session = Some(format!("{session:016x}"));
        self
    }

    /// On the pipe of this name.
    #[must_use]
    pub fn pipe(mut self, name: impl fmt::Display) -> Self {
        self.pipe = Some(name.to_string());
        self
    }

    /// About the message with this number and these bytes.
    #[must_use]
    pub fn message(mut self, seq: u32, message: &[u8]) -> Self {
        self.seq = Some(seq);
        self.bytes = Some(message.len());
        self.text = Some(excerpt(message));
        self
    }

    /// About the request with this number.
    #[must_use]
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = Some(seq);
        self
    }

    /// This many bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// In these words.
    #[must_use]
    pub fn text(mut self, text: impl fmt::Display) -> Self {
        self.text = Some(text.to_string());
        self
    }

    /// With this other process.
    #[must_use]
    pub fn peer(mut self, pid: u32) -> Self {
        self.peer = Some(pid);
        self
    }
}

/// The most of a message that a record or a talk line quotes, in bytes.
const EXCERPT: usize = 60;

/// The beginning of a message as text, on one line.
pub(crate) fn excerpt(message: &[u8]) -> String {
    let (shown, rest) = message.split_at(message.len().min(EXCERPT));
    let mut text = words(shown);
    if !rest.is_empty() {
        text.push('…');
    }
    text
}
