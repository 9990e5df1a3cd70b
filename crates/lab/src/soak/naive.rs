//! A client of the course dialect among the others: a name, and then a message for each record that comes.

use std::os::fd::OwnedFd;
use std::path::Path;

use handshake_core::course::{ORIGINAL_SIZE, padded};
use handshake_core::error::{Error, Result};
use handshake_core::fifo::{Fifo, open_to_read, open_to_write};
use handshake_core::io::write_record;
use handshake_core::io::{Filled, read_once};

/// A client that looks at its pipes when it is time to. What it gets is not judged: others may write into its pipe, and
/// its dialect cannot tell.
#[derive(Debug)]
pub(super) struct Naive {
    private: Fifo,
    name: String,
    /// The well-known pipe, and its private one; once it has found a server.
    pipes: Option<(OwnedFd, OwnedFd)>,
    left: usize,
}

impl Naive {
    /// Makes its private pipe. It has so many messages.
    ///
    /// # Errors
    /// No pipe can be made.
    pub(super) fn new(directory: &Path, number: usize, messages: usize) -> Result<Self> {
        let name = format!("naive.{number}");
        let path = directory.join(&name);
        let private =
            Fifo::make(path.clone()).map_err(|errno| Error::at("make a private pipe", &path, errno, ""))?;
        Ok(Self { private, name, pipes: None, left: messages })
    }

    /// Goes as far as it can; returns whether it has more to do.
    pub(super) fn go_on(&mut self, wkp: &Path) -> bool {
        let Some((to_server, from_server)) = &self.pipes else {
            self.pipes = self.connect(wkp);
            return true;
        };
        match read_once(from_server, &mut [0; ORIGINAL_SIZE]) {
            Ok(Filled::Bytes(_)) if self.left > 0 => {
                self.left -= 1;
                // A full pipe, or one without a reader: then no reply will come.
                write_record(to_server, &padded(b"how are you?", ORIGINAL_SIZE)).is_ok()
            }
            Ok(Filled::Bytes(_)) | Err(_) => false,
            // Nobody has opened it yet, or nobody has it open any more.
            Ok(Filled::Nothing | Filled::End) => true,
        }
    }

    fn connect(&self, wkp: &Path) -> Option<(OwnedFd, OwnedFd)> {
        let to_server = open_to_write(wkp).ok()?;
        write_record(&to_server, &padded(self.name.as_bytes(), ORIGINAL_SIZE)).ok()?;
        Some((to_server, open_to_read(self.private.path()).ok()?))
    }
}
