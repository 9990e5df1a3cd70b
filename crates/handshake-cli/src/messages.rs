//! The messages on stderr: those that the course's programs print, one line for each event.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use anstyle::{AnsiColor, Style};
use handshake_core::event::{Event, Role, What};
use handshake_core::text::{lines, words};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag, fstat};

use crate::colour::has_colour;

/// Prints why the program ends, in the form "program: cannot ...".
pub fn complain(program: &str, error: impl std::fmt::Display) {
    // A blocked terminal must not keep the program from ending.
    if stderr().is_terminal() && !takes_a_line() {
        return;
    }
    // One write, so that the lines of several processes do not mix. A closed stderr is ignored.
    let _ = stderr().write_all(format!("{program}: {}\n", lines(&error.to_string())).as_bytes());
}

/// Reports of skipped bytes are remembered for this many sessions.
const REPORTED_SESSIONS_MAX: usize = 1024;

/// Returns a function that reports events on stderr: the events that the course's programs report, or with
/// `all` every event.
pub fn observer(all: bool) -> Box<dyn Fn(&Event)> {
    let colour = has_colour(&stderr());
    let reported = RefCell::new(HashSet::new());
    // Once for each session: a client that writes garbage may go on writing it.
    let skipped = move |event: &Event| {
        let is_servers = event.what == What::Skipped && event.role != Role::Client;
        let session = event.session.clone().filter(|_| is_servers)?;
        let mut reported = reported.borrow_mut();
        if reported.len() >= REPORTED_SESSIONS_MAX {
            reported.clear();
        }
        let bytes = event.bytes.unwrap_or_default();
        reported.insert(session).then(|| format!("skipped {bytes} bytes that are no frame"))
    };
    Box::new(move |event| {
        let message =
            usual_message(event).or_else(|| skipped(event)).or_else(|| all.then(|| verbose_message(event)));
        if let Some(message) = message {
            write_line(event.role, &message, colour);
        }
    })
}

/// Reports something that is no event.
pub(crate) fn report(role: Role, message: &str) {
    write_line(role, message, has_colour(&stderr()));
}

/// How many lines of this process were dropped since stderr last took one.
static DROPPED: AtomicUsize = AtomicUsize::new(0);
/// The process that counted them: a newly forked child has dropped none.
static DROPPED_BY: AtomicU32 = AtomicU32::new(0);

/// Writes a line, if stderr takes one now. A server must not wait for the reader of its messages; the next
/// line that stderr takes reports the dropped ones.
fn write_line(role: Role, message: &str, colour: bool) {
    if !takes_a_line() {
        if DROPPED_BY.swap(std::process::id(), Relaxed) != std::process::id() {
            DROPPED.store(0, Relaxed);
        }
        DROPPED.fetch_add(1, Relaxed);
        return;
    }
    let style = if colour { style(role) } else { Style::new() };
    let message = words(message.as_bytes());
    let mut lines = String::new();
    let dropped = DROPPED.swap(0, Relaxed);
    if dropped > 0 && DROPPED_BY.load(Relaxed) == std::process::id() {
        lines = format!("{style}<{role}>{style:#} ({dropped} lines are missing: stderr was full)\n");
    }
    lines += &format!("{style}<{role}>{style:#} {message}\n");
    let _ = stderr().write_all(lines.as_bytes());
}

/// Whether a line of at most PIPE_BUF bytes can be written without blocking (poll(2)). If poll(2) fails, the
/// write reports the error.
fn takes_a_line() -> bool {
    // A write to a regular file or to /dev/null never blocks.
    static MAY_BE_FULL: LazyLock<bool> = LazyLock::new(|| {
        let is_pipe_or_socket = |stat: FileStat| {
            matches!(
                SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()),
                SFlag::S_IFIFO | SFlag::S_IFSOCK
            )
        };
        stderr().is_terminal() || fstat(stderr()).is_ok_and(is_pipe_or_socket)
    });
    if !*MAY_BE_FULL {
        return true;
    }
    let stderr = stderr();
    let mut stderr = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut stderr, PollTimeout::ZERO) != Ok(0)
}

fn style(role: Role) -> Style {
    let colours = [AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Cyan, AnsiColor::Yellow];
    match role {
        Role::Server => AnsiColor::Blue.on_default().bold(),
        Role::Subserver(number) => colours[number as usize % colours.len()].on_default(),
        Role::Client => Style::new().bold(),
    }
}

/// The message for an event that is always reported.
fn usual_message(event: &Event) -> Option<String> {
    let text = event.text.as_deref().unwrap_or_default();
    let pipe = event.pipe.as_deref().unwrap_or_default();
    let peer = event.peer.unwrap_or_default();
    if event.what == What::EventsDropped {
        return Some(format!("the event log has a gap: {text}"));
    }
    if event.role == Role::Client {
        return None;
    }
    Some(match event.what {
        What::Waiting => "waiting for connection".into(),
        What::HelloReceived => format!("received the private pipe's name [{pipe}]"),
        What::SubserverForked => format!("forked subserver {peer}"),
        What::ReadyReceived | What::NoConfirmation => "connected".into(),
        What::InDoubt => format!("in doubt: {text}"),
        What::Queued => format!("[{pipe}] waits for a pipe that another client has"),
        What::RequestReceived => format!("received [{text}]"),
        What::RequestRefused => format!("refused a request: {text}"),
        What::SessionEnded => format!("client left: {text}"),
        What::SubserverReaped if text != "exit status 0" => format!("subserver {peer} ended: {text}"),
        What::ClientDropped => format!("client dropped: {text}"),
        What::Shortage => format!("new clients must wait: {text}"),
        What::AskedToEnd => format!("{text}: removing the well-known pipe, finishing what runs"),
        _ => return None,
    })
}

/// The message for an event that only `-v` reports.
fn verbose_message(event: &Event) -> String {
    let step = event.step.map(|step| format!("step {step}: ")).unwrap_or_default();
    let what = in_words(event.what);
    let mut line = format!("{step}{what}");
    for part in [&event.pipe, &event.text].into_iter().flatten() {
        line += &format!(" [{part}]");
    }
    if let Some(bytes) = event.bytes {
        line += &format!(" ({bytes} bytes)");
    }
    line
}

fn in_words(what: What) -> String {
    // `WkpCreated` as "wkp created".
    let mut name = String::new();
    for c in format!("{what:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}
