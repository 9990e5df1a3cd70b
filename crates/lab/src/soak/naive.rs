//! A client of the course dialect: it sends its name, and then a message for each record that it receives.

use std::os::fd::OwnedFd;
use std::path::Path;

use handshake_core::course::{ORIGINAL_SIZE, padded};
use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Fifo, open_to_read, open_to_write};
use handshake_core::io::{Filled, read_once, write_record};

/// A naive client, advanced by a timer. Its replies are not judged: other clients may write into its pipe,
/// and the dialect does not show it.
#[derive(Debug)]
pub(super) struct Naive {
    private: Fifo,
    name: String,
    /// The well-known pipe and the private pipe, once it has found a server.
    pipes: Option<(OwnedFd, OwnedFd)>,
    left: usize,
}

impl Naive {
    /// Makes its private pipe. It will send `messages` messages.
    ///
    /// # Errors
    /// The pipe cannot be made.
    pub(super) fn new(directory: &Path, number: usize, messages: usize) -> Result<Self> {
        let name = format!("naive.{number}");
        let path = directory.join(&name);
        // This reading end is closed at once: the course's client opens its own after it has sent its name.
        let (private, _) =
            Fifo::make(path.clone()).map_err(|errno| Error::at("make a private pipe", &path, errno, ""))?;
        Ok(Self { private, name, pipes: None, left: messages })
    }

    /// Goes on as far as possible; returns whether there is more to do.
    pub(super) fn advance(&mut self, wkp: &Path) -> bool {
        let Some((to_server, from_server)) = &self.pipes else {
            self.pipes = self.connect(wkp);
            return true;
        };
        match read_once(from_server, &mut [0; ORIGINAL_SIZE]) {
            Ok(Filled::Bytes(_)) if self.left > 0 => {
                self.left -= 1;
                // If the pipe is full or has no reader, no reply will come.
                write_record(to_server, &padded(b"how are you?", ORIGINAL_SIZE)).is_ok()
            }
            Ok(Filled::Bytes(_)) | Err(_) => false,
            // The server has not opened the pipe yet, or has closed it.
            Ok(Filled::Nothing | Filled::End) => true,
        }
    }

    fn connect(&self, wkp: &Path) -> Option<(OwnedFd, OwnedFd)> {
        let to_server = open_to_write(wkp).ok()?;
        write_record(&to_server, &padded(self.name.as_bytes(), ORIGINAL_SIZE)).ok()?;
        Some((to_server, open_to_read(self.private.path()).ok()?))
    }
}
