//! Long messages, one connection: reading while writing, since neither pipe holds a whole one.

use std::os::fd::{AsFd, BorrowedFd};

use handshake_core::error::{Error, Result};
use load::tally::Tally;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::failed;
use super::talk::{Args, Connection, Talk};

/// Makes all requests over one connection. Returns the connection, for `--hold`.
pub(super) fn talk(args: &Args, tally: &mut Tally) -> Result<Vec<Connection>> {
    let connection = args.connect(0)?;
    for fd in [connection.from.as_fd(), connection.to.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed("hold"))?;
    }
    let mut talk = Talk::new(0, args);
    let (mut out, mut written) = (Vec::new(), 0);
    // Each reply is put together where it is checked.
    let (mut reply, mut filled) = (vec![0; args.payload], 0);
    while !talk.is_done() {
        if written == out.len() {
            (written, _) = (0, out.clear());
            talk.ask(&mut out, tally);
        }
        let may_write = wait(&connection, written < out.len()).map_err(failed("wait for"))?;
        if may_write {
            written +=
                write_some(connection.to.as_fd(), &out[written..], args.chunk).map_err(failed("ask"))?;
        }
        match read(&connection.from, &mut reply[filled..]) {
            Ok(0) => return lost(&talk, tally),
            Ok(count) => filled += count,
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(failed("read from")(errno)),
        }
        if filled == reply.len() {
            talk.take(&reply, tally);
            filled = 0;
        }
    }
    Ok(vec![connection])
}

/// Waits for something to read, or for room, if that is wanted; says whether there is room.
fn wait(connection: &Connection, wants_room: bool) -> Result<bool, Errno> {
    let from = PollFd::new(connection.from.as_fd(), PollFlags::POLLIN);
    let to = PollFd::new(connection.to.as_fd(), PollFlags::POLLOUT);
    if !wants_room {
        return poll(&mut [from], PollTimeout::NONE).map(|_| false);
    }
    let mut fds = [from, to];
    poll(&mut fds, PollTimeout::NONE)?;
    Ok(fds[1].any() == Some(true))
}

/// As much as there is room for, `chunk` bytes a call.
fn write_some(to: BorrowedFd<'_>, bytes: &[u8], chunk: usize) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        let end = bytes.len().min(written + chunk);
        match write(to, &bytes[written..end]) {
            Ok(count) => written += count,
            Err(Errno::EAGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(written)
}

fn lost(talk: &Talk, tally: &mut Tally) -> Result<Vec<Connection>> {
    let unanswered = talk.unanswered();
    tally.failed(&Error::lost_with("it closed its pipe", unanswered), unanswered);
    Ok(Vec::new())
}
