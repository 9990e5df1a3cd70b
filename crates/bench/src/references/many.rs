//! Many connections held by one process, over epoll(7), as `lab load` holds them.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use handshake_core::deadline::now;
use handshake_core::error::{Error, Result};
use load::tally::Tally;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::read;

use super::talk::{Args, Connection, Talk, Way, greet, split};
use super::{ROOM, failed, write_all};

/// After so many milliseconds without any event, the connections that are not done are lost.
const PATIENCE: u16 = 10_000;

/// The most events of one turn, as in `lab load`.
const TURN: usize = 64;

enum State {
    /// Connected, and not greeted yet.
    Knocking(UnixStream, Duration),
    Talking(Connection, Talk),
    Over,
}

impl State {
    fn held(self) -> Option<Connection> {
        if let Self::Talking(connection, _) = self { Some(connection) } else { None }
    }
}

struct Many<'a> {
    args: &'a Args,
    tally: &'a mut Tally,
    epoll: Epoll,
    states: Vec<State>,
    /// With `--connect-only`: the connections that each client has still to make.
    left: Vec<usize>,
    busy: usize,
    out: Vec<u8>,
    room: Vec<u8>,
}

/// Makes all requests over all connections. Returns the connections, for `--hold`.
pub(super) fn talk(args: &Args, tally: &mut Tally) -> Result<Vec<Connection>> {
    let mut many = Many {
        args,
        tally,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed("watch"))?,
        states: Vec::new(),
        left: vec![if args.connect_only { args.requests } else { 1 }; args.connections],
        busy: args.connections,
        out: Vec::new(),
        room: vec![0; ROOM],
    };
    many.states.resize_with(args.connections, || State::Over);
    (0..args.connections).try_for_each(|number| many.begin(number))?;
    many.run()?;
    Ok(many.states.into_iter().filter_map(State::held).collect())
}

impl Many<'_> {
    fn run(&mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); TURN];
        while self.busy > 0 {
            let count =
                self.epoll.wait(&mut events, EpollTimeout::from(PATIENCE)).map_err(failed("wait for"))?;
            if count == 0 {
                return self.give_up();
            }
            for event in &events[..count] {
                let number = usize::try_from(event.data()).expect("it was one");
                self.go_on(number)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: usize) -> Result<()> {
        let since = now();
        self.left[number] -= 1;
        match self.args.way {
            Way::Fifo => {
                let connection = self.args.connect(number)?;
                self.watch(&connection.from, number)?;
                self.start_talk(number, connection)
            }
            Way::Unix => {
                if self.args.connect_only {
                    self.tally.begins(since);
                }
                let stream = self.args.knock()?;
                self.watch(&stream, number)?;
                self.states[number] = State::Knocking(stream, since);
                Ok(())
            }
        }
    }

    fn watch(&self, fd: impl AsFd, number: usize) -> Result<()> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).map_err(failed("watch"))
    }

    fn start_talk(&mut self, number: usize, connection: Connection) -> Result<()> {
        let mut talk = Talk::new(number, self.args);
        self.send(&connection, &mut talk)?;
        self.states[number] = State::Talking(connection, talk);
        Ok(())
    }

    fn send(&mut self, connection: &Connection, talk: &mut Talk) -> Result<()> {
        self.out.clear();
        talk.ask(&mut self.out, self.tally);
        write_all(&connection.to, &self.out).map_err(failed("ask"))
    }

    fn go_on(&mut self, number: usize) -> Result<()> {
        match std::mem::replace(&mut self.states[number], State::Over) {
            State::Knocking(stream, since) => self.greeted(number, stream, since),
            State::Talking(connection, talk) => self.answered(number, connection, talk),
            State::Over => Ok(()),
        }
    }

    fn greeted(&mut self, number: usize, mut stream: UnixStream, since: Duration) -> Result<()> {
        greet(&mut stream)?;
        if !self.args.connect_only {
            return self.start_talk(number, split(stream)?);
        }
        self.tally.done(since, now());
        drop(stream);
        if self.left[number] > 0 {
            return self.begin(number);
        }
        self.busy -= 1;
        Ok(())
    }

    fn answered(&mut self, number: usize, connection: Connection, mut talk: Talk) -> Result<()> {
        if talk.is_done() {
            // The connection is held, and the server has closed it.
            return Ok(());
        }
        let count = read(&connection.from, &mut self.room).map_err(failed("read from"))?;
        talk.take(&self.room[..count], self.tally);
        let unanswered = talk.unanswered();
        if count == 0 {
            self.tally.failed(&Error::lost_with("it closed its pipe", unanswered), unanswered);
        }
        if count > 0 && !talk.is_done() {
            self.send(&connection, &mut talk)?;
            self.states[number] = State::Talking(connection, talk);
            return Ok(());
        }
        self.busy -= 1;
        if self.args.hold {
            self.states[number] = State::Talking(connection, talk);
        }
        Ok(())
    }

    /// Counts the connections without all their answers as lost.
    fn give_up(&mut self) -> Result<()> {
        for state in &self.states {
            let unanswered = match state {
                State::Knocking(..) => 1,
                State::Talking(_, talk) => talk.unanswered(),
                State::Over => 0,
            };
            if unanswered > 0 {
                self.tally.failed(&Error::lost_with("no answer came in 10 s", unanswered), unanswered);
            }
        }
        Ok(())
    }
}
