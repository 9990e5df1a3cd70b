//! The client's side of the course dialect: the course's steps, with whoever serves them.
//!
//! Such a server opens pipes and reads and waits there until somebody comes. This client does not: no open of its own
//! waits, and what it opens finds a reader already, or lets the server's open find one.

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

use crate::client::private_pipe::{cannot_make, cannot_open, make_and_open};
use crate::course::{HandshakeSteps, padded, text_of, third_step};
use crate::deadline::{Deadline, Pauses};
use crate::error::{Error, Named, Result};
use crate::event::{Event, What, excerpt};
use crate::fifo::{Fifo, open_to_write};
use crate::io::write_record;
use crate::io::{Filled, read_once};
use crate::place::Place;
use crate::process::Process;
use crate::stream::new_buffer;
use crate::sys::{keep_others_off, let_others_in, unread};

pub use session::Connection;

/// The size of the record with the private pipe's name: every server that was tried understands 10 bytes.
const NAME_SIZE: usize = 10;

/// No process number is as large as this (proc(5), pid_max): so this added to ours is nobody else's.
const PID_LIMIT: u32 = 1 << 22;

/// How long to wait before the first message. A server that knows of no third step takes it for a message, and answers
/// meanwhile; and one that finds out by itself takes what comes at once for a third step, even where there was none.
const UNASKED: Duration = Duration::from_millis(200);

/// What to try when no acknowledgement came.
const NO_ACK: &str = "another client may have been quicker: try again; or try the --private-name that the \
                      server expects, or --dialect framed";
/// What to try when the server has not come so far.
const TOO_SOON: &str = "it may be stopped or busy with another client: try a longer --timeout";

/// What the user of a client knows of the server.
#[derive(Debug, Clone, Default)]
pub struct CourseClientOptions {
    /// Whether it waits for a third step.
    pub ways: HandshakeSteps,
    /// The one name for a private pipe that it knows; else it takes any.
    pub private_name: Option<OsString>,
    /// How it wants to be told the name.
    pub name_form: NameFormat,
    /// Whether its messages end in a newline, as lines of a terminal do.
    pub newline: bool,
}

/// How a client says the name of its private pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameFormat {
    /// As text, without a directory.
    #[default]
    Name,
    /// As text, after the directory of the well-known pipe as the user wrote it.
    Path,
    /// As text, after that directory from the root on.
    Absolute,
    /// The process number as an integer of 4 bytes.
    Number,
}

/// Connects to the server at `place`, at the latest until `deadline`.
///
/// # Errors
/// [`Error::NoServer`], [`Error::NoAnswer`]: the deadline passed. [`Error::Lost`]: the server went away in the middle.
/// [`Error::System`]: no private pipe can be made, or the WKP is another user's. [`Error::Signal`].
pub fn connect(
    process: &Rc<Process>,
    place: &Place,
    manner: &CourseClientOptions,
    deadline: Deadline,
) -> Result<Connection> {
    let mut handshake = Handshake {
        process,
        place,
        manner,
        deadline,
        private: None,
        pauses: Pauses::new(),
        obstacle: "there was no time to try",
        turned_away: None,
        buffer: new_buffer(),
    };
    loop {
        // First the try, then the judgement: who was stopped for a while has one more.
        let late = deadline.passed();
        if let Some(connection) = handshake.shake_hands()? {
            return Ok(connection);
        }
        if late {
            return Err(handshake.given_up());
        }
        process.wait(&mut [], handshake.pauses.begin().or(deadline))?;
    }
}

/// A handshake under way.
struct Handshake<'a> {
    process: &'a Rc<Process>,
    place: &'a Place,
    manner: &'a CourseClientOptions,
    deadline: Deadline,
    private: Option<PrivatePipe>,
    pauses: Pauses,
    /// The last reason for not getting through to a server.
    obstacle: &'static str,
    /// How the last server that took the name sent us away.
    turned_away: Option<&'static str>,
    /// One read of a record goes here.
    buffer: Box<[u8]>,
}

/// Step 3: the private pipe, with a reader from the first moment on.
struct PrivatePipe {
    /// Dropping it removes the name.
    fifo: Fifo,
    from_server: OwnedFd,
}

/// Both pipes, once there are two.
struct Pipes {
    from_server: OwnedFd,
    to_server: OwnedFd,
}

impl Handshake<'_> {
    /// The steps, once; `None`: try again after a pause.
    fn shake_hands(&mut self) -> Result<Option<Connection>> {
        // Step 3.
        let private = match self.private.take() {
            Some(private) => private,
            None => self.make_private_pipe()?,
        };
        // Step 4.
        let Some(to_server) = self.connect_and_send_name(&private.fifo)? else {
            self.private = Some(private);
            return Ok(None);
        };
        let PrivatePipe { fifo, from_server } = private;
        let pipes = Pipes { from_server, to_server };
        // Step 5. Who was sent away comes back with a fresh pipe: one that was open before shows an end that is none.
        let Some(ack) = self.wait_for_private_pipe(&fifo, &pipes)? else { return Ok(None) };
        // Step 8.
        let name = text_of(&self.name_record(&fifo)).to_vec();
        self.receive_and_remove_private_pipe(fifo, &ack)?;
        // The third step.
        if let Some(step) = third_step(&ack, &name, self.manner.ways) {
            self.confirm(&step, &pipes)?;
            self.wait_until_read(&ack, &pipes)?;
        }
        self.throw_away_what_nobody_asked_for(&pipes)?;
        // Most WKPs have lost their name by now; one that keeps it is for others as well.
        let_others_in(&pipes.to_server);
        let buffer = std::mem::take(&mut self.buffer);
        let Pipes { from_server, to_server } = pipes;
        Ok(Some(Connection::new(self.process, from_server, to_server, buffer, self.manner.newline)))
    }

    /// Step 3: makes the private pipe, and opens it for reading. What stands at its name already is left as it is.
    fn make_private_pipe(&self) -> Result<PrivatePipe> {
        let mut in_use = None;
        for path in self.private_names() {
            match make_and_open(self.process, &path) {
                Ok((fifo, from_server)) => return Ok(PrivatePipe { fifo, from_server }),
                Err(Errno::EEXIST) => in_use = Some(path),
                Err(errno) => return Err(cannot_make(&path, errno)),
            }
        }
        let failed = |path, errno, hint| Err(Error::at("make the private pipe", path, errno, hint));
        match in_use {
            Some(path) => failed(
                &path,
                Errno::EEXIST,
                "it is left as it is: choose another --private-name, or remove it",
            ),
            None => failed(
                self.place.wkp(),
                Errno::EINVAL,
                "it is the well-known pipe's name: choose another --private-name",
            ),
        }
    }

    /// The paths that the private pipe may have: the process number, and others that no process has. Not the WKP's own, where
    /// this client would meet itself.
    fn private_names(&self) -> impl Iterator<Item = PathBuf> {
        let numbers = (getpid().as_raw().cast_unsigned()..).step_by(PID_LIMIT as usize);
        let numbers = numbers.map(|number| number.to_string()).take_while(|name| name.len() < NAME_SIZE);
        let others = if self.manner.name_form == NameFormat::Number { 1 } else { usize::MAX };
        let names = match &self.manner.private_name {
            Some(name) => vec![name.clone()],
            None => numbers.take(others).map(OsString::from).collect(),
        };
        let paths = names.into_iter().map(|name| self.place.beside(&name));
        paths.filter(|path| path.file_name() != self.place.wkp().file_name())
    }

    /// Step 4: connects to the server and sends the private pipe's name, as the only one in the WKP.
    ///
    /// That the WKP has lost its name already says nothing here: most servers remove it as soon as our open wakes them.
    fn connect_and_send_name(&mut self, fifo: &Fifo) -> Result<Option<OwnedFd>> {
        let to_server = match open_to_write(self.place.wkp()) {
            Ok(to_server) => to_server,
            Err(Errno::ENOENT) => return self.not_now("ENOENT (no such pipe)"),
            Err(Errno::ENXIO) => return self.not_now("ENXIO (no reader)"),
            Err(errno) => return Err(cannot_open(self.place, errno)),
        };
        // A server reads once, and takes what comes for one name: of two, one is lost. So clients like this one keep each other
        // off until they have shaken hands. Where a file system has no locks, they meet as the course's own clients do.
        if let Err(Errno::EAGAIN | Errno::EACCES) = keep_others_off(&to_server) {
            return self.not_now("EAGAIN (another client has it)");
        }
        if unread(&to_server).is_ok_and(|bytes| bytes > 0) {
            return self.not_now("EAGAIN (nobody reads the name that another client has sent)");
        }
        let wkp = self.place.wkp().display();
        self.process.log(What::WkpOpened, |event| event.pipe(&wkp));
        let record = self.name_record(fifo);
        let event = |event: Event| event.pipe(&wkp).text(fifo.name());
        match self.process.log_around(What::HelloSent, event, || write_record(&to_server, &record)) {
            Ok(()) => Ok(Some(to_server)),
            Err(Errno::EPIPE) => self.not_now("EPIPE (the reader has gone)"),
            Err(Errno::EAGAIN) => self.not_now("EAGAIN (it is full)"),
            Err(errno) => Err(Error::at("write to the well-known pipe", self.place.wkp(), errno, "")),
        }
    }

    /// The private pipe's name, as the server wants to be told it.
    fn name_record(&self, fifo: &Fifo) -> Vec<u8> {
        let name = match self.manner.name_form {
            NameFormat::Name => fifo.name_bytes(),
            NameFormat::Path => fifo.path().as_os_str().as_bytes().to_vec(),
            NameFormat::Absolute => self.place.resolved_beside(&fifo.name()).into_os_string().into_vec(),
            NameFormat::Number => return getpid().as_raw().to_ne_bytes().to_vec(),
        };
        padded(&name, NAME_SIZE.max(name.len() + 1))
    }

    /// Step 5: waits for the acknowledgement. `None`: the server has sent us away.
    fn wait_for_private_pipe(&mut self, fifo: &Fifo, pipes: &Pipes) -> Result<Option<Vec<u8>>> {
        self.process.log(What::AwaitingAck, |event| event.pipe(fifo.name()));
        loop {
            let late = self.deadline.passed();
            let (shown, server_left) = pipes.wait(self.process, self.deadline)?;
            // Whatever the wait showed: an acknowledgement may have come just before the server let go.
            let filled = read_once(&pipes.from_server, &mut self.buffer);
            match filled.map_err(|errno| Error::at("read", fifo.path(), errno, ""))? {
                Filled::Bytes(count) => return Ok(Some(self.buffer[..count].to_vec())),
                Filled::End if shown => {
                    return self.sent_away("the server opened the private pipe and closed it again");
                }
                _ if server_left => return self.sent_away("the server let go of the well-known pipe"),
                filled if late => return Err(self.no_ack(fifo, pipes, filled)),
                _ => {}
            }
        }
    }

    /// How far the server came, as its ends of the pipes tell; `filled` is what the last read of the private
    /// pipe gave. Without a byte, that says on Linux whether a writer has the pipe open (EAGAIN) or none ever
    /// had (0, and no hang-up).
    fn no_ack(&self, fifo: &Fifo, pipes: &Pipes, filled: Filled) -> Error {
        let name = fifo.name();
        let (seen, hint) = match (unread(&pipes.to_server), filled) {
            (Ok(1..), _) => (format!("the server has not read the name {name:?}"), TOO_SOON),
            (_, Filled::Nothing) => {
                (format!("the server opened the private pipe {name:?} and wrote nothing"), TOO_SOON)
            }
            _ => {
                let seen = format!("the name {name:?} was read, and nothing opened that pipe for writing");
                (seen, NO_ACK)
            }
        };
        match self.turned_away {
            Some(before) => self.no_answer(format!("{before}; then {seen}"), NO_ACK),
            None => self.no_answer(seen, hint),
        }
    }

    /// Step 8: has the acknowledgement, and removes the private pipe.
    fn receive_and_remove_private_pipe(&self, fifo: Fifo, ack: &[u8]) -> Result<()> {
        let name = fifo.name();
        let text = excerpt(text_of(ack));
        self.process.log(What::AckReceived, |event| event.pipe(&name).bytes(ack.len()).text(text));
        self.process
            .log_around(What::PrivateRemoved, |event| event.pipe(&name), || fifo.remove())
            .map_err(|errno| Error::on("remove the private pipe", &name, errno))
    }

    /// The third step.
    fn confirm(&self, step: &[u8], pipes: &Pipes) -> Result<()> {
        let event = |event: Event| event.bytes(step.len()).text(excerpt(text_of(step)));
        self.process
            .log_around(What::ReadySent, event, || write_record(&pipes.to_server, step))
            .map_err(|errno| lost(format!("the pipe to the server, at the third step: {}", Named(errno))))
    }

    /// Waits until the server has read the third step: a message that comes while that is in the pipe would be lost in the
    /// same read. There is nothing to poll for, so this looks again and again.
    fn wait_until_read(&self, ack: &[u8], pipes: &Pipes) -> Result<()> {
        let mut pauses = Pauses::new();
        loop {
            let late = self.deadline.passed();
            if unread(&pipes.to_server).unwrap_or(0) == 0 {
                return Ok(());
            }
            if late {
                let text = excerpt(text_of(ack));
                let seen = format!("the server said {text:?}, and reads no third step");
                return Err(self.no_answer(seen, "try --handshake 2"));
            }
            let mut fds = [PollFd::new(pipes.to_server.as_fd(), PollFlags::empty())];
            self.process.wait(&mut fds, pauses.begin().or(self.deadline))?;
            let has_left = fds[0].any().unwrap_or(false);
            // It may have read the third step just before.
            if has_left && unread(&pipes.to_server).unwrap_or(0) > 0 {
                return Err(lost(
                    "the server has closed the pipe from us before it read the third step".into(),
                ));
            }
        }
    }

    /// Waits for what a server may say to the third step, or without a reason. A server that only shakes hands leaves now,
    /// which matters only to a client that has something to say.
    fn throw_away_what_nobody_asked_for(&mut self, pipes: &Pipes) -> Result<()> {
        let until = Deadline::in_exactly(UNASKED);
        loop {
            let late = until.passed();
            let (shown, server_left) = pipes.wait(self.process, until)?;
            let filled = read_once(&pipes.from_server, &mut self.buffer);
            match filled.map_err(|errno| lost(format!("the pipe from the server: {}", Named(errno))))? {
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

    /// No server takes the name now.
    fn not_now<T>(&mut self, obstacle: &'static str) -> Result<Option<T>> {
        self.obstacle = obstacle;
        Ok(None)
    }

    /// A server took the name, and will not answer.
    fn sent_away<T>(&mut self, how: &'static str) -> Result<Option<T>> {
        self.process.log(What::TryingAgain, |event| event.text(how));
        self.turned_away = Some(how);
        Ok(None)
    }

    fn given_up(&self) -> Error {
        match self.turned_away {
            Some(how) => self.no_answer(how.into(), NO_ACK),
            None => Error::NoServer { path: self.place.wkp().into(), because: self.obstacle },
        }
    }

    fn no_answer(&self, seen: String, hint: &'static str) -> Error {
        Error::NoAnswer { path: self.place.wkp().into(), seen, hint }
    }
}

impl Pipes {
    /// Waits until the private pipe shows something, or the WKP that it has no reader left: says which.
    fn wait(&self, process: &Process, until: Deadline) -> Result<(bool, bool)> {
        let mut fds = [
            PollFd::new(self.from_server.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.to_server.as_fd(), PollFlags::empty()),
        ];
        process.wait(&mut fds, until)?;
        let [shown, server_left] = fds.map(|fd| fd.any().unwrap_or(false));
        Ok((shown, server_left))
    }
}

fn lost(what: String) -> Error {
    Error::Lost { what, unanswered: 0 }
}
