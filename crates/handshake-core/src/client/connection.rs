//! A client for event loops: [`Connection`] never waits.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::epoll::EpollFlags;
use nix::sys::time::TimeSpec;
use nix::sys::timer::Expiration;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::client::handshake::{Handshake, Progress};
use crate::client::session::{Answer, Session};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::process::Process;
use crate::sys::Poller;

/// A connection for a program with an event loop of its own (epoll(7), `mio`, poll(2)). No method waits.
///
/// Watch the file descriptor of [`as_fd`](AsFd::as_fd) for reading, from the beginning to the end. It stays
/// the same. Whenever it is readable, call [`Connection::advance`] until that returns [`Answer::Nothing`].
/// That goes on with the handshake, writes what was sent, and returns the answers, one after the other. It
/// costs two file descriptors besides the pipes.
///
/// ```no_run
/// use std::os::fd::AsFd;
/// use handshake_core::{Answer, Client};
///
/// let mut connection = Client::options().begin("adder")?;
/// let mut reply = Vec::new();
/// // Whenever connection.as_fd() is readable:
/// while let Answer::Reply(number) = connection.advance(&mut reply)? {
///     println!("request {number}: {} bytes", reply.len());
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
    /// Watches the pipes of `state`, and the timer. Pipes that are closed leave it by themselves.
    poller: Poller,
    /// Wakes the handshake between two attempts.
    timer: TimerFd,
}

#[derive(Debug)]
enum State {
    Connecting { handshake: Box<Handshake>, deadline: Deadline },
    Connected(Box<Session>),
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
        let handshake = Box::new(Handshake::new(process, place, deadline));
        let mut connection =
            Self { state: State::Connecting { handshake, deadline }, max_message, poller, timer };
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
        if let State::Connecting { handshake, deadline } = &mut self.state {
            let is_late = deadline.passed();
            match handshake.advance()? {
                Progress::Connected(mut session) => {
                    session.limit_messages(self.max_message);
                    self.state = State::Connected(session);
                }
                Progress::Pending if is_late => handshake.judge_deadline()?,
                Progress::Pending => {}
            }
        }
        let mut answer = Answer::Nothing;
        if let State::Connected(session) = &mut self.state {
            answer = session.answer(reply)?;
            if answer == Answer::Nothing {
                session.flush()?;
                session.read()?;
                answer = session.answer(reply)?;
            }
        }
        self.watch()?;
        Ok(answer)
    }

    /// Returns whether a message of this many bytes can be sent now: the connection is
    /// [ready](Connection::ready), and neither the server's window nor the buffer is full.
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
            State::Connecting { .. } => 0,
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
        let watch = |fd: BorrowedFd<'_>, interest| match self.poller.add(fd, 1, interest) {
            Err(Errno::EEXIST) => self.poller.change(fd, 1, interest),
            added => added,
        };
        let (watched, until) = match &self.state {
            State::Connecting { handshake, .. } => {
                let (fds, until) = handshake.watch();
                (fds.into_iter().try_for_each(|(fd, flags)| watch(fd, interest(flags))), until)
            }
            State::Connected(session) => {
                let writes = if session.is_flushed() { PollFlags::empty() } else { PollFlags::POLLOUT };
                let to_server = watch(session.to_server(), interest(writes));
                (to_server.and_then(|()| watch(session.from_server(), EpollFlags::EPOLLIN)), Deadline::NEVER)
            }
        };
        watched.and_then(|()| self.set_timer(until)).map_err(cannot_watch)
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
