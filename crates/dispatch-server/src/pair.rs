//! The pair of unnamed pipes between the central process and a subserver.
//!
//! Down go the client's frames, unchanged. Up go single status bytes: [`DONE`], [`ANY_INPUT`], or a number of
//! frames. With `--shared-wkp` the subserver sends how many more frames it has answered. The central process
//! then knows how full the client's window is.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use handshake_core::server::pending::PendingClient;
use handshake_core::server::session::{Dispatcher, Session};
use handshake_core::stream::{FrameReader, Framing};
use handshake_core::sys::out_of_the_way;
use handshake_core::wire::Ack;
use handshake_core::{Error, Result, Server};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write};

/// Status: my client has gone, or has received all that it wanted.
const DONE: u8 = 0;
/// Status: my client seems idle; is there any input from it?
const ANY_INPUT: u8 = 255;

/// The subserver's ends of a pair.
pub(crate) struct SubserverEnds {
    /// Brings the client's frames.
    pub(crate) from_central: Rc<OwnedFd>,
    /// Takes the status bytes.
    pub(crate) to_central: Rc<OwnedFd>,
    ack: Ack,
}

/// Makes a pair: the writing end of the pipe down, the reading end of the pipe up, and the subserver's ends.
pub(crate) fn pair(ack: Ack) -> Result<(OwnedFd, OwnedFd, SubserverEnds)> {
    let pipe = || {
        pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .map_err(|errno| Error::on("make", "a pair of unnamed pipes", errno))
    };
    let ((from_central, to_subserver), (from_subserver, to_central)) = (pipe()?, pipe()?);
    let ends = SubserverEnds { from_central: Rc::new(from_central), to_central: Rc::new(to_central), ack };
    Ok((long_lived(to_subserver)?, long_lived(from_subserver)?, ends))
}

/// A file descriptor that the central process holds as long as a client lives. It is moved above the file
/// descriptors that a child needs, since each fork copies all below those.
pub(crate) fn long_lived(fd: impl AsFd) -> Result<OwnedFd> {
    out_of_the_way(fd).map_err(|errno| Error::on("hold", "the pipes of one more client", errno))
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
        let (site, options) = (server.site(), server.options());
        Ok(client.begin_session(site, options, &self.ack, from_client, None)?.via(status))
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

/// What a subserver has sent: how many more frames it has answered, whether it asks for input from its
/// client, and why the session is over.
#[derive(Default)]
pub(crate) struct Status {
    pub(crate) answered: usize,
    pub(crate) asks: bool,
    pub(crate) over: Option<&'static str>,
}

impl Status {
    /// Reads the status bytes that have arrived.
    pub(crate) fn read(from_subserver: &OwnedFd) -> Self {
        let mut buffer = [0; 512];
        let bytes = match read(from_subserver, &mut buffer) {
            Err(Errno::EAGAIN) => return Self::default(),
            Ok(0) | Err(_) => return Self { over: Some("subserver gone"), ..Self::default() },
            Ok(count) => &buffer[..count],
        };
        Self {
            answered: bytes.iter().filter(|byte| **byte != ANY_INPUT).map(|byte| usize::from(*byte)).sum(),
            asks: bytes.contains(&ANY_INPUT),
            over: bytes.contains(&DONE).then_some("client gone, done"),
        }
    }
}
