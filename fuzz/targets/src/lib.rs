//! What is fuzzed, as plain functions of bytes: each plays a script against the real code, over real pipes, in this one
//! process, and panics when a promise is broken.
//!
//! A script is a row of commands, each a letter and a few bytes; what is no letter of the target's is passed over, so
//! that scripts can be written by hand, with spaces and newlines, and any bytes are one. Where a number is wanted, a
//! digit is itself, and another byte its code. [`frames`], [`server`] and [`client`] say which letters they know.
//!
//! Nothing here waits: what could, has a deadline that is over at once, and is only called when something is there.

mod client;
mod frames;
mod script;
mod server;
mod stage;

pub use client::client;
pub use frames::frames;
pub use server::server;
