//! The client's side: the handshake, and the session that follows.
//!
//! | step | |
//! |---|---|
//! | 3 | `make_private_pipe` |
//! | 4 | `connect_and_send_name` |
//! | 5 | `wait_for_private_pipe` |
//! | 8 | `receive_and_remove_private_pipe` |
//!
//! All of [`handshake`], which mirrors [`server`](crate::server). [`course`] does the same at a server of the course.

pub mod course;
pub mod handshake;
pub(crate) mod private_pipe;
pub mod session;
