//! A server on a Unix socket: accepts and serves in turn, or accepts and forks. It greets, takes the answer,
//! and echoes.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use handshake_core::deadline::Deadline;
use handshake_core::error::Result;
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::process::{Process, Woken};
use handshake_core::sys;
use nix::poll::{PollFd, PollFlags};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::{GREETING, ROOM, failed, fifo, ready, take_greeting};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the socket is made
    dir: PathBuf,
    /// A process for each client
    #[arg(long)]
    fork: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    Limits::raise();
    let listener = UnixListener::bind(args.dir.join("socket")).map_err(failed("listen for"))?;
    ready()?;
    if args.fork { serve_each(&listener) } else { serve_in_turn(&listener) }
}

fn serve_in_turn(listener: &UnixListener) -> Result<()> {
    loop {
        let (client, _) = listener.accept().map_err(failed("accept"))?;
        // A client may leave in the middle of it.
        let _ = serve(client);
    }
}

/// Signals can only arrive in the wait: SIGCHLD, to reap each subserver, and SIGTERM, to reap and count all
/// of them at the end.
fn serve_each(listener: &UnixListener) -> Result<()> {
    let process = Process::quiet(Role::Server)?;
    while process.asked_to_end().is_none() {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match process.wait(&mut fds, Deadline::NEVER)? {
            Woken::Ready(_) => fork_for(listener.accept().map_err(failed("accept"))?.0)?,
            Woken::Signal | Woken::Deadline => reap(&process, WaitPidFlag::WNOHANG),
        }
    }
    // All clients have left by now: the comparison ends the server last.
    reap(&process, WaitPidFlag::empty());
    Ok(())
}

fn fork_for(client: UnixStream) -> Result<()> {
    let keep = [client.as_raw_fd()];
    let forked = sys::fork(&keep, |closed| u8::from(closed.is_err() || serve(client).is_err()));
    forked.map(drop).map_err(failed("fork"))
}

fn reap(process: &Process, how: WaitPidFlag) {
    if process.child_ended() || how.is_empty() {
        while !matches!(waitpid(None, Some(how)), Ok(WaitStatus::StillAlive) | Err(_)) {}
    }
}

fn serve(mut client: UnixStream) -> Result<()> {
    client.write_all(GREETING).map_err(failed("greet"))?;
    take_greeting(&mut client, "it answered the greeting with something else")?;
    fifo::echo(&client, &client, &mut vec![0; ROOM], false).map_err(failed("echo to"))
}
