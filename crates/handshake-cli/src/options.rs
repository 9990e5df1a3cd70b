//! The options that several commands share, and their conversion into the library's types.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use handshake_core::course::HandshakeSteps;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::event::Role;
use handshake_core::event_log::EventLog;
use handshake_core::limits::Limits;
use handshake_core::process::Process;
use handshake_core::server::course::open::CourseOptions;
use handshake_core::server::options::Options;
use handshake_core::server::options::SessionLimits;
use handshake_core::service::BuiltIn;
use handshake_core::sys;
use handshake_core::wait::signals::Handling;
use handshake_core::wait::spin::WaitMode;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::colour::ColourArgs;
use crate::messages::{observer, report};
use crate::values::{duration, handshake_steps, record_size, size, wait_mode};

/// The options of servers and clients.
#[derive(Debug, Args)]
pub struct Common {
    /// The well-known pipe
    #[arg(long, value_name = "PATH", default_value = "mario", env = "HANDSHAKE_WKP")]
    pub wkp: PathBuf,

    /// Append a JSON line to FILE for every step
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// Read one byte from FD after each event before going on
    #[arg(long, value_name = "FD")]
    gate: Option<RawFd>,

    /// How to wait: adaptive (spin for a moment where that has paid off lately, then sleep) or block (sleep
    /// at once)
    #[arg(long, value_name = "HOW", default_value = "adaptive", value_parser = wait_mode)]
    wait: WaitMode,

    #[command(flatten)]
    colour: ColourArgs,

    /// Print only errors on stderr
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Report every step on stderr
    #[arg(short, long)]
    pub verbose: bool,
}

impl Common {
    /// Sets up this process: event log, messages on stderr, and signals. It takes over the file descriptors
    /// named on the command line before it opens anything else.
    ///
    /// # Errors
    /// A file descriptor is not open, or a file cannot be opened.
    pub fn start(&self, role: Role) -> Result<Rc<Process>> {
        self.colour.choose();
        let gate = self.gate.map(|fd| adopt("--gate", fd)).transpose()?;
        let events = self.events.as_ref().map(open_events).transpose()?;
        let observer = (!self.quiet).then(|| observer(self.verbose));
        let process = Process::start(Handling::All, role, EventLog::new(events, gate, observer))?;
        process.keep_signals();
        process.set_wait_mode(self.wait);
        Ok(Rc::new(process))
    }
}

/// Opens the event log, and never blocks. A FIFO is opened for reading as well, so that its reader may come
/// late, leave, and come back (fifo(7)).
fn open_events(path: &PathBuf) -> Result<File> {
    let is_fifo = fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
    let options = &mut OpenOptions::new();
    options.append(true).read(is_fifo).create(true).mode(0o600).custom_flags(OFlag::O_NONBLOCK.bits());
    options.open(path).map_err(|error| {
        Error::at("open the event log", path, errno_of(&error), "name a file that can be written to")
    })
}

fn adopt(option: &str, fd: RawFd) -> Result<OwnedFd> {
    sys::adopt(fd).map_err(|errno| {
        let hint = format!("the program that starts this one with {option} {fd} must leave it open");
        Error::on("use", format!("descriptor {fd}"), errno).with_hint(hint)
    })
}

/// The options of all servers.
#[derive(Debug, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    common: Common,

    /// What to do with a message: echo, upper, reverse, rot13, count, sleep:MS
    #[arg(long, value_name = "NAME", default_value_t)]
    service: BuiltIn,

    /// The longest message that a client may send; suffixes K, M, G
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = size)]
    max_message: usize,

    /// How long a client may take to confirm the acknowledgement; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration)]
    handshake_timeout: Duration,

    /// How long a client may be silent during its session; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = duration)]
    idle_timeout: Duration,

    /// How long running requests may take after the server is asked to end; 0: no time
    #[arg(long, value_name = "DUR", default_value = "2s", value_parser = duration)]
    grace: Duration,

    #[command(flatten)]
    course: CourseArgs,

    /// Write a newline to FD once clients can connect
    #[arg(long, value_name = "FD")]
    ready_fd: Option<RawFd>,
}

/// What course clients expect where their names do not show it (docs/course-dialect.md).
#[derive(Debug, Args)]
struct CourseArgs {
    /// For course clients: the acknowledgement, with @name for the client's own name [default: HOLA, or what
    /// the name's form asks for]
    #[arg(long, value_name = "TEXT")]
    ack: Option<String>,

    /// For course clients: the acknowledgement's bytes, zero-padded or cut [default: its text and a NUL]
    #[arg(long, value_name = "N", value_parser = record_size)]
    ack_size: Option<usize>,

    /// For course clients: the steps of their handshake: 2, 3 (they confirm the acknowledgement), or auto
    /// (detect)
    #[arg(long, value_name = "WAYS", default_value = "auto", value_parser = handshake_steps)]
    handshake: HandshakeSteps,

    /// For course clients: how long one may wait until another client leaves the pipe that both used; 0: for
    /// ever
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = duration)]
    queue_timeout: Duration,
}

impl CourseArgs {
    fn meant(&self) -> CourseOptions {
        CourseOptions { ack: self.ack.clone(), ack_size: self.ack_size, ways: self.handshake }
    }
}

impl ServerArgs {
    /// Sets up this process, and returns it with the options of its server.
    ///
    /// # Errors
    /// As [`Common::start`].
    pub fn start(&self) -> Result<(Rc<Process>, Options)> {
        if self.ready_fd.is_some() && self.ready_fd == self.common.gate {
            let object = "one descriptor for --ready-fd and --gate";
            return Err(Error::on("use", object, Errno::EINVAL).with_hint("give each its own"));
        }
        let ready = self.ready_fd.map(|fd| adopt("--ready-fd", fd)).transpose()?;
        let process = self.common.start(Role::Server)?;
        let service = self.service;
        let limits = SessionLimits {
            longest: self.max_message,
            handshake_timeout: self.handshake_timeout,
            idle_timeout: self.idle_timeout,
            queue_timeout: self.course.queue_timeout,
            grace: self.grace,
        };
        let mut options = Options::at(&self.common.wkp).service(move || service).limits(limits);
        options.course = self.course.meant();
        options.ready = ready;
        Ok((Rc::clone(&process), options.in_process(&process)))
    }

    /// The most clients at a time: `asked`, or else as many as the limits of this process allow. The function
    /// raises these limits first; with `-v`, it reports them.
    pub fn max_clients(&self, asked: Option<usize>, descriptors_each: u64) -> usize {
        let limits = Limits::raise();
        let carried = limits.clients(descriptors_each);
        let most = asked.unwrap_or(carried);
        if self.common.verbose {
            let beyond =
                if most > carried { format!(", and these limits carry {carried}") } else { String::new() };
            report(Role::Server, &format!("may have {limits}: at most {} at a time{beyond}", counted(most)));
        }
        most
    }
}

fn counted(clients: usize) -> String {
    format!("{clients} client{}", if clients == 1 { "" } else { "s" })
}
