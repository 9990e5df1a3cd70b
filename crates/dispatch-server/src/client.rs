//! A client, as the central process sees it: its upstream, and its subserver's pair of unnamed pipes.

use std::os::fd::OwnedFd;

use handshake_core::fifo::Fifo;
use handshake_core::records::RecordReader;
use nix::errno::Errno;
use nix::unistd::{Pid, write};

/// A client, as the central process sees it.
pub(crate) struct Client {
    pub(crate) session: u64,
    pub(crate) subserver: Pid,
    /// Its upstream, until it ends; none with `--shared-wkp`.
    pub(crate) from_client: Option<RecordReader>,
    /// A fresh upstream that still has its name.
    pub(crate) fresh: Option<Fifo>,
    pub(crate) to_subserver: ToSubserver,
    /// Its news.
    pub(crate) from_subserver: OwnedFd,
    /// `--shared-wkp`: whether READY came.
    pub(crate) ready: bool,
    /// `--shared-wkp`: records routed and not reported as answered.
    pub(crate) unanswered: usize,
}

/// The writing end of the pipe down, and what it did not take yet: with a pipe per client, less than one read, since no
/// more is read meanwhile; with `--shared-wkp`, a window and a half.
pub(crate) struct ToSubserver {
    /// None once there is nothing more to say.
    pub(crate) pipe: Option<OwnedFd>,
    pub(crate) held: Vec<u8>,
}

impl ToSubserver {
    /// Writes what the pipe takes, and holds the rest. Returns whether anything is held.
    pub(crate) fn pass_on(&mut self, mut bytes: &[u8]) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        if self.held.is_empty() && !bytes.is_empty() {
            bytes = &bytes[written(pipe, bytes)..];
        }
        self.held.extend_from_slice(bytes);
        !self.held.is_empty()
    }

    /// The pipe has room again.
    pub(crate) fn go_on(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let count = written(pipe, &self.held);
        self.held.drain(..count);
        !self.held.is_empty()
    }
}

/// How many bytes the pipe took. A subserver that has gone takes all: its news tell the rest.
fn written(pipe: &OwnedFd, bytes: &[u8]) -> usize {
    match write(pipe, bytes) {
        Ok(count) => count,
        Err(Errno::EAGAIN) => 0,
        Err(_) => bytes.len(),
    }
}
