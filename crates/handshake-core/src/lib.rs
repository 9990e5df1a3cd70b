//! Request and reply between processes of one machine, over named pipes (FIFOs, [fifo(7)]).
//!
//! A server makes a well-known pipe: a FIFO whose path its clients know. Clients connect, send requests and
//! receive replies, in order. There is no port, no daemon and no broker. The mode of a file decides which
//! users may connect. This crate has the client, and the [`Service`] that a server runs. The servers
//! themselves are three crates, [basic-server], [forking-server] and [dispatch-server], each with one
//! function `serve`.
//!
//! # A server and a client
//!
//! A server is a service and a path:
//!
//! ```no_run
//! use handshake_core::{Options, Request, Response, Service};
//!
//! #[derive(Default)]
//! struct Add(i64);
//!
//! impl Service for Add { // one value a session
//!     fn call(&mut self, request: Request<'_>, response: &mut Response) {
//!         let text = String::from_utf8_lossy(request.bytes());
//!         match text.trim().parse::<i64>() {
//!             Ok(number) => {
//!                 self.0 += number;
//!                 response.write(self.0.to_string().as_bytes());
//!             }
//!             // The client gets the reason, and the session goes on.
//!             Err(_) => response.refuse("not a number"),
//!         }
//!     }
//! }
//!
//! fn main() -> handshake_core::Result<()> {
//!     forking_server::serve(Options::at("adder").service(Add::default))
//! }
//! ```
//!
//! Any client works with any of the three servers:
//!
//! ```no_run
//! use handshake_core::Client;
//!
//! fn main() -> handshake_core::Result<()> {
//!     let mut client = Client::connect("adder")?;
//!     assert_eq!(client.call(b"2")?, b"2");
//!     client.close()
//! }
//! ```
//!
//! A basic server also runs in a thread, for example in a test. It ends when its `stop` is at EOF:
//!
//! ```
//! use handshake_core::{BuiltIn, Client, Options};
//!
//! let directory = tempfile::tempdir()?;
//! let wkp = directory.path().join("shout");
//! let (stop, runs) = std::io::pipe()?;
//! let path = wkp.clone();
//! let server = std::thread::spawn(move || {
//!     let options = Options::at(path).service(|| BuiltIn::Upper);
//!     basic_server::serve(options.stop_fd(stop).leave_signals())
//! });
//!
//! let mut client = Client::connect(&wkp)?; // waits until the server is there
//! assert_eq!(client.call(b"hello")?, b"HELLO");
//! client.close()?;
//!
//! drop(runs);
//! server.join().expect("it did not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which server
//!
//! | | [basic-server] | [forking-server] | [dispatch-server] |
//! |---|---|---|---|
//! | clients at a time | one; others wait | [`max_clients`](Options::max_clients) | `max_clients` |
//! | a service runs in | the process of `serve` | a subserver, one a client | a subserver, one a client |
//! | sessions share memory | yes | no | no |
//! | a panic of a service ends | the server | its session | its session |
//! | a slow request delays | all clients | its own client | its own client |
//! | what clients send passes | the server | the subserver | a central process, then the subserver |
//! | costs a client | no process | a fork, a process | a fork, a process, two unnamed pipes |
//! | costs a request | two wake-ups | two wake-ups | three wake-ups |
//! | limited by | one session | processes (`ulimit -u`) | processes, file descriptors (`ulimit -n`) |
//! | may have threads beside `serve` | yes | no | no |
//!
//! - **basic**: sessions are short, or have to share state, or the host program has threads.
//! - **forking**: sessions are long, or one client must not harm another. This is the usual choice.
//! - **dispatch**: one process has to see all traffic, or one well-known pipe has to stay for all clients
//!   ([`UpstreamMode::Shared`]).
//!
//! # What is guaranteed
//!
//! 1. No client is lost. Each client is served, or gets an error at its own deadline.
//! 2. A silent, slow, stopped or dead client delays no other client. In basic, the next client waits until
//!    the one before it leaves, or is silent for [`SessionLimits::idle_timeout`].
//! 3. Within a session no message is lost, doubled or reordered. A request is done at most once.
//! 4. No pipe, file or process is left behind after any end but SIGKILL. After SIGKILL the peers notice at
//!    once, and the next server cleans up.
//! 5. Memory is bounded: for each client twice the longest message and 256 KiB, and only for bytes that have
//!    come. A client keeps the replies that its program has not received yet.
//! 6. A server writes to FIFOs of its own user in the directory of the well-known pipe, and to nothing else.
//! 7. Malformed input ends the session of its sender, and no other.
//! 8. One server lives at a well-known pipe. A file there that is no stale pipe of a server stays untouched.
//! 9. When file descriptors, processes, memory or room on the disk run out, new clients wait or get the
//!    reason. Sessions go on, and the server recovers by itself.
//! 10. A client notices the death of its server or subserver at once ([`Error::Lost`]). Subservers end when
//!     their main server dies.
//! 11. Pipes have mode 0600, whatever the umask. No process gets into the session of another by mistake.
//! 12. In forking and dispatch no client starves.
//! 13. A missing feature of the kernel or the file system has a fallback, or is an error at the start.
//!     Inherited limits, signals, file descriptors and children do no harm.
//!
//! The repository's docs/failure-modes.md calls them P1 to P13. It says what can go wrong, and which tests
//! prove them.
//!
//! # What this is not
//!
//! - Not across machines: a FIFO lives in one kernel. `ssh HOST client` reaches a server elsewhere.
//! - No protection within one user: server and clients run as the same user, and any process of that user can
//!   disturb them.
//! - No stream and no subscription: a server sends nothing but one reply to each request, and both are whole
//!   messages in memory ([`SessionLimits::longest`], 16 MiB by default).
//! - No state shared between forked sessions, and so no chat: in dispatch, the central process only routes
//!   frames, and no service runs in it. Let sessions share a file, another server, or the memory of a basic
//!   server.
//! - Not async: a server owns its process or its thread. A client for event loops is [`Connection`].
//! - Not portable: Linux only.
//!
//! # What the host program has to know
//!
//! **Signals.** A [`Client`] and a [`Connection`] change no signal. While `serve` runs, SIGTERM, SIGINT,
//! SIGHUP and SIGQUIT end the server. At the first one, `serve` lets sessions end within
//! [`SessionLimits::grace`] and returns `Ok`; at the second one it returns [`Error::Signal`] at once. Forking
//! and dispatch also handle SIGCHLD. [`Options::leave_signals`] leaves all but SIGCHLD to the host; end the
//! server by
//! [`Options::stop_fd`] then. A host with threads needs that: a signal that another thread receives does not
//! wake the server. When `serve` returns, the former handlers and the mask are restored. SIGPIPE must stay
//! ignored, as Rust programs begin.
//!
//! **Threads.** No thread is ever started here. The forking server and the dispatch server refuse to start in
//! a process that has threads (`EDEADLK`), because a lock that another thread holds at a fork is never
//! released in the child. Serve from a process of its own, or by a basic server in a thread. Clients,
//! connections and options stay in the thread that made them; any thread may make one.
//!
//! **Forks.** A subserver has a copy of the memory of the process that called `serve`, and of its file
//! descriptors only 0, 1 and 2. Open files and connections in the function that makes a service
//! ([`Options::service`]), which runs in the subserver. A subserver ends by `_exit`: destructors of values of
//! its parent and functions of atexit(3) do not run. The forking server and the dispatch server reap every
//! child of their process that ends, also those that they have not made.
//!
//! **Errors.** All functions return one [`Error`], whose text says what failed, on what, and why. A mistake
//! of a client is no error of a server.
//!
//! [fifo(7)]: https://man7.org/linux/man-pages/man7/fifo.7.html
//! [basic-server]: https://docs.rs/basic-server
//! [forking-server]: https://docs.rs/forking-server
//! [dispatch-server]: https://docs.rs/dispatch-server

pub use client::blocking::{Client, ClientOptions};
pub use client::connection::Connection;
pub use client::session::Answer;
pub use error::{Error, Length, Limit, Remedy, Result};
#[doc(inline)]
pub use handshake_wire::course::HandshakeSteps;
pub use server::course::open::CourseOptions;
pub use server::options::{Options, SessionLimits, UpstreamMode};
pub use service::{BuiltIn, Request, Response, Service};

// The modules are public for the crates of this workspace alone: servers, commands, lab, tests. They have
// types of nix and serde, and change without notice. docs/architecture.md is their map.

#[doc(hidden)]
pub mod client;
#[doc(hidden)]
pub mod server;

#[doc(hidden)]
pub mod service;

#[doc(hidden)]
pub mod budget;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod event_log;
#[doc(hidden)]
pub mod place;
#[doc(hidden)]
pub mod process;
mod stop;
#[doc(hidden)]
pub mod strays;
#[doc(hidden)]
pub mod stream;
#[doc(hidden)]
pub mod text;

#[doc(hidden)]
pub use handshake_fifo::{deadline, fifo, io, limits, sys, wait};
#[doc(hidden)]
pub use handshake_wire::{self as wire, course};
#[doc(hidden)]
pub use process::Process;
#[doc(hidden)]
pub use server::Server;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
