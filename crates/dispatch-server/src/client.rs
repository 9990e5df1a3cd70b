//! A client, as the central process sees it: its upstream, and its subserver's pair of unnamed pipes.

use std::os::fd::OwnedFd;

use handshake_core::fifo::Fifo;
use handshake_core::server::course::used_pipe::UsedPipe;
use handshake_core::stream::{FrameReader, STARVED_WRITES_MAX};
use nix::errno::Errno;
use nix::unistd::{Pid, write};

/// A client, as the central process sees it.
pub(crate) struct Client {
    pub(crate) session: u64,
    pub(crate) subserver: Pid,
    /// Its upstream, until it ends; none with `--shared-wkp`.
    pub(crate) from_client: Option<FrameReader>,
    /// The same pipe, if it was the well-known one: others may wait for it.
    pub(crate) pipe: Option<UsedPipe>,
    /// A fresh upstream that still has its name.
    pub(crate) fresh: Option<Fifo>,
    pub(crate) to_subserver: ToSubserver,
    /// Its news.
    pub(crate) from_subserver: OwnedFd,
    /// `--shared-wkp`: whether READY came.
    pub(crate) ready: bool,
    /// `--shared-wkp`: frames routed and not reported as answered.
    pub(crate) unanswered: usize,
}

/// The writing end of the pipe down, and what it did not take yet: with a pipe per client, less than one read, since no
/// more is read meanwhile; with `--shared-wkp`, a window and a half.
pub(crate) struct ToSubserver {
    /// None once there is nothing more to say.
    pub(crate) pipe: Option<OwnedFd>,
    pub(crate) held: Vec<u8>,
    /// Why no more could be written, if it was not that the subserver had gone.
    pub(crate) failed: Option<Errno>,
    /// Writes in a row for which the kernel had no memory.
    starved: u32,
}

impl ToSubserver {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Some(pipe), held: Vec::new(), failed: None, starved: 0 }
    }

    /// Writes what the pipe takes, and holds the rest. Returns whether anything is held.
    pub(crate) fn pass_on(&mut self, mut bytes: &[u8]) -> bool {
        if self.held.is_empty() && !bytes.is_empty() {
            bytes = &bytes[self.write(bytes)..];
        }
        if self.pipe.is_some() {
            self.held.extend_from_slice(bytes);
        }
        !self.held.is_empty()
    }

    /// The pipe has room again.
    pub(crate) fn go_on(&mut self) -> bool {
        let mut held = std::mem::take(&mut self.held);
        let count = self.write(&held);
        if self.pipe.is_some() {
            held.drain(..count);
            self.held = held;
        }
        !self.held.is_empty()
    }

    /// How many bytes the pipe took. If it takes no more, it is closed: a session without these bytes must not go on, and
    /// its subserver sees the end.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(pipe) = &self.pipe else { return 0 };
        let starved_before = std::mem::take(&mut self.starved);
        match write(pipe, bytes) {
            Ok(count) => count,
            Err(Errno::EAGAIN) => 0,
            Err(Errno::ENOMEM) if starved_before < STARVED_WRITES_MAX => {
                self.starved = starved_before + 1;
                0
            }
            Err(errno) => {
                self.failed = Some(errno).filter(|errno| *errno != Errno::EPIPE);
                self.pipe = None;
                0
            }
        }
    }
}
