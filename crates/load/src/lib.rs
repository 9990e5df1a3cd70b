//! `lab load`: many connections to one server, all in this process, with every reply checked.
//!
//! Reading order: [`run`]; then the event loop in `crowd`, one connection in `worker` and its session in
//! `session`. They use [`transport`], `tally` and [`many`]. The result is a [`Report`]. Deliberately absent:
//! threads, and more than one place that blocks. Each connection sends as soon as it is connected, and leaves
//! when it has its answers. So a server with one client at a time can be measured like the others.

mod crowd;
mod worker;

mod session;

mod shared;

pub mod many;
mod tally;
pub mod transport;

pub mod report;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use handshake_cli::{Status, at_least_one, complain, duration, size, wait_mode};
use handshake_core::error::{Error, Result, errno_of};
use handshake_core::event::Role;
use handshake_core::limits::Limits;
use handshake_core::place::Place;
use handshake_core::process::Process;
use handshake_core::service::BuiltIn;
use handshake_core::wait::spin::WaitMode;
use nix::errno::Errno;
use nix::sys::signal::Signal;

pub use crowd::Crowd;
use report::Usage;
pub use report::{Latency, Report};
use transport::{Framed, Transport};

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

    #[command(flatten)]
    asked: Asked,

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
    #[arg(long, value_name = "HOW", default_value = "adaptive", value_parser = wait_mode)]
    wait: WaitMode,

    /// How long a handshake may take, and how long a connection may wait for its next answer; 0: for ever
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

/// What the connections are to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// How many connections to open
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub connections: usize,

    /// How many requests to send on each connection; with --connect-only, how many handshakes, one after the
    /// other
    #[arg(long, value_name = "R", default_value = "1000", value_parser = at_least_one)]
    pub requests: usize,

    /// The length of each request; suffixes K, M, G
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub payload: usize,

    /// The most requests of a connection that may be unanswered at a time
    #[arg(long, value_name = "W", default_value = "1", value_parser = at_least_one)]
    pub window: usize,

    /// Only connect and leave, again and again
    #[arg(long)]
    pub connect_only: bool,

    /// How many extra requests each connection sends before the timed ones; their replies are checked as well
    #[arg(long, value_name = "N", default_value = "0")]
    pub warm_up: usize,

    /// Keep every connection open after its answers; print the report, and leave at the end of stdin
    #[arg(long, conflicts_with = "connect_only")]
    pub hold: bool,
}

/// What to do.
#[derive(Debug)]
pub struct Plan {
    asked: Asked,
    /// How many handshakes each connection makes, one after the other.
    handshakes: usize,
    /// How many requests each session sends, the warm-up included.
    requests: usize,
    expect: BuiltIn,
    timeout: Duration,
}

impl Plan {
    /// The plan for these options, at a server with this service.
    pub fn new(asked: Asked, expect: BuiltIn, timeout: Duration) -> Self {
        let requests = asked.requests.saturating_add(asked.warm_up);
        let (handshakes, requests) = if asked.connect_only { (asked.requests, 0) } else { (1, requests) };
        Self { asked, handshakes, requests, expect, timeout }
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
    let place = Place::new(&args.wkp)?;
    let connections = args.asked.connections;
    if connections > most_connections(&Limits::raise()) {
        return Err(Error::on("hold", format!("{connections} connections"), Errno::EMFILE));
    }
    let process = Rc::new(Process::quiet(Role::Client)?);
    process.set_wait_mode(args.wait);
    let to = Framed { process: Rc::clone(&process), place };
    let plan = Plan::new(args.asked, args.expect, args.timeout);
    let (report, crowd) = measure(to, Some(process), plan, args.histogram)?;
    print(&if args.json { report.json() } else { report.to_string() })?;
    crowd.finish()
}

/// Carries the plan out, and reports failures on stderr. Returns the report, and the connections. Without a
/// process, signals act as they do by default.
///
/// # Errors
/// [`Error::Signal`]. No file descriptor is left.
pub fn measure<T: Transport>(
    to: T,
    process: Option<Rc<Process>>,
    plan: Plan,
    with_histogram: bool,
) -> Result<(Report, Crowd<T>)> {
    let (asked, before) = (plan.asked.clone(), Usage::of_this_process());
    let mut crowd = Crowd::new(to, process, plan)?;
    let tally = crowd.run()?;
    let usage = Usage::of_this_process().since(before);
    tally.complaints().for_each(|complaint| complain("lab", complaint));
    Ok((Report::new(&asked, tally, usage, with_histogram), crowd))
}

/// How many connections a process with these limits can hold.
pub fn most_connections(limits: &Limits) -> usize {
    let fit = limits.descriptors.saturating_sub(OWN_DESCRIPTORS) / DESCRIPTORS_EACH;
    usize::try_from(fit.max(1)).unwrap_or(usize::MAX)
}

/// Prints a text on stdout, and a newline.
///
/// # Errors
/// Stdout is closed: [`Error::Signal`] with SIGPIPE. It cannot be written to.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| match errno_of(&error) {
        // The reader of stdout has closed it: end as any filter does.
        Errno::EPIPE => Error::Signal(Signal::SIGPIPE as i32),
        errno => Error::on("write to", "stdout", errno),
    })
}
