//! Writes to a subserver without ever waiting: the unnamed pipe down, and what became of the last write.

use std::os::fd::OwnedFd;

use handshake_core::stream::STARVED_WRITES_MAX;
use nix::errno::Errno;
use nix::unistd::write;

/// The writing end of the unnamed pipe to a subserver.
pub(crate) enum Flow {
    /// The pipe has taken everything, and the central process reads on.
    Open(OwnedFd),
    /// The pipe is full, and these bytes are held: less than one read of an upstream, or with `--shared-wkp`
    /// a window and a half. The number counts writes in a row for which the kernel had no memory.
    Blocked(OwnedFd, Vec<u8>, u32),
    /// The pipe is closed. The error is that of the last write, if it was not EPIPE (the subserver's death).
    Closed(Option<Errno>),
}

impl Flow {
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked(..))
    }

    pub(crate) fn pipe(&self) -> Option<&OwnedFd> {
        match self {
            Self::Open(pipe) | Self::Blocked(pipe, ..) => Some(pipe),
            Self::Closed(_) => None,
        }
    }

    /// Closes the pipe, unless bytes are held.
    pub(crate) fn close(&mut self) {
        if let Self::Open(_) = self {
            *self = Self::Closed(None);
        }
    }

    /// Writes what the pipe takes, and holds the rest. Returns true if this blocks the flow.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        if let Self::Blocked(_, held, _) = self {
            held.extend_from_slice(bytes);
            return false;
        }
        self.write(bytes);
        self.is_blocked()
    }

    /// Writes what a blocked flow holds. Returns true if the pipe takes it all.
    pub(crate) fn resume(&mut self) -> bool {
        let was_blocked = self.is_blocked();
        if was_blocked {
            self.write(&[]);
        }
        was_blocked && !self.is_blocked()
    }

    /// One write of what is held, or else of these bytes. After an error, the subserver sees EOF: a session
    /// must not go on without these bytes.
    fn write(&mut self, bytes: &[u8]) {
        let (pipe, held, starved) = match std::mem::replace(self, Self::Closed(None)) {
            Self::Open(pipe) => (pipe, Vec::new(), 0),
            Self::Blocked(pipe, held, starved) => (pipe, held, starved),
            closed @ Self::Closed(_) => return *self = closed,
        };
        let bytes = if held.is_empty() { bytes } else { &held };
        *self = match write(&pipe, bytes) {
            Ok(count) if count == bytes.len() => Self::Open(pipe),
            Ok(count) => Self::Blocked(pipe, bytes[count..].to_vec(), 0),
            Err(Errno::EAGAIN) => Self::Blocked(pipe, bytes.to_vec(), 0),
            Err(Errno::ENOMEM) if starved < STARVED_WRITES_MAX => {
                Self::Blocked(pipe, bytes.to_vec(), starved + 1)
            }
            Err(errno) => Self::Closed(Some(errno).filter(|errno| *errno != Errno::EPIPE)),
        };
    }
}
