//! A client for event loops: [`Connection`] never waits.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::epoll::EpollFlags;
use nix::sys::time::TimeSpec;
use nix::sys::timer::Expiration;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::client::handshake::Handshake;
use crate::client::session::{Answer, ClientSession};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::process::Process;
use crate::sys::Poller;

/// A connection for a program with an event loop of its own (epoll(7), `mio`, poll(2)). No method waits.
///
/// Watch the file descriptor of [`as_fd`](AsFd::as_fd) for reading, from the beginning to the end. It stays
/// the same, and may be watched by edge or by level. Whenever it is readable, call [`Connection::advance`]
/// until that returns [`Answer::Nothing`]. `advance` goes on with the handshake, writes what was sent, and
/// returns the answers, one after the other. Answers that were read are no longer in the pipe: the file
/// descriptor does not report them again. A connection has two file descriptors besides the pipes.
///
/// ```no_run
/// use std::os::fd::AsFd;
/// use handshake_core::{Answer, Client};
///
/// let mut connection = Client::options().begin("adder")?;
/// let mut reply = Vec::new();
/// // Whenever connection.as_fd() is readable:
/// loop {
///     match connection.advance(&mut reply)? {
///         Answer::Reply(number) => println!("request {number}: {} bytes", reply.len()),
///         Answer::Refused(number) => println!("request {number} was refused"),
///         Answer::Nothing => break,
///     }
/// }
/// if connection.ready() && connection.unanswered() == 0 {
///     connection.send(b"2")?;
/// }
/// # Ok::<(), handshake_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    state: State,
    max_message: usize,
    /// Watches the pipes of `state`, and the timer. Pipes that are closed leave it by themselves,
    /// unless a child of this process has them open.
    poller: Poller,
    /// Whether the poller watches the upstream of a session. Without a need, it must not: it would report the
    /// end of that pipe's reader without end.
    writes: bool,
    /// Wakes the handshake between two attempts.
    timer: TimerFd,
}

#[derive(Debug)]
enum State {
    Connecting(Box<Handshake>),
    Connected(Box<ClientSession>),
}

impl Connection {
    pub(super) fn begin(
        process: &Rc<Process>,
        place: &Place,
        deadline: Deadline,
        max_message: usize,
    ) -> Result<Self> {
        let timer = || -> Result<_, Errno> {
            let poller = Poller::new()?;
            let timer =
                TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
            poller.add(timer.as_fd(), 0, EpollFlags::EPOLLIN)?;
            Ok((poller, timer))
        };
        let (poller, timer) = timer().map_err(cannot_watch)?;
        let state = State::Connecting(Box::new(Handshake::new(process, place, deadline)));
        let mut connection = Self { state, max_message, poller, writes: false, timer };
        connection.watch()?;
        Ok(connection)
    }

    /// Returns whether the handshake is done. Then requests can be sent.
    pub fn ready(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Does all that can be done without waiting. Replaces `reply` by the next complete answer: a reply, or
    /// the reason of a refusal.
    ///
    /// # Errors
    /// Those of [`Client::connect`](crate::Client::connect), at its deadline at the latest, and then
    /// [`Error::Lost`] and [`Error::Protocol`]. After an error, drop the connection.
    pub fn advance(&mut self, reply: &mut Vec<u8>) -> Result<Answer> {
        if let State::Connecting(handshake) = &mut self.state
            && let Some(mut session) = handshake.advance_in_time()?
        {
            session.limit_messages(self.max_message);
            self.watch_session(&session).map_err(cannot_watch)?;
            self.state = State::Connected(session);
        }
        let mut answer = Answer::Nothing;
        if let State::Connected(session) = &mut self.state {
            answer = session.answer(reply)?;
            if answer == Answer::Nothing {
                session.flush()?;
            }
            while answer == Answer::Nothing && session.read_some()? {
                answer = session.answer(reply)?;
            }
        }
        self.watch()?;
        Ok(answer)
    }

    /// Returns whether there is room for a message of this many bytes now: the connection is
    /// [ready](Connection::ready), and neither the server's window nor the buffer is full.
    /// [`Connection::send`] still refuses a message that is too long.
    pub fn may_send(&self, bytes: usize) -> bool {
        matches!(&self.state, State::Connected(session) if session.may_send(bytes))
    }

    /// Sends a request and returns its number, from 1. What the pipe does not take now, the next
    /// [`Connection::advance`] writes.
    ///
    /// # Errors
    /// [`Error::TooLong`]: nothing was sent, and the session goes on. `ENOTCONN`: it is not
    /// [ready](Connection::ready). [`Error::Lost`].
    pub fn send(&mut self, message: &[u8]) -> Result<u32> {
        let State::Connected(session) = &mut self.state else {
            return Err(Error::on("send", "before the handshake is done", Errno::ENOTCONN));
        };
        let number = session.send(message)?;
        session.flush()?;
        self.watch()?;
        Ok(number)
    }

    /// Returns how many requests have no answer yet.
    pub fn unanswered(&self) -> usize {
        match &self.state {
            State::Connecting(_) => 0,
            State::Connected(session) => session.unanswered(),
        }
    }

    /// Says BYE and closes both pipes. What is not written yet may be lost, and the server answers nothing
    /// that is still unanswered.
    pub fn close(self) {
        if let State::Connected(session) = self.state {
            session.bye();
        }
    }

    /// Watches what the next `advance` needs.
    fn watch(&mut self) -> Result<()> {
        let poller = &self.poller;
        let watched = match &self.state {
            State::Connecting(handshake) => {
                let (fds, until) = handshake.watch();
                let watch = |(fd, flags)| match poller.add(fd, 1, interest(flags)) {
                    Err(Errno::EEXIST) => poller.change(fd, 1, interest(flags)),
                    added => added,
                };
                fds.into_iter().try_for_each(watch).and_then(|()| self.set_timer(until))
            }
            State::Connected(session) if session.is_flushed() == self.writes => {
                self.writes = !self.writes;
                if self.writes {
                    poller.add(session.to_server(), 1, EpollFlags::EPOLLOUT)
                } else {
                    poller.remove(session.to_server())
                }
            }
            State::Connected(_) => Ok(()),
        };
        watched.map_err(cannot_watch)
    }

    /// Watches the session's pipes instead of those of the handshake, which are partly the same.
    fn watch_session(&self, session: &ClientSession) -> Result<(), Errno> {
        for fd in [session.to_server(), session.from_server()] {
            match self.poller.remove(fd) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.poller.add(session.from_server(), 1, EpollFlags::EPOLLIN)?;
        self.timer.unset()
    }

    fn set_timer(&self, until: Deadline) -> Result<(), Errno> {
        match until.left() {
            None => self.timer.unset(),
            // A time of 0 would unset it.
            Some(left) => {
                let left = TimeSpec::from_duration(left.max(std::time::Duration::from_nanos(1)));
                self.timer.set(Expiration::OneShot(left), TimerSetTimeFlags::empty())
            }
        }
    }
}

fn interest(flags: PollFlags) -> EpollFlags {
    let mut interest = EpollFlags::empty();
    interest.set(EpollFlags::EPOLLIN, flags.contains(PollFlags::POLLIN));
    interest.set(EpollFlags::EPOLLOUT, flags.contains(PollFlags::POLLOUT));
    interest
}

fn cannot_watch(errno: Errno) -> Error {
    Error::on("watch", "a connection", errno)
}

impl AsFd for Connection {
    /// Returns the file descriptor to watch for reading. Do not read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
