//! The fuzz targets, as plain functions of bytes. Each runs a script against the real code, over real pipes,
//! in this one process, and panics when a guarantee is broken.
//!
//! A script is a sequence of commands, each a letter and a few bytes. A target ignores letters that it does
//! not know. Scripts can therefore be written by hand, with spaces and newlines, and any bytes are a script.
//! Where a number is expected, a digit means itself, and another byte its code. [`frames`], [`server`] and
//! [`client`] list their letters.
//!
//! Nothing here waits: a call that could wait has a deadline that has passed already, and is made only when
//! it can go on.

mod client;
mod frames;
mod script;
mod server;
mod setup;

pub use client::client;
pub use frames::frames;
pub use server::server;
