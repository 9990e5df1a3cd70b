//! The client's side of the handshake, as a state machine that never waits by itself; [`connect`] waits for
//! it.

use std::fmt;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::write;

use crate::client::private_pipe::{cannot_make, cannot_open, make_and_open, wait_for_server};
use crate::client::session::ClientSession;
use crate::course::text_of;
use crate::deadline::{Deadline, Pauses};
use crate::error::{Error, Remedy, Result};
use crate::event::{Event, What, excerpt};
use crate::fifo::{Fifo, Identity, Standing, look, open_identified, open_to_write};
use crate::io::Filled;
use crate::place::{Place, random};
use crate::process::Process;
use crate::strays::note_skipped;
use crate::stream::{FrameReader, FrameWriter, Framing};
use crate::sys::{Lock, try_lock, unread};
use crate::text::words;
use crate::wire::{Ack, Header, Hello, Kind, Part, VERSION, append};

/// Step 3: the private pipe. It has a reader from the start, so that the server's open succeeds.
#[derive(Debug)]
struct PrivatePipe {
    /// Dropping it removes the name.
    fifo: Fifo,
    /// The answer may come in pieces.
    from_server: FrameReader,
    /// Identifies the answer to this client.
    nonce: u64,
}

/// The state of the handshake.
#[derive(Debug)]
enum State {
    /// Between two attempts to connect (step 4).
    Seeking { again: Deadline },
    /// The WKP is full (step 4).
    WaitingForRoom { wkp: (OwnedFd, Identity) },
    /// HELLO is sent (step 5).
    AwaitingAck { wkp: OwnedFd },
}

/// A handshake under way.
pub struct Handshake {
    process: Rc<Process>,
    place: Place,
    deadline: Deadline,
    state: State,
    private: Option<PrivatePipe>,
    pauses: Pauses,
    /// The last reason why the client did not connect.
    obstacle: &'static str,
    /// Whether a server took a HELLO.
    sent_hello: bool,
    /// The last reason for a new HELLO.
    turned_away: Option<&'static str>,
    /// The first text that was no frame. A server that writes it speaks another dialect.
    other_text: Option<String>,
    /// Frames sent and received so far.
    frames: u64,
}

/// Connects to the server at `place`, before `deadline`.
///
/// # Errors
/// [`Error::NoServer`], [`Error::NoAnswer`]: the deadline passed. [`Error::Refused`]: the server refuses.
/// [`Error::System`]: no private pipe can be made, or the WKP is another user's. [`Error::Signal`].
pub fn connect(process: &Rc<Process>, place: &Place, deadline: Deadline) -> Result<ClientSession> {
    let mut handshake = Handshake::new(process, place, deadline);
    loop {
        if let Some(session) = handshake.advance_in_time()? {
            return Ok(*session);
        }
        let (fds, until) = handshake.watch();
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
        process.wait(&mut fds, until)?;
    }
}

impl Handshake {
    /// Makes a handshake that begins with the next [`Handshake::advance`].
    pub fn new(process: &Rc<Process>, place: &Place, deadline: Deadline) -> Self {
        Self {
            process: Rc::clone(process),
            place: place.clone(),
            deadline,
            state: State::Seeking { again: Deadline::in_exactly(Duration::ZERO) },
            private: None,
            pauses: Pauses::from_shortest(process.polls()),
            obstacle: "there was no time to try",
            sent_hello: false,
            turned_away: None,
            other_text: None,
            frames: 0,
        }
    }

    /// Returns the frames sent and received so far: 3 if all went well the first time.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns what to wait for, and until when, before the next [`Handshake::advance`].
    pub fn watch(&self) -> (Vec<(BorrowedFd<'_>, PollFlags)>, Deadline) {
        match &self.state {
            State::Seeking { again } => (Vec::new(), again.or(self.deadline)),
            State::WaitingForRoom { wkp: (wkp, _) } => {
                (vec![(wkp.as_fd(), PollFlags::POLLOUT)], self.deadline)
            }
            State::AwaitingAck { wkp } => {
                let answer = self.private.as_ref().map(|pipe| (pipe.from_server.as_fd(), PollFlags::POLLIN));
                (answer.into_iter().chain([(wkp.as_fd(), PollFlags::empty())]).collect(), self.deadline)
            }
        }
    }

    /// Goes on as [`Handshake::advance`] does, but fails after the deadline.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub(super) fn advance_in_time(&mut self) -> Result<Option<Box<ClientSession>>> {
        // The deadline is judged after the attempt, whatever the attempt has found. A client that was stopped
        // for a while has one more attempt. A server that sends other frames without end cannot keep the
        // client.
        let late = self.deadline.passed();
        let session = self.advance()?;
        if late && session.is_none() {
            self.judge_deadline()?;
        }
        Ok(session)
    }

    /// Goes on as far as possible without waiting. Call it when a watched file descriptor is ready, or at the
    /// deadline of `watch`. Returns the session when the client is connected.
    ///
    /// # Errors
    /// Those of [`connect`], without those of the deadline.
    pub fn advance(&mut self) -> Result<Option<Box<ClientSession>>> {
        match &self.state {
            State::Seeking { again } if !again.passed() => Ok(None),
            State::Seeking { .. } | State::WaitingForRoom { .. } => {
                self.make_private_pipe()?;
                self.connect_and_send_name()?;
                Ok(None)
            }
            State::AwaitingAck { .. } => self.receive_and_remove_private_pipe(),
        }
    }

    /// Fails if the deadline has passed. Call it after an [`Handshake::advance`] that began later than the
    /// deadline.
    ///
    /// # Errors
    /// [`Error::NoServer`]: no server took a HELLO. [`Error::NoAnswer`]: a server took it.
    pub fn judge_deadline(&self) -> Result<()> {
        if !self.deadline.passed() {
            return Ok(());
        }
        let path = self.place.wkp().into();
        if !self.sent_hello {
            return Err(Error::NoServer { path, because: self.obstacle });
        }
        if let Some(other_text) = &self.other_text {
            let seen = format!("the server said {other_text:?}, which is no frame of this protocol");
            return Err(Error::NoAnswer { path, seen, remedy: Remedy::Course });
        }
        let seen = self.turned_away.unwrap_or_else(|| self.how_far()).into();
        Err(Error::NoAnswer { path, seen, remedy: Remedy::MoreTimeOrCourse })
    }

    /// Describes how far the server came with the HELLO.
    fn how_far(&self) -> &'static str {
        match &self.state {
            State::AwaitingAck { wkp } if unread(wkp).is_ok_and(|bytes| bytes > 0) => {
                "the server has not read the well-known pipe: it is busy, full or stopped"
            }
            _ => {
                "the HELLO was read, and not answered: the server is busy, full or stopped, or another \
                 program reads that pipe"
            }
        }
    }

    /// Step 3: makes the private pipe, and opens it for reading.
    fn make_private_pipe(&mut self) -> Result<()> {
        if self.private.is_some() {
            return Ok(());
        }
        let path = self.place.private()?;
        let (fifo, from_server) =
            make_and_open(&self.process, &path).map_err(|errno| cannot_make(&path, errno))?;
        let from_server = FrameReader::new(Rc::new(from_server), Framing::Stream);
        self.private = Some(PrivatePipe { fifo, from_server, nonce: random()? });
        Ok(())
    }

    /// Step 4: connects to the server and sends the private pipe's name. The shared lock makes the check of
    /// the WKP's name and the write one step for the server. The server first removes the name, and then
    /// takes the exclusive lock.
    fn connect_and_send_name(&mut self) -> Result<()> {
        let (wkp, identity) =
            match std::mem::replace(&mut self.state, State::Seeking { again: Deadline::NEVER }) {
                State::WaitingForRoom { wkp } => wkp,
                _ => match open_identified(self.place.wkp()) {
                    Ok(wkp) => wkp,
                    Err(Errno::ENOENT) => return self.retry_later("ENOENT (no such pipe)"),
                    Err(Errno::ENXIO) => return self.retry_later("ENXIO (no reader)"),
                    Err(errno) => return Err(cannot_open(&self.place, errno)),
                },
            };
        match try_lock(wkp.as_fd(), Lock::Shared) {
            Ok(()) => {}
            // A server that was stopped while it held the exclusive lock must not stop this client.
            Err(Errno::EWOULDBLOCK) => return self.retry_later("EWOULDBLOCK (the server holds its lock)"),
            // The file system has no such lock. The server finds that out as well, and lets no client keep
            // the WKP.
            Err(_) => {}
        }
        // Another process may have given the pipe a second name (link(2)), so its link count proves nothing.
        if look(self.place.wkp()) != Ok(Standing::Fifo(identity)) {
            return self.retry_later("it was just being replaced");
        }
        self.process.log(What::WkpOpened, |event| event.pipe(self.place.wkp().display()));
        let sent = self.send_hello(&wkp);
        // Releasing a lock cannot fail.
        let _ = try_lock(wkp.as_fd(), Lock::Release);
        match sent {
            Ok(()) => {}
            Err(Errno::EAGAIN) => {
                self.obstacle = "EAGAIN (it is full of others' names)";
                self.state = State::WaitingForRoom { wkp: (wkp, identity) };
                return Ok(());
            }
            Err(Errno::EPIPE) => return self.retry_later("EPIPE (the reader has gone)"),
            Err(errno) => return Err(Error::at("write to the well-known pipe", self.place.wkp(), errno, "")),
        }
        self.frames += 1;
        self.sent_hello = true;
        self.process.log(What::AwaitingAck, |event| event.pipe(self.private_name()));
        self.state = State::AwaitingAck { wkp };
        Ok(())
    }

    fn send_hello(&self, wkp: &OwnedFd) -> Result<(), Errno> {
        let Some(private) = &self.private else { return Err(Errno::EBADF) };
        let hello = Hello { version: VERSION, name: private.fifo.name_bytes() };
        let mut frame = Vec::new();
        let header = Header { kind: Kind::Hello, part: Part::ONLY, session: private.nonce, sequence: 0 };
        append(&mut frame, header, &hello.encode());
        let event = |event: Event| event.pipe(self.place.wkp().display()).text(private.fifo.name());
        // At most PIPE_BUF: the write is all or nothing (pipe(7)).
        self.process.log_around(What::HelloSent, event, || write(wkp, &frame).map(drop))
    }

    /// Steps 5 and 8: reads the acknowledgement. When it has come, removes the private pipe and confirms.
    fn receive_and_remove_private_pipe(&mut self) -> Result<Option<Box<ClientSession>>> {
        // Nearly always the answer is there. A poll before would cost more than the read.
        if let Break(ack) = self.read_answer()? {
            return self.confirm(ack);
        }
        let (State::AwaitingAck { wkp }, Some(private)) = (&self.state, &self.private) else {
            return Ok(None);
        };
        let now = Deadline::in_exactly(Duration::ZERO);
        let (shown, server_left) = wait_for_server(&self.process, &private.from_server, wkp, now)?;
        if !shown && !server_left {
            return Ok(None);
        }
        match self.read_answer()? {
            Break(ack) => self.confirm(ack),
            // A writer has sent bytes that are no answer yet; the deadline bounds that.
            Continue(Filled::Bytes(_)) => Ok(None),
            Continue(Filled::Nothing) if !server_left => Ok(None),
            Continue(Filled::End) if shown => {
                self.start_over("the server opened the private pipe and closed it again")
            }
            Continue(_) => self.start_over("the server closed the well-known pipe"),
        }
    }

    /// Reads the private pipe once. Returns `Break` when the acknowledgement came.
    fn read_answer(&mut self) -> Result<ControlFlow<Ack, Filled>> {
        let Some(PrivatePipe { fifo, from_server, nonce }) = &mut self.private else {
            return Ok(Continue(Filled::Nothing));
        };
        let filled = from_server.fill().map_err(|errno| Error::at("read", fifo.path(), errno, ""))?;
        while let Some((frame, _)) = from_server.next_frame() {
            if frame.header.session != *nonce {
                continue;
            }
            self.frames += 1;
            match frame.header.kind {
                Kind::Ack => {
                    let ack = Ack::decode(&frame.payload()).filter(|ack| ack.version == VERSION);
                    let what = "an acknowledgement that is none, or of another version";
                    return ack.map(Break).ok_or_else(|| Error::Protocol { what: what.into() });
                }
                Kind::Refuse => return Err(Error::Refused { reason: words(&frame.payload()) }),
                _ => {}
            }
        }
        if self.other_text.is_none() {
            // No frame begins with a text.
            let text = text_of(from_server.bytes());
            self.other_text = (!text.is_empty()).then(|| excerpt(text));
        }
        note_skipped(from_server, None, &self.process);
        Ok(Continue(filled))
    }

    /// Step 8: removes the private pipe, opens the fresh upstream if there is one, and sends READY. The
    /// server may have ended the session meanwhile, if this client was stopped. The client then retries,
    /// since it has sent no request yet.
    fn confirm(&mut self, ack: Ack) -> Result<Option<Box<ClientSession>>> {
        let Some(PrivatePipe { fifo, from_server, .. }) = self.private.take() else { return Ok(None) };
        let event = |event: Event| event.session(ack.session).pipe(fifo.name());
        self.process.log(What::AckReceived, event);
        self.process
            .log_around(What::PrivateRemoved, event, || fifo.remove())
            .map_err(|errno| Error::on("remove the private pipe", fifo.name(), errno))?;
        let Some((to_server, framing)) = self.upstream(&ack)? else {
            return self.start_over("the fresh pipe was gone before READY");
        };
        let mut to_server = FrameWriter::new(to_server, framing);
        to_server
            .push(Header { kind: Kind::Ready, part: Part::ONLY, session: ack.session, sequence: 0 }, &[]);
        let event = |event: Event| event.session(ack.session);
        if self.process.log_around(What::ReadySent, event, || to_server.flush()).is_err() {
            return self.start_over("the server was gone before READY");
        }
        self.frames += 1;
        Ok(Some(Box::new(ClientSession::new(&self.process, &ack, from_server, to_server))))
    }

    /// Returns the pipe for all that follows. `None`: the server has removed it.
    fn upstream(&mut self, ack: &Ack) -> Result<Option<(OwnedFd, Framing)>> {
        match std::mem::replace(&mut self.state, State::Seeking { again: Deadline::NEVER }) {
            State::AwaitingAck { wkp } if ack.upstream.is_empty() => return Ok(Some((wkp, Framing::Atomic))),
            other => drop(other),
        }
        let name = String::from_utf8_lossy(&ack.upstream).into_owned();
        let Some(path) = self.place.named_by_server(&ack.upstream) else {
            return Err(Error::Protocol { what: format!("its fresh pipe {name:?} is none of this place") });
        };
        match open_to_write(&path) {
            Ok(opened) => Ok(Some((opened, Framing::Stream))),
            Err(Errno::ENOENT | Errno::ENXIO) => Ok(None),
            Err(errno) => Err(Error::at("open the fresh pipe", &path, errno, "")),
        }
    }

    /// Returns to step 4, after a pause.
    fn retry_later(&mut self, obstacle: &'static str) -> Result<()> {
        self.obstacle = obstacle;
        self.state = State::Seeking { again: self.pauses.begin() };
        Ok(())
    }

    /// Returns to step 3. The former HELLO may still be answered on the old private pipe, so that pipe must
    /// not be used again.
    fn start_over<T>(&mut self, obstacle: &'static str) -> Result<Option<T>> {
        self.turned_away = Some(obstacle);
        self.process.log(What::TryingAgain, |event| event.pipe(self.private_name()).text(obstacle));
        self.private = None;
        self.retry_later(obstacle)?;
        Ok(None)
    }

    fn private_name(&self) -> String {
        self.private.as_ref().map(|pipe| pipe.fifo.name()).unwrap_or_default()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("state", &self.state).finish_non_exhaustive()
    }
}
