//! The core that all servers and clients of this workspace share: both sides of the handshake, sessions,
//! services, signals, subservers and the event log. It builds on the crates for pipes and for the wire.
//!
//! Reading order:
//! 1. [`wire`]: frames as pure functions of bytes (docs/protocol.md has the tables);
//! 2. [`client`] and [`server`]: the course's eight steps and the session that follows, with parallel file
//!    names;
//! 3. [`service`]: what a server does with a message;
//! 4. [`course`]: the other dialect, which the course's own programs speak;
//! 5. the foundations: [`place`], [`fifo`], [`stream`], [`strays`], [`process`], [`event`], [`event_log`],
//!    [`deadline`], [`wait`], [`limits`], [`budget`], [`sys`], [`text`], [`error`].
//!
//! Deliberately absent: paradigms (a loop that serves is in its server's crate), a command line, output to
//! the terminal, threads, and `unsafe` outside [`sys`]. Only [`Process::wait`](process::Process::wait) waits,
//! and it has a deadline.

pub mod client;
pub mod server;

pub mod service;

pub mod budget;
pub mod error;
pub mod event;
pub mod event_log;
pub mod place;
pub mod process;
mod stop;
pub mod strays;
pub mod stream;
pub mod text;

pub use handshake_fifo::{deadline, fifo, io, limits, sys, wait};
pub use handshake_wire as wire;
pub use handshake_wire::course;

pub use client::blocking::{Client, ClientOptions};
pub use client::connection::Connection;
pub use client::session::Answer;
pub use error::{Error, Result};
pub use process::Process;
pub use server::Server;
pub use server::options::Options;
pub use service::{Request, Response, Service};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
