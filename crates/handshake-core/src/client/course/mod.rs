//! The client's side of the course dialect: the course's steps, for any server that a student wrote.
//!
//! Such a server waits in open(2) and read(2) until a client comes. This client never waits in open(2). It
//! opens the well-known pipe only if the pipe has a reader. It opens its own pipe for reading at once, so
//! that the server's open succeeds.

mod session;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::getpid;

use crate::client::private_pipe::{cannot_make, cannot_open, make_and_open, wait_for_server};
use crate::course::{HandshakeSteps, padded, text_of, third_step};
use crate::deadline::{Deadline, Pauses};
use crate::error::{Error, Named, Remedy, Result};
use crate::event::{Event, What, excerpt};
use crate::fifo::{Fifo, open_to_write};
use crate::io::{Filled, read_once, write_record};
use crate::place::Place;
use crate::process::Process;
use crate::stream::new_buffer;
use crate::sys::{lock_exclusively, unlock, unread};

pub use session::CourseSession;

/// The size of the record with the private pipe's name: every server that was tried understands 10 bytes.
const NAME_SIZE: usize = 10;

/// No PID is as large as this (proc(5), pid_max). Our PID plus this number is therefore no other process's
/// name.
const PID_LIMIT: u32 = 1 << 22;

/// How long to wait before the first message. A server without a third step takes it for a message, and its
/// reply comes in this time. A server that detects a third step would take an early message for the third
/// step.
const UNSOLICITED_WAIT: Duration = Duration::from_millis(200);

/// What the user of a client knows of the server.
#[derive(Debug, Clone, Default)]
pub struct CourseClientOptions {
    /// Whether it waits for a third step.
    pub ways: HandshakeSteps,
    /// The one name for a private pipe that it accepts. `None`: it accepts any name.
    pub private_name: Option<OsString>,
    /// The form in which it expects the name.
    pub name_form: NameFormat,
    /// Whether its messages end in a newline, as lines of a terminal do.
    pub newline: bool,
}

/// The form in which a client sends the name of its private pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameFormat {
    /// As text, without a directory.
    #[default]
    Name,
    /// As text, after the directory of the well-known pipe as the user wrote it.
    Path,
    /// As text, after the absolute path of that directory.
    Absolute,
    /// The PID as an integer of 4 bytes.
    Number,
}

/// Connects to the server at `place`, before `deadline`.
///
/// # Errors
/// [`Error::NoServer`], [`Error::NoAnswer`]: the deadline passed. [`Error::Lost`]: the server closed its pipe
/// during the handshake. [`Error::System`]: no private pipe can be made, or the WKP is another user's.
/// [`Error::Signal`].
pub fn connect(
    process: &Rc<Process>,
    place: &Place,
    options: &CourseClientOptions,
    deadline: Deadline,
) -> Result<CourseSession> {
    let mut handshake = Handshake {
        process,
        place,
        options,
        deadline,
        private: None,
        pauses: Pauses::first(),
        obstacle: "there was no time to try",
        turned_away: None,
        buffer: new_buffer(),
    };
    loop {
        // The deadline is judged after the attempt: a client that was stopped for a while has one more
        // attempt.
        let late = deadline.passed();
        if let Some(connection) = handshake.shake_hands()? {
            return Ok(connection);
        }
        if late {
            return Err(handshake.timed_out());
        }
        process.wait(&mut [], handshake.pauses.begin().or(deadline))?;
    }
}

/// A handshake under way.
struct Handshake<'a> {
    process: &'a Rc<Process>,
    place: &'a Place,
    options: &'a CourseClientOptions,
    deadline: Deadline,
    /// Step 3: the private pipe, which has a reader from the start. Dropping it removes the name.
    private: Option<(Fifo, OwnedFd)>,
    pauses: Pauses,
    /// The last reason why the client did not reach a server.
    obstacle: &'static str,
    /// How the last server that took the name turned this client away.
    turned_away: Option<&'static str>,
    /// The buffer for one read of a record.
    buffer: Box<[u8]>,
}

/// Both pipes, once there are two.
struct Pipes {
    from_server: OwnedFd,
    to_server: OwnedFd,
}

impl Handshake<'_> {
    /// Tries all steps once. Returns `None` if the client should retry after a pause.
    fn shake_hands(&mut self) -> Result<Option<CourseSession>> {
        // Step 3.
        let (fifo, from_server) = match self.private.take() {
            Some(private) => private,
            None => self.make_private_pipe()?,
        };
        // Step 4.
        let Some(to_server) = self.connect_and_send_name(&fifo)? else {
            self.private = Some((fifo, from_server));
            return Ok(None);
        };
        let pipes = Pipes { from_server, to_server };
        // Step 5. After the server has turned it away, the client returns with a fresh pipe: the old one
        // would report an EOF from before.
        let Some(ack) = self.wait_for_private_pipe(&fifo, &pipes)? else { return Ok(None) };
        // Step 8.
        let name = text_of(&self.name_record(&fifo)).to_vec();
        self.receive_and_remove_private_pipe(fifo, &ack)?;
        // The third step.
        if let Some(step) = third_step(&ack, &name, self.options.ways) {
            self.confirm(&step, &pipes)?;
            self.wait_until_read(&ack, &pipes)?;
        }
        self.discard_unsolicited_record(&pipes)?;
        // Most WKPs have lost their name by now. A WKP that keeps its name must be free for other clients.
        unlock(&pipes.to_server);
        let buffer = std::mem::take(&mut self.buffer);
        let Pipes { from_server, to_server } = pipes;
        Ok(Some(CourseSession::new(self.process, from_server, to_server, buffer, self.options.newline)))
    }

    /// Step 3: makes the private pipe, and opens it for reading. A file that already has the name is left as
    /// it is.
    fn make_private_pipe(&self) -> Result<(Fifo, OwnedFd)> {
        let mut in_use = None;
        for path in self.private_names() {
            match make_and_open(self.process, &path) {
                Err(Errno::EEXIST) => in_use = Some(path),
                made => return made.map_err(|errno| cannot_make(&path, errno)),
            }
        }
        let (path, errno, hint, remedy) = match &in_use {
            Some(path) => (&**path, Errno::EEXIST, "it is left as it is", Remedy::FreePrivateName),
            None => {
                let hint = "it is the well-known pipe's name";
                (self.place.wkp(), Errno::EINVAL, hint, Remedy::OtherPrivateName)
            }
        };
        Err(Error::at("make the private pipe", path, errno, hint).with_remedy(remedy))
    }

    /// Returns the paths that the private pipe may have: the PID, and larger numbers that no process has. The
    /// WKP's own path is left out, because this client would open its own pipe there.
    fn private_names(&self) -> impl Iterator<Item = PathBuf> {
        let numbers = (getpid().as_raw().cast_unsigned()..).step_by(PID_LIMIT as usize);
        let numbers = numbers.map(|number| number.to_string()).take_while(|name| name.len() < NAME_SIZE);
        let others = if self.options.name_form == NameFormat::Number { 1 } else { usize::MAX };
        let names = match &self.options.private_name {
            Some(name) => vec![name.clone()],
            None => numbers.take(others).map(OsString::from).collect(),
        };
        let paths = names.into_iter().map(|name| self.place.beside(name.as_bytes()));
        paths.filter(|path| path.file_name() != self.place.wkp().file_name())
    }

    /// Step 4: connects to the server and sends the private pipe's name, as the only one in the WKP.
    ///
    /// The client does not check that the WKP still has its name: most servers remove it as soon as the
    /// client's open wakes them.
    fn connect_and_send_name(&mut self, fifo: &Fifo) -> Result<Option<OwnedFd>> {
        let to_server = match open_to_write(self.place.wkp()) {
            Ok(to_server) => to_server,
            Err(Errno::ENOENT) => return self.note_obstacle("ENOENT (no such pipe)"),
            Err(Errno::ENXIO) => return self.note_obstacle("ENXIO (no reader)"),
            Err(errno) => return Err(cannot_open(self.place, errno)),
        };
        // A server reads once, and takes the bytes for one name: of two names, one is lost. Clients like this
        // one therefore lock the pipe until their handshake is over. On a file system without locks, they
        // collide as the course's own clients do.
        if let Err(Errno::EAGAIN | Errno::EACCES) = lock_exclusively(&to_server) {
            return self.note_obstacle("EAGAIN (another client has it)");
        }
        if unread(&to_server).is_ok_and(|bytes| bytes > 0) {
            return self.note_obstacle("EAGAIN (the server has not read another client's name)");
        }
        let wkp = self.place.wkp().display();
        self.process.log(What::WkpOpened, |event| event.pipe(&wkp));
        let record = self.name_record(fifo);
        let event = |event: Event| event.pipe(&wkp).text(fifo.name());
        match self.process.log_around(What::HelloSent, event, || write_record(&to_server, &record)) {
            Ok(()) => Ok(Some(to_server)),
            Err(Errno::EPIPE) => self.note_obstacle("EPIPE (the reader has gone)"),
            Err(Errno::EAGAIN) => self.note_obstacle("EAGAIN (it is full)"),
            Err(errno) => Err(Error::at("write to the well-known pipe", self.place.wkp(), errno, "")),
        }
    }

    /// Returns the record with the private pipe's name, in the form that the server expects.
    fn name_record(&self, fifo: &Fifo) -> Vec<u8> {
        let name = match self.options.name_form {
            NameFormat::Name => fifo.name_bytes().to_vec(),
            NameFormat::Path => fifo.path().as_os_str().as_bytes().to_vec(),
            NameFormat::Absolute => self.place.resolved_beside(&fifo.name()).into_os_string().into_vec(),
            NameFormat::Number => return getpid().as_raw().to_ne_bytes().to_vec(),
        };
        padded(&name, NAME_SIZE.max(name.len() + 1))
    }

    /// Step 5: waits for the acknowledgement. `None`: the server has turned this client away.
    fn wait_for_private_pipe(&mut self, fifo: &Fifo, pipes: &Pipes) -> Result<Option<Vec<u8>>> {
        self.process.log(What::AwaitingAck, |event| event.pipe(fifo.name()));
        loop {
            let late = self.deadline.passed();
            let (shown, server_left) = self.wait(pipes, self.deadline)?;
            // The client reads whatever the wait returned: an acknowledgement may have come just before the
            // server closed its pipe.
            let filled = read_once(&pipes.from_server, &mut self.buffer);
            match filled.map_err(|errno| Error::at("read", fifo.path(), errno, ""))? {
                Filled::Bytes(count) => return Ok(Some(self.buffer[..count].to_vec())),
                Filled::End if shown => {
                    return self.note_turned_away("the server opened the private pipe and closed it again");
                }
                _ if server_left => return self.note_turned_away("the server closed the well-known pipe"),
                filled if late => return Err(self.no_ack(fifo, pipes, filled)),
                _ => {}
            }
        }
    }

    /// Returns the error for a missing acknowledgement: how far the server came, by the state of the pipes.
    /// `filled` is the result of the last read of the private pipe. If it contained no byte, it shows on
    /// Linux whether a writer has the pipe open (EAGAIN), or none ever had (0, and no hang-up).
    fn no_ack(&self, fifo: &Fifo, pipes: &Pipes, filled: Filled) -> Error {
        let name = fifo.name();
        let (seen, remedy) = match (unread(&pipes.to_server), filled) {
            (Ok(1..), _) => (format!("the server has not read the name {name:?}"), Remedy::MoreTime),
            (_, Filled::Nothing) => {
                (format!("the server opened the private pipe {name:?} and wrote nothing"), Remedy::MoreTime)
            }
            _ => {
                let seen = format!("the name {name:?} was read, and nothing opened that pipe for writing");
                (seen, Remedy::TryAgain)
            }
        };
        match self.turned_away {
            Some(before) => self.no_answer(format!("{before}; then {seen}"), Remedy::TryAgain),
            None => self.no_answer(seen, remedy),
        }
    }

    /// Step 8: logs the acknowledgement, and removes the private pipe.
    fn receive_and_remove_private_pipe(&self, fifo: Fifo, ack: &[u8]) -> Result<()> {
        let text = excerpt(text_of(ack));
        self.process.log(What::AckReceived, |event| event.pipe(fifo.name()).bytes(ack.len()).text(text));
        self.process
            .log_around(What::PrivateRemoved, |event| event.pipe(fifo.name()), || fifo.remove())
            .map_err(|errno| Error::on("remove the private pipe", fifo.name(), errno))
    }

    /// Writes the third step.
    fn confirm(&self, step: &[u8], pipes: &Pipes) -> Result<()> {
        let event = |event: Event| event.bytes(step.len()).text(excerpt(text_of(step)));
        self.process.log_around(What::ReadySent, event, || write_record(&pipes.to_server, step)).map_err(
            |errno| Error::lost(format!("the pipe to the server, at the third step: {}", Named(errno))),
        )
    }

    /// Waits until the server has read the third step. If a message came earlier, the server could read both
    /// at once, and the message would be lost. No event reports the read, so this function polls.
    fn wait_until_read(&self, ack: &[u8], pipes: &Pipes) -> Result<()> {
        let mut pauses = Pauses::first();
        loop {
            let late = self.deadline.passed();
            if unread(&pipes.to_server).unwrap_or(0) == 0 {
                return Ok(());
            }
            if late {
                let text = excerpt(text_of(ack));
                let seen = format!("the server said {text:?}, and reads no third step");
                return Err(self.no_answer(seen, Remedy::TwoSteps));
            }
            let mut fds = [PollFd::new(pipes.to_server.as_fd(), PollFlags::empty())];
            self.process.wait(&mut fds, pauses.begin().or(self.deadline))?;
            let has_left = fds[0].any().unwrap_or(false);
            // The server may have read the third step just before.
            if has_left && unread(&pipes.to_server).unwrap_or(0) > 0 {
                return Err(Error::lost(
                    "the server has closed the pipe from us before it read the third step",
                ));
            }
        }
    }

    /// Waits up to 200 ms for a record sent unasked (a two-way server answers the third step) and discards
    /// it. A server that ends after the handshake closes its pipes now. That matters only to a client with a
    /// message to send.
    fn discard_unsolicited_record(&mut self, pipes: &Pipes) -> Result<()> {
        let until = Deadline::in_exactly(UNSOLICITED_WAIT);
        loop {
            let late = until.passed();
            let (shown, server_left) = self.wait(pipes, until)?;
            let filled = read_once(&pipes.from_server, &mut self.buffer);
            match filled
                .map_err(|errno| Error::lost(format!("the pipe from the server: {}", Named(errno))))?
            {
                Filled::Bytes(count) => {
                    let text = excerpt(text_of(&self.buffer[..count]));
                    self.process.log(What::Skipped, |event| event.bytes(count).text(text));
                    return Ok(());
                }
                Filled::End if shown => return Ok(()),
                _ if server_left || late => return Ok(()),
                _ => {}
            }
        }
    }

    fn wait(&self, Pipes { from_server, to_server }: &Pipes, until: Deadline) -> Result<(bool, bool)> {
        wait_for_server(self.process, from_server, to_server, until)
    }

    /// Records why no server takes the name now.
    fn note_obstacle<T>(&mut self, obstacle: &'static str) -> Result<Option<T>> {
        self.obstacle = obstacle;
        Ok(None)
    }

    /// Records how a server that took the name turned this client away.
    fn note_turned_away<T>(&mut self, how: &'static str) -> Result<Option<T>> {
        self.process.log(What::TryingAgain, |event| event.text(how));
        self.turned_away = Some(how);
        Ok(None)
    }

    fn timed_out(&self) -> Error {
        match self.turned_away {
            Some(how) => self.no_answer(how.into(), Remedy::TryAgain),
            None => Error::NoServer { path: self.place.wkp().into(), because: self.obstacle },
        }
    }

    fn no_answer(&self, seen: String, remedy: Remedy) -> Error {
        Error::NoAnswer { path: self.place.wkp().into(), seen, remedy }
    }
}
