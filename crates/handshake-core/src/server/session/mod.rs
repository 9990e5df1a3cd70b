//! The server's side of a session: `receive`, `process` and `reply`, the course's `read`, `process` and
//! `write`.
//!
//! `confirmation` waits for READY first. `incoming` puts a request together from its frames. `io` has the
//! mechanics. What differs for a client of the course dialect is in `dialect`, and for that client in
//! `course`.

mod confirmation;
mod course;
mod dialect;
mod incoming;
mod io;

use std::rc::Rc;

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::error::{Error, Result, SHUTTING_DOWN};
use crate::event::{Event, What};
use crate::fifo::Fifo;
use crate::process::Process;
use crate::server::options::SessionLimits;
use crate::service::{Request, Response, Service};
use crate::strays::{drain, note_skipped};
use crate::stream::{FrameReader, FrameWriter};
use crate::text::words;
use crate::wire::{Kind, pieces};
use confirmation::Confirmation;
use dialect::Dialect;
use incoming::{Added, Incoming, Taken};
use io::{Turn, gone};

/// The process between a client and its subserver (central dispatch), as the subserver sees it.
pub trait Dispatcher {
    /// The session has taken this many frames of the client, and is about to answer them.
    fn answered(&mut self, frames: usize);

    /// The client seems idle. Only the process that reads its pipe can check that. It answers IDLE if no
    /// bytes are there.
    fn ask(&mut self);
}

/// A session with one client. Dropping it closes both pipes, which the client notices at once.
pub struct Session {
    process: Rc<Process>,
    id: u64,
    limits: SessionLimits,
    from_client: FrameReader,
    to_client: FrameWriter,
    /// Events for the replies that are queued, to be logged when they are written.
    queued: Vec<Event>,
    /// A fresh upstream that still has its name.
    fresh: Option<Fifo>,
    /// The request that is being received.
    incoming: Incoming,
    /// The number of the request last received, to be answered next. 0: none yet.
    in_hand: u32,
    /// Once this process was asked to end: how often it still reads.
    last_reads: Option<usize>,
    /// The upstream is at EOF: no more bytes will come.
    input_ended: bool,
    /// The service has ended the session.
    ended_by_service: bool,
    /// In dispatch: the central process, which reads what the client writes.
    dispatcher: Option<Box<dyn Dispatcher>>,
    dialect: Dialect,
    confirmation: Confirmation,
    /// The missed deadline, in words, about which the central process was asked. `None` after a frame has
    /// come since.
    asked: Option<&'static str>,
}

/// What the buffered frames contain.
enum Found {
    /// A complete request.
    Request,
    /// The client's (or the central process's) BYE, with the reason, if any.
    Bye(Vec<u8>),
    /// No complete message.
    Nothing,
}

impl Session {
    /// Begins a session whose number, `id`, the ACK contains.
    pub fn new(
        process: &Rc<Process>,
        id: u64,
        limits: SessionLimits,
        from_client: FrameReader,
        to_client: FrameWriter,
        fresh: Option<Fifo>,
    ) -> Self {
        let process = Rc::clone(process);
        Self {
            process,
            id,
            limits,
            from_client,
            to_client,
            queued: Vec::new(),
            fresh,
            incoming: Incoming::default(),
            last_reads: None,
            in_hand: 0,
            input_ended: false,
            ended_by_service: false,
            dispatcher: None,
            dialect: Dialect::Framed,
            confirmation: Confirmation::Ready,
            asked: None,
        }
    }

    /// Sets the central process, which reads what the client writes and passes it on.
    #[must_use]
    pub fn via(mut self, dispatcher: impl Dispatcher + 'static) -> Self {
        self.dispatcher = Some(Box::new(dispatcher));
        self
    }

    /// Receives the next request into `message`, which is emptied first. Writes the replies so far before it
    /// waits.
    ///
    /// Returns `false` when the session is over in good order. The client said BYE or closed its pipe, or
    /// this process was asked to end and has answered all received requests.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone, or was idle for too long. [`Error::Protocol`]: the client broke
    /// the protocol.
    pub fn receive(&mut self, message: &mut Vec<u8>) -> Result<bool> {
        message.clear();
        if self.ended_by_service {
            return self.over("the service", "the service has ended the session");
        }
        loop {
            self.judge_grace()?;
            match self.find(message)? {
                Found::Request => return Ok(true),
                Found::Bye(reason) if self.dispatcher.is_some() => return self.over("BYE", &words(&reason)),
                // A client's BYE has no reason.
                Found::Bye(_) => return self.over("BYE", ""),
                Found::Nothing if self.input_ended => return self.over("the end of its pipe", ""),
                Found::Nothing if self.last_reads == Some(0) => {
                    return self.over("the order to end", SHUTTING_DOWN);
                }
                Found::Nothing => {}
            }
            note_skipped(&mut self.from_client, Some(self.id), &self.process);
            if self.process.asked_to_end().is_some() {
                if self.process.parent_died() {
                    return Err(self.bye("the server has died"));
                }
                self.read_what_has_come()?;
            } else {
                match self.turn(Deadline::after(self.limits.idle_timeout))? {
                    Turn::Deadline => self.deadline_passed("nothing came or went within the idle timeout")?,
                    // Its BYE may still be on the way through the central process.
                    Turn::Left => return self.over("the end of its private pipe", ""),
                    Turn::Moved | Turn::Signal => {}
                }
            }
        }
    }

    /// Appends buffered frames to `message` until it is complete or no frame is left.
    fn find(&mut self, message: &mut Vec<u8>) -> Result<Found> {
        if self.dialect.next_message(message) {
            return Ok(self.found_request(message));
        }
        while let Some((frame, _)) = self.from_client.next_frame() {
            if frame.header.session != self.id {
                continue;
            }
            match frame.header.kind {
                Kind::Ready if self.confirmation == Confirmation::Ready => {
                    self.confirmation = Confirmation::Over;
                    self.asked = None;
                    self.process.log(What::ReadyReceived, |event| event.session(self.id));
                    return Ok(Found::Nothing);
                }
                Kind::Request if self.confirmation == Confirmation::Ready => {}
                Kind::Request => {
                    let added = self.incoming.add(&frame, message, self.limits.longest);
                    self.asked = None;
                    match added {
                        Added::Part => {}
                        Added::Last => match self.dialect.take(message, &mut self.confirmation) {
                            Taken::Request => return Ok(self.found_request(message)),
                            Taken::Nothing => self.answered(),
                            Taken::Confirmation { alone } => {
                                if alone {
                                    self.answered();
                                }
                                return Ok(Found::Nothing);
                            }
                        },
                        Added::LastOf(bytes) => self.refuse_too_long(bytes)?,
                        Added::NotDue(what) => {
                            self.bye(&what);
                            return Err(Error::Protocol { what });
                        }
                    }
                }
                Kind::Bye => return Ok(Found::Bye(frame.payload().into_owned())),
                // The bytes behind it are a message.
                Kind::Idle if self.handle_idle()? => return Ok(Found::Nothing),
                _ => {}
            }
        }
        Ok(Found::Nothing)
    }

    fn found_request(&mut self, message: &[u8]) -> Found {
        self.in_hand = self.in_hand.wrapping_add(1);
        self.process
            .log(What::RequestReceived, |event| event.session(self.id).message(self.in_hand, message));
        Found::Request
    }

    fn refuse_too_long(&mut self, bytes: usize) -> Result<()> {
        self.in_hand = self.in_hand.wrapping_add(1);
        self.answered();
        let longest = self.limits.longest;
        self.refuse(&if bytes > longest {
            format!("its {bytes} bytes are more than the {longest} that this server takes")
        } else {
            format!("its {bytes} bytes are more than this server has memory for now")
        })
    }

    /// Lets the service answer the request. While the service delays its answer, the session watches the
    /// client and the signals.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone, or the grace is over.
    pub fn process(
        &mut self,
        service: &mut dyn Service,
        message: &mut Vec<u8>,
        response: &mut Response,
    ) -> Result<()> {
        self.answered();
        response.clear();
        service.call(Request::new(message, self.id, self.in_hand), response);
        if response.delay.is_zero() {
            return Ok(());
        }
        let until = Deadline::in_exactly(response.delay);
        while !until.passed() {
            if self.turn(until.or(self.end_of_grace()))? == Turn::Left {
                return Err(gone(Errno::EPIPE));
            }
            self.judge_grace()?;
        }
        Ok(())
    }

    /// Queues the answer to the request received last, and writes it at once only if much is queued.
    /// [`Session::receive`] writes the queue before it waits: one write takes many small replies.
    ///
    /// # Errors
    /// [`Error::Lost`]: the client has gone.
    pub fn reply(&mut self, response: &Response) -> Result<()> {
        self.ended_by_service = response.ends;
        let message = response.bytes();
        if response.refuses() {
            return self.refuse(&String::from_utf8_lossy(message));
        }
        if message.len() > self.limits.longest {
            let bytes = message.len();
            return self
                .refuse(&format!("the reply would be {bytes} bytes long, more than this server sends"));
        }
        pieces(message).try_for_each(|(payload, part)| self.queue(Kind::Reply, part, payload))?;
        // After its frames: what was written to make room for them is older.
        let event = |event: Event| event.session(self.id).message(self.in_hand, message);
        self.queued.extend(self.process.describe(What::ReplySent, event));
        Ok(())
    }
}

impl Drop for Session {
    /// Handles the names that other clients wrote into this pipe because they had opened it before it became
    /// this client's.
    fn drop(&mut self) {
        if self.from_client.is_open_to_others() || self.from_client.has_cut() {
            drain(&mut self.from_client, self.id, &self.process);
        }
    }
}
