//! The bare ring of three hops: client -> central process -> subserver -> client. One named pipe up and one
//! down for each client, one unnamed pipe from the central process to each subserver.

use std::env::current_exe;
use std::io::{PipeWriter, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use handshake_core::error::Result;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use super::{ROOM, failed, fifo, make, open_fifo, ready, write_all};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the pipes are made
    dir: PathBuf,
    /// For so many clients
    #[arg(long, default_value_t = 1)]
    clients: usize,
}

/// A client's way through the central process.
type Way = (OwnedFd, PipeWriter);

pub(super) fn run(args: &Args) -> Result<()> {
    let (mut children, mut down) = (Vec::new(), Vec::new());
    for number in 0..args.clients {
        make(&args.dir.join(format!("up.{number}")))?;
        make(&args.dir.join(format!("down.{number}")))?;
        let (child, pipe) = start_subserver(&args.dir, number)?;
        children.push(child);
        down.push(pipe);
    }
    ready()?;
    let up = (0..args.clients)
        .map(|number| open_fifo(&args.dir.join(format!("up.{number}")), OFlag::O_RDONLY))
        .collect::<Result<Vec<_>>>()?;
    route(up.into_iter().zip(down).collect()).map_err(failed("route to"))?;
    children.iter_mut().try_for_each(|child| child.wait().map(drop)).map_err(failed("wait for"))
}

fn start_subserver(dir: &Path, number: usize) -> Result<(Child, PipeWriter)> {
    let failed = failed("start");
    let (reader, writer) = pipe().map_err(&failed)?;
    let mut command = Command::new(current_exe().map_err(&failed)?);
    command.args(["reference", "ring-subserver"]).arg(dir.join(format!("down.{number}")));
    Ok((command.stdin(reader).spawn().map_err(&failed)?, writer))
}

/// Reads from each client and writes to its subserver, until all have left.
fn route(mut ways: Vec<Way>) -> Result<(), Errno> {
    let mut room = vec![0; ROOM];
    if let [(up, down)] = &ways[..] {
        // With one client, no poll is needed.
        while pass(up, down, &mut room)? {}
        return Ok(());
    }
    while !ways.is_empty() {
        let mut fds: Vec<_> = ways.iter().map(|(up, _)| PollFd::new(up.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::NONE)?;
        let shown: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        let mut stay = Vec::with_capacity(ways.len());
        for (shown, (up, down)) in shown.iter().zip(&ways) {
            stay.push(!shown || pass(up, down, &mut room)?);
        }
        let mut stay = stay.into_iter();
        ways.retain(|_| stay.next() == Some(true));
    }
    Ok(())
}

/// Passes on what is there; false at the end.
fn pass(up: &OwnedFd, down: &PipeWriter, room: &mut [u8]) -> Result<bool, Errno> {
    let count = read(up, room)?;
    write_all(down, &room[..count])?;
    Ok(count > 0)
}

pub(super) fn subserver(pipe: &Path) -> Result<()> {
    let to = open_fifo(pipe, OFlag::O_WRONLY)?;
    let from = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed("hold"))?;
    fifo::echo(&from, &to, &mut vec![0; ROOM], false).map_err(failed("echo to"))
}
