//! The bare echo between two named pipes: what it costs when nothing but the bytes themselves is moved.

use std::os::fd::AsFd;
use std::path::PathBuf;

use handshake_core::error::Result;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use super::{ROOM, failed, make, open_fifo, ready, write_all};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the pipes are made
    dir: PathBuf,
    /// Ask poll(2) before each read
    #[arg(long)]
    poll: bool,
    /// The most that one read and one write move
    #[arg(long, default_value_t = ROOM)]
    chunk: usize,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let (up, down) = (args.dir.join("up.0"), args.dir.join("down.0"));
    make(&up)?;
    make(&down)?;
    ready()?;
    let from = open_fifo(&up, OFlag::O_RDONLY)?;
    let to = open_fifo(&down, OFlag::O_WRONLY)?;
    echo(&from, &to, &mut vec![0; args.chunk], args.poll).map_err(failed("echo to"))
}

/// Until the other side leaves.
pub(super) fn echo(from: impl AsFd, to: impl AsFd, room: &mut [u8], polls: bool) -> Result<(), Errno> {
    loop {
        if polls {
            poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        }
        match read(&from, room)? {
            0 => return Ok(()),
            count => write_all(&to, &room[..count])?,
        }
    }
}
