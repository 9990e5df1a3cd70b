//! The client's side: the handshake, and the session that follows.
//!
//! | step | |
//! |---|---|
//! | 3 | `make_private_pipe` |
//! | 4 | `connect_and_send_name` |
//! | 5 | [`handshake::connect`] |
//! | 8 | `receive_and_remove_private_pipe` |
//!
//! These functions are in [`handshake`], which mirrors [`server`](crate::server). [`blocking`] and
//! [`connection`] are what programs use. [`course`] is the
//! client for a server of the course.

pub mod blocking;
pub mod connection;
pub mod course;
pub mod handshake;
pub(crate) mod private_pipe;
pub mod session;
