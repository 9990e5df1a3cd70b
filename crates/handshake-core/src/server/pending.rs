//! A pending client: one that has sent its name and has no acknowledgement yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use smallvec::SmallVec;

use crate::error::{Error, Result, errno_of};
use crate::event::What;
use crate::fifo::{Fifo, name_of, open_to_write};
use crate::server::course::foreign::ForeignNames;
use crate::server::course::messages::Messages;
use crate::server::course::names::{NameRecord, NamedClient};
use crate::server::course::open;
use crate::server::course::queue::{PipeQueue, Waiting};
use crate::server::course::used_pipe::UsedPipe;
use crate::server::options::{Options, SessionLimits};
use crate::server::session::Session;
use crate::server::site::Site;
use crate::server::upstream::Upstream;
use crate::strays::drain;
use crate::stream::{FrameReader, FrameWriter, Framing};
use crate::wire::{Ack, Header, Kind, Part, VERSION};

/// Attempts to write an answer while the kernel has no memory for it. After that the client counts as gone.
const ANSWER_TRIES: usize = 4;

/// The dialect that a client speaks.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Framed {
        /// The session field of its HELLO.
        nonce: u64,
    },
    /// The course dialect. The client knows only the pipe that its name came through.
    Course(NameRecord),
}

/// The name of a private pipe, which is beside the well-known pipe. Its bytes are in the value itself, unless
/// there are many. A subserver that freed what its main server had allocated would copy a page for that.
type Name = SmallVec<[u8; 40]>;

/// A client that has sent its name and has no answer yet.
#[derive(Debug)]
pub struct PendingClient {
    /// The number of its future session.
    pub session: u64,
    name: Name,
    dialect: Dialect,
    /// The pipe that its name came through. It stays open until the answer is written: EOF would mean to the
    /// client that no answer will come.
    wkp: Rc<OwnedFd>,
    /// If that pipe is its upstream: the course clients that wait for this pipe.
    queue: Option<Rc<PipeQueue>>,
    /// If the client itself waited for that pipe: since when.
    waits_since: Option<Duration>,
}

impl PendingClient {
    /// Makes a client whose HELLO came through `wkp`. With a `queue`, the client may keep `wkp` as its
    /// upstream.
    pub(super) fn framed(
        session: u64,
        private: &Path,
        nonce: u64,
        wkp: &Rc<OwnedFd>,
        queue: Option<&Rc<PipeQueue>>,
    ) -> Self {
        let (name, wkp, queue) = (name_in(private), Rc::clone(wkp), queue.cloned());
        Self { session, name, dialect: Dialect::Framed { nonce }, wkp, queue, waits_since: None }
    }

    /// Makes a course client, whose upstream is `wkp`.
    pub(super) fn in_course(
        session: u64,
        name: NamedClient,
        wkp: Rc<OwnedFd>,
        queue: Rc<PipeQueue>,
        site: &Site,
    ) -> Self {
        let NamedClient { private, record } = name;
        queue.mark_in_course();
        site.process.log(What::HelloReceived, |event| {
            event.session(session).pipe(name_of(&private)).text("the course dialect")
        });
        let (name, dialect) = (name_in(&private), Dialect::Course(record));
        Self { session, name, dialect, wkp, queue: Some(queue), waits_since: None }
    }

    /// Makes a course client that has waited for the used pipe, and has it now.
    pub(super) fn next_at(used: &UsedPipe, waiting: Waiting, session: u64, site: &Site) -> Self {
        let Waiting { name, since, .. } = waiting;
        let (wkp, queue) = (Rc::clone(&used.pipe), Rc::clone(&used.queue));
        Self { waits_since: Some(since), ..Self::in_course(session, name, wkp, queue, site) }
    }

    /// Returns the name of its private pipe, for messages.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Hands the queue of clients that wait for the client's pipe to the process that reads the pipe.
    pub fn leave_queue(&mut self) -> Option<Rc<PipeQueue>> {
        self.queue.take()
    }

    /// Takes the queue back: no other process will read the pipe.
    pub fn take_queue_back(&mut self, queue: Option<Rc<PipeQueue>>) {
        self.queue = queue;
    }

    /// Returns its upstream, for use after its session. Other clients may wait for it if it was the
    /// well-known pipe.
    pub fn used_pipe(&self) -> Option<UsedPipe> {
        let queue = self.queue.as_ref()?;
        Some(UsedPipe::new(Rc::clone(&self.wkp), Rc::clone(queue)))
    }

    /// Returns its upstream: the WKP that it used for the handshake, or a fresh pipe.
    ///
    /// # Errors
    /// No pipe can be made.
    pub fn upstream(&self, site: &Rc<Site>) -> Result<Upstream> {
        let Some(queue) = &self.queue else { return Upstream::fresh(self.session, site) };
        if !queue.is_empty() {
            site.adopt(queue);
        }
        let foreign = || ForeignNames::of_pipe(site, Some(queue));
        let messages = || Messages::of_session(self.session, site.place.beside(&self.name), foreign());
        Ok(Upstream {
            from_client: Rc::clone(&self.wkp),
            framing: Framing::Atomic,
            fresh: None,
            translate: matches!(self.dialect, Dialect::Course(_)).then(|| Box::new(messages()) as _),
            foreign: Some(Rc::new(foreign())),
        })
    }

    /// Returns the PID in its private pipe's name: the last part but one, where a random number follows, or
    /// the whole name. 0 if that is no number. The server does not verify it. Clients of a PID share a turn.
    pub(super) fn process_number(&self) -> i32 {
        let number = self.name.rsplit(|byte| *byte == b'.').nth(1).unwrap_or(&self.name);
        std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Returns its acknowledgement: how many frames may be unanswered (0: no limit), the longest message in
    /// bytes, and the name of a fresh upstream or nothing.
    pub fn ack(&self, window: u16, longest: usize, upstream: Vec<u8>) -> Ack {
        Ack { session: self.session, version: VERSION, window, longest: longest as u64, upstream }
    }

    /// Steps 7 and 8: connects to the private pipe, sends the acknowledgement, and begins the session, whose
    /// frames come from `from_client`. The pipe that the client's name came through stays open until then.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone.
    pub fn begin_session(
        self,
        site: &Rc<Site>,
        options: &Options,
        ack: &Ack,
        mut from_client: FrameReader,
        fresh: Option<Fifo>,
    ) -> Result<Session> {
        let (session, process) = (self.session, &site.process);
        let limits = SessionLimits { longest: ack.longest as usize, ..options.limits };
        let private = site.place.beside(&self.name);
        let acknowledged = match self.dialect {
            Dialect::Framed { nonce } => {
                self.acknowledge(&private, nonce, ack, site).map(|to_client| (to_client, None))
            }
            Dialect::Course(name) => {
                let timeout = limits.handshake_timeout;
                let connected = open::connect(&private, &mut from_client, timeout, self.waits_since, site);
                let course_ack = options.course.acknowledgement(&private, name.form, session);
                connected
                    .and_then(|pipe| open::acknowledge(pipe, session, &private, &course_ack, process))
                    .map(|to_client| (to_client, Some((private, name, course_ack))))
            }
        };
        let (to_client, in_course) =
            acknowledged.inspect_err(|_| drain(&mut from_client, session, process))?;
        let session = Session::new(process, session, limits, from_client, to_client, fresh);
        Ok(match in_course {
            None => session,
            Some((private, name, ack)) => session.in_course(private, options.course.ways, name, ack),
        })
    }

    fn acknowledge(&self, private: &Path, nonce: u64, ack: &Ack, site: &Site) -> Result<FrameWriter> {
        let mut to_client = site.process.log_around(
            What::AckSent,
            |event| event.session(self.session).pipe(self.name()),
            || answer(private, nonce, Kind::Ack, &ack.encode()),
        )?;
        to_client.mark_trusted();
        Ok(to_client)
    }

    /// Refuses the client, with a reason; it will not retry. A course client gets EOF instead.
    pub fn refuse(self, site: &Rc<Site>, reason: &str) {
        self.reject(site, reason, true);
    }

    /// Turns the client away by opening and closing its private pipe. The client then retries.
    pub fn turn_away(self, site: &Rc<Site>, reason: &str) {
        self.reject(site, reason, false);
    }

    fn reject(self, site: &Rc<Site>, reason: &str, is_final: bool) {
        if let Some(pipe) = self.used_pipe() {
            pipe.close(site, reason);
        }
        let private = site.place.beside(&self.name);
        let Dialect::Framed { nonce } = self.dialect else { return site.turn_away(private, reason) };
        site.process.log(What::ClientDropped, |event| event.pipe(self.name()).text(reason));
        // A client that has gone needs no answer.
        if is_final {
            let _ = answer(&private, nonce, Kind::Refuse, reason.as_bytes());
        } else {
            let _ = open_to_write(&private);
        }
    }

    /// Returns the pipe that its name came through.
    pub(crate) fn wkp(&self) -> BorrowedFd<'_> {
        self.wkp.as_fd()
    }

    /// Gives the client its own file descriptor before a fork. Pending clients of one pipe share a file
    /// descriptor. In the child, the other clients' shares are never dropped.
    ///
    /// # Errors
    /// The client, and why no file descriptor is available now.
    pub(crate) fn with_own_descriptor(mut self) -> Result<Self, Box<(Self, Error)>> {
        if Rc::strong_count(&self.wkp) > 1 {
            match self.wkp.try_clone() {
                Ok(own) => self.wkp = Rc::new(own),
                Err(error) => {
                    let error = Error::on("copy the descriptor of", "a well-known pipe", errno_of(&error));
                    return Err(Box::new((self, error)));
                }
            }
        }
        Ok(self)
    }

    /// Leaves the client to its subserver, which has just been forked. If the subserver dies, the server
    /// notifies the clients in the result.
    pub(crate) fn into_unanswered(self, site: &Site) -> Unanswered {
        let behind = self.queue.as_ref().map(|queue| queue.leave(&site.queues)).unwrap_or_default();
        let notifies_itself = matches!(self.dialect, Dialect::Course(_));
        Unanswered { name: self.name, notifies_itself, behind }
    }
}

/// The clients of a subserver, in case it dies before it has answered them.
#[derive(Debug)]
pub(crate) struct Unanswered {
    name: Name,
    /// True for a course client: a subserver that exits with status 1 has closed the private pipe itself. The
    /// names of course clients are used again, so the pipe may belong to another client by now.
    notifies_itself: bool,
    /// The private pipes of the clients that wait for the client's pipe.
    behind: Vec<PathBuf>,
}

impl Unanswered {
    /// Closes the clients' private pipes, so that they retry. A client that was answered has removed its
    /// private pipe.
    pub(crate) fn turn_away(self, exited_with_1: bool, site: &Site) {
        if !(self.notifies_itself && exited_with_1) {
            site.close_when_open(site.place.beside(&self.name));
            self.behind.into_iter().for_each(|private| site.close_when_open(private));
        }
    }
}

fn name_in(private: &Path) -> Name {
    private.file_name().unwrap_or_default().as_bytes().into()
}

fn answer(private: &Path, nonce: u64, kind: Kind, payload: &[u8]) -> Result<FrameWriter> {
    let gone = |errno| Error::cannot_answer(private, errno);
    let mut writer = FrameWriter::new(open_to_write(private).map_err(gone)?, Framing::Stream);
    writer.push(Header { kind, part: Part::ONLY, session: nonce, sequence: 0 }, payload);
    // The answer fits, unless the client has filled its own pipe.
    for _ in 0..ANSWER_TRIES {
        writer.flush().map_err(gone)?;
        if writer.is_empty() {
            return Ok(writer);
        }
    }
    Err(gone(Errno::EAGAIN))
}
