//! The naive server: the course's own, taken literally. It serves one client at a time, and loses clients.
//!
//! This is a teaching example, not for deployment. It loses clients in these ways:
//!
//! - Two clients open one well-known pipe before its name is gone. The server takes the second client's name
//!   for a message of the first client, and prints it as one, or never reads it. The second client waits for
//!   ever in the open of its private pipe.
//! - That second client keeps the well-known pipe open. When the first client leaves, the server gets no EOF
//!   and waits for ever.
//! - A client finds the name, but opens the pipe when the server has closed it already. That open waits for
//!   ever.
//! - A client sends its name, but never opens its private pipe. The server waits for ever in step 7.
//!
//! The server differs from the course's code in four points:
//!
//! - A client that has gone does not end the server. (SIGPIPE ends the original. Rust's runtime ignores it.)
//! - The server ends if it cannot make or open the well-known pipe. The original checks nothing: it would
//!   open any file that has this name, and remove it.
//! - The server looks for the private pipe in the directory of the well-known pipe, not in its own working
//!   directory.
//! - The service is echo: each reply is the message.
//!
//! To read the code, begin with [`serve`], then `serve_client`; the steps are those of docs/protocol.md.
//! Each step is the system call of the course's code, and no other crate of this workspace is involved. Then
//! compare the basic server, which loses no client: `diff -r crates/{naive,basic}-server/src`.
//! Deliberately absent: deadlines, locks, checks of what a client sends, and signal handlers. So SIGINT,
//! SIGTERM and SIGHUP end the process at once, as they end the course's server. A server that is ended while
//! it waits for a connection leaves the well-known pipe behind.

mod args;

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::Result;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, read, unlink, write};

pub use args::{Args, run};

/// The bytes of a record: text, padded with zeros. Each record is one write and one read.
const RECORD: usize = 100;

type Record = [u8; RECORD];

const ACKNOWLEDGEMENT: &str = "its-a-me, mario!";

/// Serves clients, one after the other, for ever. Gives the lines that the course's server prints to `print`.
///
/// # Errors
/// The well-known pipe cannot be made or opened; what a client does is no error.
pub fn serve(wkp: &Path, print: impl Fn(&str)) -> Result<()> {
    loop {
        print("waiting for connection");
        mkfifo(wkp, Mode::from_bits_truncate(0o644))?; // Step 1.
        // Step 2. (Steps 3, 4 and 5 are the client's.)
        let from_client = open(wkp, OFlag::O_RDONLY, Mode::empty())?;
        let _ = unlink(wkp); // Step 6: removes the WKP before it reads, as the course's code does.
        // An error ends this client's session only. Step 1 follows, for the next client.
        let _ = serve_client(from_client, wkp, &print);
    }
}

/// Serves one client, from its name to its end.
fn serve_client(from_client: OwnedFd, wkp: &Path, print: impl Fn(&str)) -> Result<()> {
    let mut name = [0; RECORD];
    read(&from_client, &mut name)?; // Step 6: receives the name.
    let private_pipe = wkp.with_file_name(text(&name));
    let to_client = open(&private_pipe, OFlag::O_WRONLY, Mode::empty())?; // Step 7.
    write(&to_client, &record(ACKNOWLEDGEMENT))?;
    // (Step 8 is the client's. The server does not wait for it.)
    let mut message = [0; RECORD];
    while read(&from_client, &mut message)? > 0 {
        print(&format!("received [{}]", text(&message)));
        write(&to_client, &message)?;
        message = [0; RECORD];
    }
    Ok(())
}

fn record(text: &str) -> Record {
    let mut record = [0; RECORD];
    record[..text.len()].copy_from_slice(text.as_bytes());
    record
}

/// Up to the first zero.
fn text(record: &Record) -> String {
    let text = record.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_padded_text() {
        assert_eq!(text(&record("4711")), "4711");
        assert_eq!(text(&[b'x'; RECORD]).len(), RECORD);
        assert_eq!(record(ACKNOWLEDGEMENT).len(), 100);
    }
}
