//! Both sides of the handshake, step by step; they mirror each other.
//!
//! Who has sent its name waits in [`mod@line`], and is a [`caller`] until its acknowledgement; [`options`] say how to serve.
//!
//! | step | [`client`] | [`server`], [`mod@line`] |
//! |---|---|---|
//! | 1 | | `Server::create_wkp` |
//! | 2 | | `Server::wait` |
//! | 3 | `make_private_pipe` | |
//! | 4 | `connect_and_send_name` | |
//! | 5 | `wait_for_private_pipe` | |
//! | 6 | | `Server::receive_and_remove`, `Server::receive_and_replace` |
//! | 7 (8) | | `Server::acknowledge` |
//! | 8 | `receive_and_remove_private_pipe` | `Session::await_ready` |

pub mod caller;
pub mod client;
mod fair;
pub mod line;
pub mod options;
pub(crate) mod private;
pub mod server;
