//! Step 7: forks off a subserver, with a pair of unnamed pipes between the central process and it.
//!
//! Down go the client's frames, unchanged. Up go single status bytes: [`DONE`], [`ANY_INPUT`], or a number of
//! frames. With `--shared-wkp` the subserver sends how many more frames it has answered. The central process
//! then knows how full the client's window is.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::server::pending::{AckParams, PendingClient};
use handshake_core::server::session::{Dispatcher, Session};
use handshake_core::stream::{FrameReader, Framing};
use handshake_core::sys::out_of_the_way;
use handshake_core::{Error, Result, Server};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::EpollFlags;
use nix::unistd::{Pid, pipe2, write};

use crate::client::{Client, Clients, Flow};
use crate::serve_client;
use crate::token::Arrival;

/// Status: my client has gone, or has received all that it wanted.
pub(crate) const DONE: u8 = 0;
/// Status: my client seems idle; is there any input from it?
pub(crate) const ANY_INPUT: u8 = 255;

/// The subserver's ends of a pair.
pub(crate) struct SubserverEnds {
    /// Brings the client's frames.
    from_central: Rc<OwnedFd>,
    /// Takes the status bytes.
    to_central: Rc<OwnedFd>,
    ack: AckParams,
}

impl Clients {
    /// Forks off a subserver, with a pair of unnamed pipes, and returns the client's number. `upstream` is a
    /// pipe that brings only this client's frames. If no pipe or process can be had, requeues the client.
    pub(crate) fn fork(
        &mut self,
        server: &mut Server,
        mut client: PendingClient,
        upstream: Option<Rc<OwnedFd>>,
        ack: AckParams,
    ) -> Option<u64> {
        let number = self.new_number();
        let (prepared, ends) = match self.prepare(number, client.session, upstream, ack) {
            Ok(prepared) => prepared,
            Err(error) => {
                server.requeue((client, error));
                return None;
            }
        };
        let (from_central, to_central) = (Rc::clone(&ends.from_central), Rc::clone(&ends.to_central));
        let keep = [from_central.as_fd(), to_central.as_fd()];
        // The central process reads the pipe, so the clients that wait for this pipe stay with it.
        let queue = client.leave_queue();
        match self.subservers.fork(client, &keep, |client| serve_client(server, client, ends)) {
            Ok(subserver) => {
                self.by_number.insert(number, Client { subserver, ..prepared });
                Some(number)
            }
            Err(mut failed) => {
                self.unwatch(&prepared);
                drop(prepared);
                failed.0.take_queue_back(queue);
                server.requeue(*failed);
                None
            }
        }
    }

    /// Acquires and watches everything that a session needs. Before the fork the client can still be
    /// requeued.
    fn prepare(
        &self,
        number: u64,
        session: u64,
        upstream: Option<Rc<OwnedFd>>,
        ack: AckParams,
    ) -> Result<(Client, SubserverEnds)> {
        let (from_central, to_subserver) = unnamed_pipe()?;
        let (from_subserver, to_central) = unnamed_pipe()?;
        let client = Client {
            session,
            subserver: Pid::from_raw(0),
            upstream,
            flow: Flow::Reading(long_lived(to_subserver)?),
            from_subserver: long_lived(from_subserver)?,
            is_ending: false,
        };
        let upstream = client.upstream.as_ref();
        upstream
            .map_or(Ok(()), |pipe| self.watch(pipe, Arrival::Frames(number), EpollFlags::EPOLLIN))
            .and_then(|()| self.watch(&client.from_subserver, Arrival::Status(number), EpollFlags::EPOLLIN))
            .inspect_err(|_| self.unwatch(&client))?;
        let (from_central, to_central) = (Rc::new(from_central), Rc::new(to_central));
        Ok((client, SubserverEnds { from_central, to_central, ack }))
    }
}

/// A descriptor that the central process holds as long as a client lives. It is moved above the descriptors
/// that a child needs, since each fork copies all below those.
pub(crate) fn long_lived(fd: impl AsFd) -> Result<OwnedFd> {
    out_of_the_way(fd).map_err(|errno| Error::on("hold", "the pipes of one more client", errno))
}

/// Makes one half of a pair: a reading end and a writing end.
fn unnamed_pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .map_err(|errno| Error::on("make", "a pair of unnamed pipes", errno))
}

impl SubserverEnds {
    /// Step 8: connects to the client's private pipe and sends the acknowledgement. The session's frames then
    /// come from the central process.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) fn acknowledge(self, server: &Server, client: PendingClient) -> Result<Session> {
        let report_at = usize::from(self.ack.window / 2);
        let status = StatusSender { to_central: self.to_central, answered: 0, report_at };
        // The central process writes what the pipe takes, so frames come in pieces.
        let from_client = FrameReader::new(self.from_central, Framing::Trusted);
        Ok(server.begin_session(client, self.ack, from_client, None)?.via(status))
    }
}

/// Sends status bytes up.
struct StatusSender {
    to_central: Rc<OwnedFd>,
    /// Frames answered and not reported yet.
    answered: usize,
    /// Half the window: reports this often are exact enough, and do not wake the central process for each
    /// frame. 0: no window, no reports.
    report_at: usize,
}

impl StatusSender {
    fn send(&self, status: u8) {
        // The pipe holds more status bytes than a window can bring. If the central process has gone, the pipe
        // down has EOF.
        let _: Result<usize, Errno> = write(&self.to_central, &[status]);
    }
}

impl Dispatcher for StatusSender {
    fn answered(&mut self, frames: usize) {
        if self.report_at == 0 {
            return;
        }
        self.answered += frames;
        while self.answered >= self.report_at {
            let reported = self.answered.min(usize::from(ANY_INPUT - 1));
            self.send(u8::try_from(reported).unwrap_or(ANY_INPUT - 1));
            self.answered -= reported;
        }
    }

    fn ask(&mut self) {
        self.send(ANY_INPUT);
    }
}

impl Drop for StatusSender {
    fn drop(&mut self) {
        self.send(DONE);
    }
}
