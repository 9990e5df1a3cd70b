//! What the client of all references is asked, and its talk on one connection: the same requests and the same
//! checks as those of `lab load`.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use handshake_cli::at_least_one;
use handshake_core::deadline::now;
use handshake_core::error::{Error, Result};
use load::many::payload;
use load::tally::Tally;
use nix::fcntl::OFlag;

use super::{GREETING, ROOM, io_failed, open_fifo};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How the server is reached
    pub(super) way: Way,
    /// Where its pipes or its socket are
    pub(super) dir: PathBuf,
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    pub(super) connections: usize,
    #[arg(long, default_value = "1000", value_parser = at_least_one)]
    pub(super) requests: usize,
    #[arg(long, default_value = "0")]
    pub(super) warm_up: usize,
    #[arg(long, default_value = "64")]
    pub(super) payload: usize,
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    pub(super) window: usize,
    #[arg(long)]
    pub(super) connect_only: bool,
    /// Ask poll(2) before each read
    #[arg(long)]
    pub(super) poll: bool,
    /// The most that one write takes
    #[arg(long, default_value_t = ROOM)]
    pub(super) chunk: usize,
    /// Stay connected after the report, and leave when stdin ends
    #[arg(long)]
    pub(super) hold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// Two named pipes for each connection
    Fifo,
    Unix,
}

/// The descriptors to read from and to write to; a socket's are duplicates of each other.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
}

impl Args {
    /// Connects, and shakes hands where there is a handshake.
    pub(super) fn connect(&self, number: usize) -> Result<Connection> {
        match self.way {
            Way::Fifo => {
                let to = open_fifo(&self.dir.join(format!("up.{number}")), OFlag::O_WRONLY)?;
                let from = open_fifo(&self.dir.join(format!("down.{number}")), OFlag::O_RDONLY)?;
                Ok(Connection { from, to })
            }
            Way::Unix => {
                let mut stream = self.knock()?;
                greet(&mut stream)?;
                split(stream)
            }
        }
    }

    /// Connects to the socket, which does not wait for the server.
    pub(super) fn knock(&self) -> Result<UnixStream> {
        UnixStream::connect(self.dir.join("socket")).map_err(io_failed("connect to"))
    }
}

/// Takes the greeting and gives it back.
pub(super) fn greet(stream: &mut UnixStream) -> Result<()> {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).map_err(io_failed("be greeted by"))?;
    if greeting != *GREETING {
        return Err(Error::Protocol { what: "it greeted with something else".into() });
    }
    stream.write_all(GREETING).map_err(io_failed("greet"))
}

pub(super) fn split(stream: UnixStream) -> Result<Connection> {
    let from = stream.try_clone().map_err(io_failed("hold"))?.into();
    Ok(Connection { from, to: stream.into() })
}

/// What one connection has asked and been answered.
#[derive(Debug)]
pub(super) struct Talk {
    number: usize,
    requests: usize,
    warm_up: usize,
    window: usize,
    payload: usize,
    asked: usize,
    answered: usize,
    /// When each request without an answer was sent.
    sent: VecDeque<Duration>,
    /// The bytes of a reply that is not whole yet.
    rest: Vec<u8>,
    /// A buffer for the expected reply.
    due: Vec<u8>,
}

impl Talk {
    pub(super) fn new(number: usize, args: &Args) -> Self {
        let (requests, sent) = (args.requests + args.warm_up, VecDeque::with_capacity(args.window));
        let Args { warm_up, window, payload, .. } = *args;
        let (rest, due) = (Vec::new(), Vec::new());
        Self { number, requests, warm_up, window, payload, asked: 0, answered: 0, sent, rest, due }
    }

    pub(super) fn is_done(&self) -> bool {
        self.answered == self.requests
    }

    pub(super) fn unanswered(&self) -> usize {
        self.asked - self.answered
    }

    /// Appends all requests that may be sent now.
    pub(super) fn ask(&mut self, out: &mut Vec<u8>, tally: &mut Tally) {
        let at = now();
        while self.asked < self.requests && self.unanswered() < self.window {
            if self.asked >= self.warm_up {
                tally.begins(at);
            }
            if out.is_empty() {
                payload::fill(out, self.payload, self.number, self.asked);
            } else {
                payload::fill(&mut self.due, self.payload, self.number, self.asked);
                out.extend_from_slice(&self.due);
            }
            self.sent.push_back(at);
            self.asked += 1;
        }
    }

    /// Checks the replies of one read. All of them have the same time of arrival.
    pub(super) fn take(&mut self, came: &[u8], tally: &mut Tally) {
        let at = now();
        if self.rest.is_empty() && came.len().is_multiple_of(self.payload) {
            came.chunks_exact(self.payload).for_each(|reply| self.check(reply, at, tally));
            return;
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(came);
        let replies = bytes.chunks_exact(self.payload);
        let rest = replies.remainder().len();
        replies.for_each(|reply| self.check(reply, at, tally));
        bytes.drain(..bytes.len() - rest);
        self.rest = bytes;
    }

    fn check(&mut self, reply: &[u8], at: Duration, tally: &mut Tally) {
        let Some(sent) = self.sent.pop_front() else {
            return tally.mismatch(|| "a reply came that was not due".into());
        };
        if self.answered >= self.warm_up {
            tally.done(sent, at);
        }
        payload::fill(&mut self.due, self.payload, self.number, self.answered);
        if reply != self.due {
            tally.mismatch(|| format!("connection {}, request {}", self.number + 1, self.answered + 1));
        }
        self.answered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            way: Way::Fifo,
            dir: PathBuf::new(),
            connections: 1,
            requests: 4,
            warm_up: 1,
            payload: 10,
            window: 3,
            connect_only: false,
            poll: false,
            chunk: ROOM,
            hold: false,
        }
    }

    #[test]
    fn replies_are_put_together_checked_and_timed_after_the_warm_up() {
        let (mut talk, mut tally, mut out) = (Talk::new(0, &args()), Tally::default(), Vec::new());
        talk.ask(&mut out, &mut tally);
        assert_eq!((out.len(), talk.unanswered()), (30, 3));
        talk.take(&out[..7], &mut tally);
        talk.take(&out[7..25], &mut tally);
        assert_eq!((talk.unanswered(), tally.requests), (1, 1));
        talk.take(&out[25..], &mut tally);
        out.clear();
        talk.ask(&mut out, &mut tally);
        assert_eq!(out.len(), 20, "of five requests, two are left");
        talk.take(&out, &mut tally);
        assert!(talk.is_done());
        assert_eq!((tally.requests, tally.mismatches), (4, 0));
    }

    #[test]
    fn a_wrong_reply_and_one_too_many_are_counted() {
        let (mut talk, mut tally, mut out) = (Talk::new(0, &args()), Tally::default(), Vec::new());
        talk.ask(&mut out, &mut tally);
        out[3] ^= 1;
        out.extend_from_slice(&[0; 10]);
        talk.take(&out, &mut tally);
        assert_eq!(tally.mismatches, 2);
    }
}
