//! The command line, as typed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::Parser;
use handshake_cli::{Common, at_least_one, duration};

/// Talk to a server over named pipes.
///
/// Each MESSAGE is sent, and each reply printed on a line of its own, in order. Without MESSAGE, every line of stdin is
/// one, and on a terminal there is a prompt.
#[derive(Debug, Parser)]
#[command(name = "client", version)]
pub struct Args {
    #[command(flatten)]
    pub(crate) common: Common,

    /// How long to try for a connection; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// The most messages that may be unanswered at a time
    #[arg(long, value_name = "N", default_value = "64", value_parser = at_least_one)]
    pub(crate) window: usize,

    /// Send all of stdin as one message, and print the reply's bytes
    #[arg(long, conflicts_with = "messages")]
    pub(crate) raw: bool,

    /// What to send
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,
}

impl Args {
    pub(crate) fn messages(self) -> impl Iterator<Item = Vec<u8>> {
        self.messages.into_iter().map(OsString::into_vec)
    }
}
