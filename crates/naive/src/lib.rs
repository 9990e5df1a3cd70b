//! The client that the course teaches, taken literally. Its server is the crate `naive-server`.
//!
//! Reading order: [`client`]; `stage`, where a client stands; and `crowd`, any clients that are let go at one
//! instant. Each client says on its stdout where it stands before every call that may wait, so one that hangs
//! shows in which. The client is kinder than the original, so that one mishap does not hide the next: if it
//! finds no well-known pipe, it looks again, and if it is cut off, it removes its private pipe.

mod crowd;
mod stage;

use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::os::fd::OwnedFd;
use std::path::Path;

use handshake_core::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::poll;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, read, write};

pub use crowd::{Crowd, End};
pub use stage::Stage;

/// Every record is such a buffer, zero-padded.
const RECORD: usize = 100;

const ACKNOWLEDGEMENT: &[u8] = b"its-a-me, mario!";

/// Between two looks for a well-known pipe, in milliseconds.
const LOOK: u8 = 1;

type Record = [u8; RECORD];

/// One client: makes its private pipe, knocks when its stdin ends, asks once, checks the reply.
/// Returns whether the reply was right.
///
/// # Errors
/// It cannot say on stdout where it stands.
pub fn client(dir: &Path) -> Result<bool> {
    let name = std::process::id().to_string();
    let private = dir.join(&name);
    let knocked = knock(dir, &name, &private);
    // It has done so long ago, unless it was cut off before.
    let _ = fs::remove_file(&private);
    let end = match knocked {
        Ok(true) => Stage::Served,
        Ok(false) => Stage::Wrong,
        Err(_) => Stage::Broken,
    };
    say(end).map_err(|errno| Error::on("write to", "stdout", errno))?;
    Ok(end == Stage::Served)
}

fn knock(dir: &Path, name: &str, private: &Path) -> Result<bool, Errno> {
    mkfifo(private, Mode::from_bits_truncate(0o644))?; // 3.
    // All clients have one pipe as their stdin, so they start at one instant. Its readers show when all are
    // there.
    let _ = stdin().read_to_end(&mut Vec::new());
    let to_server = open_wkp(&dir.join("mario"))?; // 4.
    write(&to_server, &record(name.as_bytes()))?;
    say(Stage::OpensPrivatePipe)?;
    let from_server = open_end(private, OFlag::O_RDONLY)?; // 5.
    say(Stage::ReadsAcknowledgement)?;
    let mut buffer: Record = [0; RECORD];
    let came = read(&from_server, &mut buffer)?; // 8.
    let _ = fs::remove_file(private);
    let acknowledged = buffer == record(ACKNOWLEDGEMENT);
    let request = record(format!("hello from {name}").as_bytes());
    // It goes on whatever came, as most of the originals do. After EOF that is wrong if another client has
    // the pipe.
    write(&to_server, &request)?;
    if came == 0 {
        return Ok(false);
    }
    say(Stage::ReadsReply)?;
    match read(&from_server, &mut buffer)? {
        0 => Err(Errno::EPIPE),
        _ => Ok(acknowledged && buffer == request),
    }
}

fn open_wkp(wkp: &Path) -> Result<OwnedFd, Errno> {
    loop {
        say(Stage::OpensWkp)?;
        match open_end(wkp, OFlag::O_WRONLY) {
            Err(Errno::ENOENT) => say(Stage::SeeksWkp)?,
            opened => return opened,
        }
        poll(&mut [], LOOK)?;
    }
}

/// Waits for the other end, as the course's programs do.
fn open_end(path: &Path, way: OFlag) -> Result<OwnedFd, Errno> {
    open(path, way | OFlag::O_CLOEXEC, Mode::empty())
}

fn say(stage: Stage) -> Result<(), Errno> {
    let said = stdout().write_all(&[stage.letter()]).and_then(|()| stdout().flush());
    said.map_err(|error| handshake_core::error::errno_of(&error))
}

fn record(text: &[u8]) -> Record {
    let mut record = [0; RECORD];
    record[..text.len()].copy_from_slice(text);
    record
}
