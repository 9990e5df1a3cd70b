//! One connection, blocking: write what the window allows, read what comes, check it, again.

use handshake_core::deadline::now;
use handshake_core::error::{Error, Result};
use load::tally::Tally;
use nix::unistd::read;

use super::fifo::wait_for;
use super::talk::{Args, Connection, Talk, greet};
use super::{ROOM, failed, write_all};

/// Makes all requests over one connection. Returns the connection, for `--hold`.
pub(super) fn talk(args: &Args, tally: &mut Tally) -> Result<Vec<Connection>> {
    let connection = args.connect(0)?;
    let mut talk = Talk::new(0, args);
    let (mut out, mut room) = (Vec::new(), vec![0; ROOM]);
    while !talk.is_done() {
        out.clear();
        talk.ask(&mut out, tally);
        write_all(&connection.to, &out).map_err(failed("ask"))?;
        if args.poll {
            wait_for(&connection.from).map_err(failed("wait for"))?;
        }
        let count = read(&connection.from, &mut room).map_err(failed("read from"))?;
        if count == 0 {
            let unanswered = talk.unanswered();
            tally.failed(&Error::lost_with("it closed its pipe", unanswered), unanswered);
            return Ok(Vec::new());
        }
        talk.take(&room[..count], tally);
    }
    Ok(vec![connection])
}

/// One connection after the other.
pub(super) fn connect(args: &Args, tally: &mut Tally) -> Result<Vec<Connection>> {
    for _ in 0..args.requests {
        let since = now();
        tally.begins(since);
        greet(&mut args.knock()?)?;
        tally.done(since, now());
    }
    Ok(Vec::new())
}
