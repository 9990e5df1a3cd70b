//! The half that all servers and clients of this workspace share: pipes, the wire, both sides of the handshake,
//! sessions, services, signals, subservers and the event record.
//!
//! Reading order:
//! 1. [`wire`]: records as pure functions of bytes (docs/protocol.md has the tables);
//! 2. [`handshake`]: the course's eight steps, [`handshake::server`] and [`handshake::client`] side by side;
//! 3. [`session`]: what follows the handshake, [`session::server`] and [`session::client`];
//! 4. [`service`]: what a server does with a message;
//! 5. [`course`]: the other dialect, which the course's own programs speak;
//! 6. what these stand on: [`place`], [`fifo`], [`claim`], [`wkp`], [`records`], [`children`], [`process`], [`event`],
//!    [`event_log`], [`deadline`], [`signals`], [`limits`], [`budget`], [`sys`], [`text`],
//!    [`error`].
//!
//! What is deliberately absent: there is no paradigm here (a loop that serves is in its server's crate), no command line,
//! no word printed, no thread, and no `unsafe` outside [`sys`]. No call waits but
//! [`Process::wait`](process::Process::wait), and that one has a deadline.

pub mod wire;

pub mod handshake;

pub mod session;

pub mod service;

pub mod course;

pub mod budget;
pub mod children;
pub mod claim;
pub mod deadline;
pub mod eager;
pub mod error;
pub mod event;
pub mod event_log;
pub mod fifo;
pub mod limits;
pub mod place;
pub mod process;
pub mod records;
pub mod signals;
pub mod strays;
mod sweep;
pub mod sys;
pub mod text;
pub mod wkp;

pub use error::{Error, Result};
pub use handshake::options::Options;
pub use handshake::server::Server;
pub use process::Process;
pub use service::Service;
