//! The server's side of the course dialect (docs/course-dialect.md).
//!
//! Reading order: `names` finds the clients by the bytes in a well-known pipe. [`open`] acknowledges them.
//! `messages` turns the records that they write into frames.
//!
//! For several clients at one pipe: `foreign` finds names in a pipe that another client has. [`queue`] holds
//! the clients that wait there. [`used_pipe`] passes the pipe on when its client has left. `late_clients` has
//! the clients that cannot be served. `client_process` observes a client from outside.

pub(crate) mod client_process;
pub(crate) mod foreign;
pub(crate) mod late_clients;
pub(crate) mod messages;
pub(crate) mod names;
pub mod open;
pub mod queue;
pub mod used_pipe;
