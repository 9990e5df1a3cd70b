//! A client that waits: [`Client`] connects, sends requests and receives their replies.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use crate::client::connection::Connection;
use crate::client::handshake;
use crate::client::session::{Answer, ClientSession, LONGEST};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::event::Role;
use crate::event_log::EventLog;
use crate::place::Place;
use crate::process::{Process, Woken};
use crate::sys::Punctual;
use crate::wait::signals::Handling;

/// How a client connects, and how long it waits.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientOptions {
    connect_timeout: Duration,
    reply_timeout: Duration,
    max_message: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let connect_timeout = Duration::from_secs(5);
        Self { connect_timeout, reply_timeout: Duration::ZERO, max_message: LONGEST }
    }
}

impl ClientOptions {
    /// Sets how long the client tries to connect. 0: forever. The default is 5 seconds.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Sets how long [`Client::call`], [`Client::send`] and [`Client::receive`] wait. 0, the default:
    /// forever. The death of the server ends each wait at once.
    pub fn reply_timeout(self, reply_timeout: Duration) -> Self {
        Self { reply_timeout, ..self }
    }

    /// Sets the longest message that the client sends or takes, in bytes. The default is 16 MiB. A longer
    /// reply ends the session.
    pub fn max_message(self, max_message: usize) -> Self {
        Self { max_message, ..self }
    }

    /// Connects to the server whose well-known pipe is at `wkp`. Blocks until the handshake is done, at most
    /// for the connect timeout.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub fn connect(&self, wkp: impl AsRef<Path>) -> Result<Client> {
        let process = client_process()?;
        // The default timer slack would double the pauses between two attempts.
        let _punctual = Punctual::begin();
        let deadline = Deadline::after(self.connect_timeout);
        let mut session = handshake::connect(&process, &Place::new(wkp.as_ref())?, deadline)?;
        session.limit_messages(self.max_message);
        let reply_timeout = self.reply_timeout;
        Ok(Client { process, session, reply_timeout, arrived: VecDeque::new(), abandoned: VecDeque::new() })
    }

    /// Begins to connect, for a program with an event loop of its own. Never blocks. The reply timeout does
    /// not apply.
    ///
    /// # Errors
    /// [`Error::NoName`]: `wkp` ends in no name. [`Error::System`]: no file descriptors are available.
    pub fn begin(&self, wkp: impl AsRef<Path>) -> Result<Connection> {
        let place = Place::new(wkp.as_ref())?;
        Connection::begin(&client_process()?, &place, Deadline::after(self.connect_timeout), self.max_message)
    }
}

/// Returns the process of a client that is a part of some program: it changes no signal.
fn client_process() -> Result<Rc<Process>> {
    Ok(Rc::new(Process::start(Handling::Nothing, Role::Client, EventLog::default())?))
}

/// A client of any server of this protocol: basic, forking or dispatch.
///
/// Its methods block, each until its deadline. It changes no signal of its program, and starts no thread. A
/// signal handler of the program may interrupt a wait; the wait goes on. Dropping the client closes its pipes
/// without a BYE, which the server notices at once.
///
/// ```no_run
/// use handshake_core::Client;
///
/// let mut client = Client::connect("adder")?;
/// assert_eq!(client.call(b"2")?, b"2");
/// client.close()?;
/// # Ok::<(), handshake_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    process: Rc<Process>,
    session: ClientSession,
    reply_timeout: Duration,
    /// Answers that came while the client waited for another one.
    arrived: VecDeque<(u32, Result<Vec<u8>>)>,
    /// Requests whose answers are discarded, because their callers' deadlines have passed.
    abandoned: VecDeque<u32>,
}

impl Client {
    /// Connects to the server whose well-known pipe is at `wkp`. Blocks until the handshake is done, at most
    /// 5 seconds. The server need not be there yet.
    ///
    /// # Errors
    /// [`Error::NoServer`], [`Error::NoAnswer`]: no server answered in time. [`Error::Refused`]: the server
    /// refuses this client. [`Error::System`]: no private pipe can be made, or the pipe at `wkp` is another
    /// user's. [`Error::NoName`]: `wkp` ends in no name. [`Error::Protocol`]: what answers is no such server.
    pub fn connect(wkp: impl AsRef<Path>) -> Result<Self> {
        Self::options().connect(wkp)
    }

    /// Returns the options of a client, with their defaults.
    pub fn options() -> ClientOptions {
        ClientOptions::default()
    }

    /// Sends a request and returns its reply. Blocks until the reply has come, at most for the
    /// [reply timeout](ClientOptions::reply_timeout).
    ///
    /// # Errors
    /// [`Error::RequestRefused`]: the service refuses this request, and the session goes on.
    /// [`Error::TooLong`]: nothing was sent, and the session goes on. [`Error::NoReply`]: no reply came
    /// within the reply timeout. The session goes on, and a late reply is discarded. [`Error::Lost`]: the
    /// server has ended the session, or has died. The request may or may not have been done.
    /// [`Error::AnswerTooLong`], [`Error::Protocol`]: drop the client, its session is of no more use.
    pub fn call(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        self.call_within(message, self.reply_timeout)
    }

    /// Sends a request and returns its reply, like [`Client::call`], but waits at most this long. 0 means
    /// forever: a remaining time that is used up must not be passed.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn call_within(&mut self, message: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let until = Deadline::after(timeout);
        let number = self.send_by(message, until, timeout)?;
        loop {
            match self.next_answer()? {
                Some((answered, reply)) if answered == number => return reply,
                Some(other) => self.arrived.push_back(other),
                None => self.turn(until, timeout).inspect_err(|_| self.abandoned.push_back(number))?,
            }
        }
    }

    /// Sends a request and returns its number, from 1. Its reply is for [`Client::receive`]. Blocks while the
    /// server has no room for it, at most for the reply timeout.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::NoReply`]: nothing was sent, and the session goes on. [`Error::Lost`].
    pub fn send(&mut self, message: &[u8]) -> Result<u32> {
        self.send_by(message, Deadline::after(self.reply_timeout), self.reply_timeout)
    }

    /// Returns the number and the reply of the next request that [`Client::send`] has sent. Replies come in
    /// the order of the requests. Blocks until the reply has come, at most for the reply timeout.
    ///
    /// # Errors
    /// [`Error::RequestRefused`]: the service refuses the request; its number is in the error.
    /// [`Error::NoReply`]: no reply came within the reply timeout. `ENOMSG`: no request is unanswered.
    /// [`Error::Lost`].
    pub fn receive(&mut self) -> Result<(u32, Vec<u8>)> {
        let until = Deadline::after(self.reply_timeout);
        loop {
            let next = match self.arrived.pop_front() {
                Some(arrived) => Some(arrived),
                None => self.next_answer()?,
            };
            match next {
                Some((number, reply)) => return reply.map(|reply| (number, reply)),
                None if self.unanswered() == 0 => {
                    return Err(Error::on("receive", "a reply: no request is unanswered", Errno::ENOMSG));
                }
                None => self.turn(until, self.reply_timeout)?,
            }
        }
    }

    /// Returns how many requests of [`Client::send`] have no reply yet.
    pub fn unanswered(&self) -> usize {
        self.arrived.len() + self.session.unanswered() - self.abandoned.len()
    }

    /// Says BYE and closes both pipes. The server answers nothing that is still unanswered. Blocks until all
    /// requests are written, at most for the reply timeout.
    ///
    /// # Errors
    /// [`Error::NoReply`]: the server does not read within the reply timeout. [`Error::Lost`].
    pub fn close(mut self) -> Result<()> {
        let until = Deadline::after(self.reply_timeout);
        self.session.flush()?;
        while !self.session.is_flushed() {
            if self.next_answer()?.is_none() {
                self.turn(until, self.reply_timeout)?;
            }
        }
        self.session.bye();
        Ok(())
    }

    fn send_by(&mut self, message: &[u8], until: Deadline, timeout: Duration) -> Result<u32> {
        while !self.session.may_send(message.len()) && message.len() <= self.session.longest() {
            match self.next_answer()? {
                Some(answer) => self.arrived.push_back(answer),
                None => self.turn(until, timeout)?,
            }
        }
        let number = self.session.send(message)?;
        self.session.flush()?;
        Ok(number)
    }

    /// Takes the next answer that a caller still waits for out of the bytes read: a reply or a refusal.
    fn next_answer(&mut self) -> Result<Option<(u32, Result<Vec<u8>>)>> {
        loop {
            let mut bytes = Vec::new();
            let (number, reply) = match self.session.answer(&mut bytes)? {
                Answer::Reply(number) => (number, Ok(bytes)),
                Answer::Refused(number) => {
                    let reason = String::from_utf8_lossy(&bytes).into_owned();
                    (number, Err(Error::RequestRefused { number, reason }))
                }
                Answer::Nothing => return Ok(None),
            };
            // Answers come in the order of the requests.
            if self.abandoned.front() == Some(&number) {
                self.abandoned.pop_front();
            } else {
                return Ok(Some((number, reply)));
            }
        }
    }

    /// Waits until there is something to read or to write, and does that.
    fn turn(&mut self, until: Deadline, timeout: Duration) -> Result<()> {
        let writes = !self.session.is_flushed();
        let mut fds = [
            PollFd::new(self.session.from_server(), PollFlags::POLLIN),
            PollFd::new(self.session.to_server(), PollFlags::POLLOUT),
        ];
        let watched = if writes { &mut fds[..] } else { &mut fds[..1] };
        let woken = self.process.wait(watched, until)?;
        let is_readable = fds[0].any().unwrap_or(false);
        if woken == Woken::Deadline {
            return Err(self.no_reply(timeout));
        }
        if writes {
            self.session.flush()?;
        }
        if is_readable { self.session.read() } else { Ok(()) }
    }

    fn no_reply(&self, silent: Duration) -> Error {
        let seen = if self.session.is_read() {
            "the server has read the request"
        } else {
            "the server has not read the request: it is busy or stopped"
        };
        Error::no_reply(silent, self.unanswered(), seen)
    }
}
