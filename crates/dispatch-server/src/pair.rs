//! The pair of unnamed pipes between the central process and one subserver.
//!
//! Down come the client's frames, unchanged. Up go single bytes: [`DONE`], [`ASK`], and with `--shared-wkp` the number of
//! frames answered since the last one, so that the central process knows how full a client's window is.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use handshake_core::server::pending::{AckParams, PendingClient};
use handshake_core::server::session::{Dispatcher, Session};
use handshake_core::stream::{FrameReader, Framing};
use handshake_core::{Error, Result, Server};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

/// News: my client is gone, or has all it wanted.
pub(crate) const DONE: u8 = 0;
/// News: my client seems silent; is there anything?
pub(crate) const ASK: u8 = 255;

/// What the subserver holds of the pair.
pub(crate) struct SubserverEnds {
    /// The client's frames.
    pub(crate) from_central: Rc<OwnedFd>,
    /// The news.
    pub(crate) to_central: Rc<OwnedFd>,
    /// The ACK's words on the client's upstream.
    pub(crate) upstream: Vec<u8>,
    /// In frames; 0: none.
    pub(crate) window: u16,
    pub(crate) longest: usize,
}

/// What the central process holds of it.
pub(crate) struct CentralEnds {
    /// The client's frames.
    pub(crate) to_subserver: OwnedFd,
    /// The news.
    pub(crate) from_subserver: OwnedFd,
}

/// Makes a pair.
pub(crate) fn pair(upstream: Vec<u8>, window: u16, longest: usize) -> Result<(CentralEnds, SubserverEnds)> {
    let pipe = || {
        pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .map_err(|errno| Error::on("make", "a pair of unnamed pipes", errno))
    };
    let (from_central, to_subserver) = pipe()?;
    let (from_subserver, to_central) = pipe()?;
    let (from_central, to_central) = (Rc::new(from_central), Rc::new(to_central));
    Ok((
        CentralEnds { to_subserver, from_subserver },
        SubserverEnds { from_central, to_central, upstream, window, longest },
    ))
}

impl SubserverEnds {
    /// Step 8: connects to the client's private pipe and sends the acknowledgement; the session's frames then come
    /// from the central process.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) fn acknowledge(self, server: &Server, client: PendingClient) -> Result<Session> {
        let news = News {
            to_central: Rc::clone(&self.to_central),
            answered: 0,
            report_at: usize::from(self.window / 2),
        };
        let grant = AckParams { window: self.window, longest: self.longest, upstream: self.upstream };
        // The central process writes what the pipe takes, so frames come in pieces.
        let from_client = FrameReader::new(self.from_central, Framing::Trusted);
        Ok(server.begin_session(client, grant, from_client, None)?.via(news))
    }
}

/// Sends news up.
struct News {
    to_central: Rc<OwnedFd>,
    /// Frames answered and not reported yet.
    answered: usize,
    /// Half the window: reported that often, the central process knows it well enough, and is not woken for each.
    report_at: usize,
}

impl News {
    fn tell(&self, news: u8) {
        // The pipe holds more news than a window can bring. If the central process has gone, its pipe down says so.
        let _: Result<usize, Errno> = write(&self.to_central, &[news]);
    }
}

impl Dispatcher for News {
    fn answered(&mut self, frames: usize) {
        if self.report_at == 0 {
            return;
        }
        self.answered += frames;
        while self.answered >= self.report_at {
            let told = self.answered.min(usize::from(ASK - 1));
            self.tell(u8::try_from(told).unwrap_or(ASK - 1));
            self.answered -= told;
        }
    }

    fn ask(&mut self) {
        self.tell(ASK);
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.tell(DONE);
    }
}
