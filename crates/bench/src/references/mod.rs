//! What the paradigms are measured against: the plainest programs that do the same, written with direct
//! system calls.
//!
//! Reading order: `fifo` is the bare ping-pong and echo, `ring` the bare three hops, `unix` the socket
//! servers; `client` is the client of all of them; `pin` is how the comparison starts any process. Each is a
//! role of the hidden `lab reference`, so that it runs as a process of its own. What is deliberately absent:
//! framing, deadlines, and all else that a bare program does without. But every reply is checked.

mod fifo;
mod ring;
mod unix;

mod client;
mod pin;

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use handshake_cli::Status;
use handshake_core::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, write};

/// What a client and a Unix-socket server say to each other first, each once: as the handshake here does.
const GREETING: &[u8; 16] = b"its-a-me, mario!";

/// Room for one read; as much as a pipe holds.
const ROOM: usize = 1 << 16;

/// The roles that `lab compare` gives to processes of its own.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Echo between two named pipes
    FifoEcho(fifo::Args),
    /// The central process of a bare ring
    RingCentral(ring::Args),
    /// A subserver of a bare ring: from stdin to this named pipe
    RingSubserver { pipe: PathBuf },
    /// A server on a Unix socket
    UnixServer(unix::Args),
    /// The client of all these
    Client(client::Args),
    /// The course's server as it is taught
    NaiveServer { dir: PathBuf },
    /// The course's client as it is taught; begins when its stdin ends
    NaiveClient { dir: PathBuf },
    /// Keep a processor busy
    Busy,
    /// Become a program that stays on these processors
    Pin(pin::Args),
}

/// Plays the role until the peer leaves.
///
/// # Errors
/// A system call fails. An error of a client counts as well: the comparison starts no client that misbehaves.
pub fn run(args: Args) -> Result<Status> {
    match args.role {
        Role::FifoEcho(args) => fifo::run(&args),
        Role::RingCentral(args) => ring::run(&args),
        Role::RingSubserver { pipe } => ring::subserver(&pipe),
        Role::UnixServer(args) => unix::run(&args),
        Role::Client(args) => return client::run(args),
        Role::NaiveServer { dir } => ready().and_then(|()| naive_server(&dir.join("mario"))),
        Role::NaiveClient { dir } => {
            let was_served = naive::client(&dir)?;
            return Ok(if was_served { Status::Done } else { Status::Broken });
        }
        Role::Busy => loop {
            std::hint::spin_loop();
        },
        Role::Pin(args) => pin::run(&args),
    }
    .map(|()| Status::Done)
}

/// The course's server; the lab has no use for the lines that it prints.
fn naive_server(wkp: &Path) -> Result<()> {
    naive_server::serve(wkp, |_| ()).map_err(|errno| Error::at("serve at", wkp, errno, ""))
}

/// Makes a FIFO.
fn make(path: &Path) -> Result<()> {
    mkfifo(path, Mode::from_bits_truncate(0o600)).map_err(|errno| Error::at("make", path, errno, ""))
}

/// Opens one end of a FIFO, which waits for the other end.
fn open_fifo(path: &Path, way: OFlag) -> Result<OwnedFd> {
    open(path, way | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| Error::at("open", path, errno, ""))
}

/// Writes all, however many calls it takes.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[write(&to, bytes)?..];
    }
    Ok(())
}

/// Reads the other side's greeting; `wrong` says what another text is.
fn take_greeting(stream: &mut UnixStream, wrong: &str) -> Result<()> {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).map_err(failed("be greeted by"))?;
    if greeting == *GREETING { Ok(()) } else { Err(Error::Protocol { what: wrong.into() }) }
}

/// Says on stdout that clients may come.
fn ready() -> Result<()> {
    write_all(io::stdout(), b"\n").map_err(|errno| Error::on("write to", "stdout", errno))
}

fn failed<E: Into<io::Error>>(operation: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::on(operation, "the other process", error)
}
