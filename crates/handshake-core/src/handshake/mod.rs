//! Both sides of the handshake, step by step; they mirror each other.
//!
//! A client that has sent its name is [`pending`], in the [`queue`](mod@queue), until its acknowledgement. [`options`] say
//! how to serve; a [`site`] is what all parts of a server share; an [`upstream`] is the pipe that brings a client's bytes.
//!
//! | step | [`client`] | [`server`], [`queue`](mod@queue) |
//! |---|---|---|
//! | 1 | | `Server::create_wkp` |
//! | 2 | | `Server::wait` |
//! | 3 | `make_private_pipe` | |
//! | 4 | `connect_and_send_name` | |
//! | 5 | `wait_for_private_pipe` | |
//! | 6 | | `Server::receive_and_remove`, `Server::receive_and_replace` |
//! | 7 (8) | | `Server::acknowledge` |
//! | 8 | `receive_and_remove_private_pipe` | `Session::await_ready` |

pub mod client;
mod fair;
pub mod options;
pub mod pending;
pub(crate) mod private;
pub mod queue;
pub mod server;
pub mod site;
pub mod upstream;
