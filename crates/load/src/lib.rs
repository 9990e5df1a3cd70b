//! `lab load`: many connections to one server, all in this process, with every reply checked.
//!
//! Reading order: [`run`]; then the event loop in `crowd`, one connection in `worker` and its session in
//! `session`. They use [`tally`] and [`many`]. The result is a [`Report`]. Deliberately absent:
//! threads, and more than one place that blocks. Each connection sends as soon as it is connected, and leaves
//! when it has its answers. So a server with one client at a time can be measured like the others.

mod crowd;
mod worker;

mod session;

mod shared;

pub mod many;
pub mod tally;

pub mod report;

use std::io::{ErrorKind, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use handshake_cli::{Status, at_least_one, complain, duration, size};
use handshake_core::deadline::Deadline;
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::place::Place;
use handshake_core::process::Process;
use handshake_core::service::BuiltIn;
use handshake_core::wait::spin::WaitMode;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::read;

use crowd::Crowd;
use report::{Asked, Usage};
pub use report::{Latency, Report};

/// File descriptors for everything but connections: the standard ones, the poller, and those that the shell
/// left open.
const OWN_DESCRIPTORS: u64 = 16;

/// A connection holds its private pipe and its upstream; a handshake holds the private pipe and the
/// well-known one.
const DESCRIPTORS_EACH: u64 = 2;

/// Open many connections to a server, check every reply, and measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The well-known pipe
    #[arg(long, value_name = "PATH", default_value = "mario", env = "HANDSHAKE_WKP")]
    wkp: PathBuf,

    /// How many connections to open
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    connections: usize,

    /// How many requests to send on each connection; with --connect-only, how many handshakes, one after the
    /// other
    #[arg(long, value_name = "R", default_value = "1000", value_parser = at_least_one)]
    requests: usize,

    /// The length of each request; suffixes K, M, G
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    payload: usize,

    /// The most requests of a connection that may be unanswered at a time
    #[arg(long, value_name = "W", default_value = "1", value_parser = at_least_one)]
    window: usize,

    /// Only connect and leave, again and again
    #[arg(long)]
    connect_only: bool,

    /// How many extra requests each connection sends before the timed ones; their replies are checked as well
    #[arg(long, value_name = "N", default_value = "0")]
    warm_up: usize,

    /// Keep every connection open after its answers; print the report, and leave at the end of stdin
    #[arg(long, conflicts_with = "connect_only")]
    hold: bool,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,

    /// With --json, print the distribution of latencies as well
    #[arg(long, requires = "json")]
    histogram: bool,

    /// The service whose replies are expected: echo, upper, reverse, rot13, count, sleep:MS
    #[arg(long, value_name = "SERVICE", default_value_t = BuiltIn::Echo)]
    expect: BuiltIn,

    /// How to wait: adaptive (spin for a moment where that has paid off lately, then sleep) or block (sleep
    /// at once)
    #[arg(long, value_name = "HOW", default_value_t)]
    wait: WaitMode,

    /// How long a handshake may take, and how long a connection may wait for its next answer; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

/// What to do.
#[derive(Debug, Clone)]
struct Plan {
    place: Place,
    connections: usize,
    /// How many handshakes each connection makes, one after the other.
    handshakes: usize,
    /// How many requests each session sends, the warm-up included.
    requests: usize,
    /// How many of the first requests are not timed.
    warm_up: usize,
    payload: usize,
    window: usize,
    connect_only: bool,
    /// Whether connections stay open when they are done.
    hold: bool,
    expect: BuiltIn,
    timeout: Duration,
}

impl Args {
    fn plan(&self) -> Result<Plan> {
        let requests = self.requests.saturating_add(self.warm_up);
        let (handshakes, requests) = if self.connect_only { (self.requests, 0) } else { (1, requests) };
        Ok(Plan {
            place: Place::new(&self.wkp)?,
            connections: self.connections,
            handshakes,
            requests,
            warm_up: self.warm_up,
            payload: self.payload,
            window: self.window,
            connect_only: self.connect_only,
            hold: self.hold,
            expect: self.expect,
            timeout: self.timeout,
        })
    }
}

/// Runs the load, reports failures on stderr, and prints the report. [`Status::Done`]: every reply came and
/// was right. [`Status::Refused`]: no connection was possible, because the system or the server refused.
/// Otherwise [`Status::Broken`].
///
/// # Errors
/// [`Error::System`]: this process cannot hold so many connections. [`Error::Signal`]. Failures of a
/// connection are no errors here; they are counted.
pub fn run(args: Args) -> Result<Status> {
    let plan = args.plan()?;
    check_descriptors(plan.connections)?;
    let process = Rc::new(Process::quiet(Role::Client)?);
    process.set_wait_mode(args.wait);
    let before = Usage::of_this_process();
    let mut crowd = Crowd::new(&process, plan.clone())?;
    let tally = crowd.run()?;
    let usage = Usage::of_this_process().since(before);
    tally.complaints().for_each(|complaint| complain("lab", complaint));
    let (payload, window) = (plan.payload, plan.window);
    let asked = Asked { connections: plan.connections, payload, window, connect_only: plan.connect_only };
    let report = Report::new(&asked, tally, usage, args.histogram);
    print(&if args.json { report.json() } else { report.to_string() })?;
    let status = tally.status();
    if args.hold {
        await_end_of_stdin(&process)?;
        crowd.leave();
    }
    Ok(status)
}

fn await_end_of_stdin(process: &Process) -> Result<()> {
    let failed = |errno| Error::on("read", "stdin", errno);
    loop {
        process.wait(&mut [PollFd::new(stdin().as_fd(), PollFlags::POLLIN)], Deadline::NEVER)?;
        match read(stdin(), &mut [0; 4096]) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

/// How many connections a process with these limits can hold.
pub fn most_connections(limits: &Limits) -> usize {
    let fit = limits.descriptors.saturating_sub(OWN_DESCRIPTORS) / DESCRIPTORS_EACH;
    usize::try_from(fit.max(1)).unwrap_or(usize::MAX)
}

fn check_descriptors(connections: usize) -> Result<()> {
    let limits = Limits::raise();
    if connections <= most_connections(&limits) {
        return Ok(());
    }
    Err(Error::on("hold", format!("{connections} connections"), Errno::EMFILE))
}

/// Prints a line on stdout.
///
/// # Errors
/// Stdout is closed: [`Error::Signal`] with SIGPIPE. It cannot be written to.
pub fn print(text: &str) -> Result<()> {
    writeln!(stdout(), "{text}").map_err(|error| match error.kind() {
        // The reader of stdout has closed it: end as any filter does.
        ErrorKind::BrokenPipe => Error::Signal(Signal::SIGPIPE as i32),
        _ => Error::on("write to", "stdout", errno_of(&error)),
    })
}
