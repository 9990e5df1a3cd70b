//! The session after the handshake, from both sides.

pub mod client;
pub mod server;
