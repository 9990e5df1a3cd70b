//! The client of all references: bare named pipes, or a socket, as a transport of `lab load`. The requests,
//! the checks and the report are those of `lab load`.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::ValueEnum;
use handshake_cli::Status;
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result};
use handshake_core::limits::Limits;
use handshake_core::service::BuiltIn;
use load::transport::{Opening, Stream, Transport};
use load::{Asked, Plan, measure, print};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::{GREETING, ROOM, failed, open_fifo, take_greeting};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How the server is reached
    way: Way,
    /// Where its pipes or its socket are
    dir: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Ask poll(2) before each read
    #[arg(long)]
    poll: bool,
    /// The most that one write takes
    #[arg(long, default_value_t = ROOM)]
    chunk: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Two named pipes for each connection
    Fifo,
    Unix,
}

/// Asks, checks, and reports as `lab load` does. The calls of a single connection wait by themselves.
pub(super) fn run(args: Args) -> Result<Status> {
    Limits::raise();
    let plan = Plan::new(args.asked.clone(), BuiltIn::Echo, Duration::ZERO);
    let (report, crowd) = measure(Server(Rc::new(args)), None, plan, true)?;
    print(&report.json())?;
    crowd.finish()
}

#[derive(Clone)]
struct Server(Rc<Args>);

impl Transport for Server {
    type Opening = Knock;

    fn open(&self, client: usize, _timeout: Duration) -> Knock {
        Knock { server: self.clone(), client, greeting: None }
    }

    fn is_watched(&self) -> bool {
        self.0.asked.connections > 1
    }
}

/// A connection that is being made.
struct Knock {
    server: Server,
    client: usize,
    /// Connected, and not greeted yet.
    greeting: Option<UnixStream>,
}

impl Opening for Knock {
    type Stream = Bare;

    fn watch(&self) -> (Vec<(BorrowedFd<'_>, PollFlags)>, Deadline) {
        let greeting = self.greeting.iter().filter(|_| self.server.is_watched());
        (greeting.map(|stream| (stream.as_fd(), PollFlags::POLLIN)).collect(), Deadline::NEVER)
    }

    fn advance(&mut self) -> Result<Option<Bare>> {
        let Args { way, dir, .. } = &*self.server.0;
        match (way, self.greeting.take()) {
            (Way::Fifo, _) => {
                let to = open_fifo(&dir.join(format!("up.{}", self.client)), OFlag::O_WRONLY)?;
                let from = open_fifo(&dir.join(format!("down.{}", self.client)), OFlag::O_RDONLY)?;
                Bare::new(from, Some(to), &self.server).map(Some)
            }
            (Way::Unix, None) => {
                // Connecting does not wait for the server.
                let stream = UnixStream::connect(dir.join("socket")).map_err(failed("connect to"))?;
                self.greeting = Some(stream);
                Ok(None)
            }
            (Way::Unix, Some(mut stream)) => {
                take_greeting(&mut stream, "it greeted with something else")?;
                stream.write_all(GREETING).map_err(failed("greet"))?;
                Bare::new(stream.into(), None, &self.server).map(Some)
            }
        }
    }
}

/// Bytes there and bytes back, each reply as long as its request.
struct Bare {
    from: OwnedFd,
    /// None: a socket, which is both.
    to: Option<OwnedFd>,
    payload: usize,
    chunk: usize,
    /// How much one read takes.
    room: usize,
    /// Whether poll(2) comes before each read.
    polls: bool,
    /// How much at the end of what is to be sent is not written yet.
    unwritten: usize,
    /// With an incomplete reply of `held` bytes, the buffer that it is in.
    buffer: Vec<u8>,
    held: usize,
}

impl Bare {
    /// If the pipes do not hold all that is in flight, neither reads nor writes wait, since each must go on
    /// while the other cannot; and a read ends with its reply.
    fn new(from: OwnedFd, to: Option<OwnedFd>, server: &Server) -> Result<Self> {
        let Args { asked, poll, chunk, .. } = &*server.0;
        let (payload, chunk) = (asked.payload, *chunk);
        let is_bulk = payload * asked.window > ROOM / 2 && !server.is_watched();
        if is_bulk {
            for fd in [Some(&from), to.as_ref()].into_iter().flatten() {
                fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed("hold"))?;
            }
        }
        let (room, polls) = (if is_bulk { payload } else { ROOM.max(payload) }, *poll || is_bulk);
        Ok(Self { from, to, payload, chunk, room, polls, unwritten: 0, buffer: vec![], held: 0 })
    }

    fn to(&self) -> &OwnedFd {
        self.to.as_ref().unwrap_or(&self.from)
    }

    /// Waits for something to read, or for room, if that is wanted.
    fn wait(&self) -> Result<(), Errno> {
        let from = PollFd::new(self.from.as_fd(), PollFlags::POLLIN);
        let to = PollFd::new(self.to().as_fd(), PollFlags::POLLOUT);
        let wanted = if self.is_flushed() { 1 } else { 2 };
        poll(&mut [from, to][..wanted], PollTimeout::NONE).map(drop)
    }
}

impl Stream for Bare {
    fn input(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.to().as_fd()
    }

    fn send(&mut self, message: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        if self.unwritten == 0 {
            std::mem::swap(message, out);
        } else {
            out.extend_from_slice(message);
        }
        self.unwritten += self.payload;
        Ok(())
    }

    fn flush(&mut self, out: &[u8]) -> Result<()> {
        while self.unwritten > 0 {
            let rest = &out[out.len() - self.unwritten..];
            match write(self.to(), &rest[..rest.len().min(self.chunk)]) {
                Ok(count) => self.unwritten -= count,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(failed("ask")(errno)),
            }
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.unwritten == 0
    }

    fn receive(&mut self, room: &mut Vec<u8>, mut take: impl FnMut(Result<&[u8], &[u8]>)) -> Result<()> {
        if self.polls {
            self.wait().map_err(failed("wait for"))?;
        }
        let had = self.held;
        let buffer = if had > 0 { &mut self.buffer } else { &mut *room };
        buffer.resize(self.room, 0);
        let end = match read(&self.from, &mut buffer[had..]) {
            Ok(0) => return Err(Error::lost("it closed its pipe")),
            Ok(count) => had + count,
            Err(Errno::EAGAIN) => had,
            Err(errno) => return Err(failed("read from")(errno)),
        };
        let replies = buffer[..end].chunks_exact(self.payload);
        self.held = replies.remainder().len();
        replies.for_each(|reply| take(Ok(reply)));
        if self.held > 0 && self.held < end {
            buffer.copy_within(end - self.held..end, 0);
        }
        if had == 0 && self.held > 0 {
            std::mem::swap(&mut self.buffer, room);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::references::{fifo, make, write_all};

    type Serve = fn(&OwnedFd, &OwnedFd) -> Result<(), Errno>;

    /// Measures four requests of 10 bytes, and one before them, three at a time and 4 bytes a write.
    #[expect(clippy::disallowed_methods, reason = "this test does not fork")]
    fn measured(serve: Serve) -> load::Report {
        let dir = tempfile::tempdir().unwrap();
        let pipes = ["up.0", "down.0"].map(|name| dir.path().join(name));
        pipes.iter().for_each(|pipe| make(pipe).unwrap());
        let server = thread::spawn(move || {
            let from = open_fifo(&pipes[0], OFlag::O_RDONLY).unwrap();
            let to = open_fifo(&pipes[1], OFlag::O_WRONLY).unwrap();
            serve(&from, &to).unwrap();
        });
        let (connections, requests, warm_up, payload, window) = (1, 4, 1, 10, 3);
        let (connect_only, hold) = (false, false);
        let asked = Asked { connections, requests, payload, window, connect_only, warm_up, hold };
        let plan = Plan::new(asked.clone(), BuiltIn::Echo, Duration::ZERO);
        let args = Args { way: Way::Fifo, dir: dir.path().into(), asked, poll: false, chunk: 4 };
        let (report, crowd) = measure(Server(Rc::new(args)), None, plan, false).unwrap();
        drop(crowd);
        server.join().unwrap();
        report
    }

    #[test]
    fn replies_are_put_together_checked_and_timed_after_the_warm_up() {
        let report = measured(|from, to| fifo::echo(from, to, &mut [0; 7], false));
        assert_eq!((report.requests, report.mismatches, report.errors), (4, 0, 0));
    }

    #[test]
    fn a_wrong_reply_and_one_too_many_are_counted() {
        let report = measured(|from, to| {
            let (mut bytes, mut filled) = ([0; 40], 0);
            while filled < 30 {
                filled += read(from, &mut bytes[filled..30])?;
            }
            bytes[3] ^= 1;
            write_all(to, &bytes)
        });
        assert_eq!((report.mismatches, report.errors), (2, 1), "and then it leaves");
    }
}
