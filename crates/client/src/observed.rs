//! What the server does when this client stops waiting for it: a few words from a look at the processes.
//!
//! A look takes some milliseconds, opens no pipe and sends no signal. If it fails, or the kernel hides the
//! server from this user, there are none.

use std::os::fd::{AsRawFd, BorrowedFd};

use handshake_core::error::Error;
use handshake_core::place::Place;
use pipe_watch::look::{Access, PipeId, Process, Scope, Target, Wait, look, printable};

/// Adds to the error what the server does that reads the well-known pipe, if no answer came in time.
pub(crate) fn explained(place: &Place, mut error: Error) -> Error {
    if let Error::NoAnswer { seen, .. } = &mut error
        && let Some(server) = PipeId::at(place.wkp()).ok().and_then(reader)
    {
        *seen += &format!("; {server}");
    }
    error
}

/// What the server does that reads the pipe with this end.
pub(crate) fn behind(to_server: BorrowedFd<'_>) -> Option<String> {
    reader(PipeId::at(format!("/proc/self/fd/{}", to_server.as_raw_fd())).ok()?)
}

/// What the first process does that reads this pipe, or waits to open it for reading.
fn reader(pipe: PipeId) -> Option<String> {
    let snapshot = look(&Scope::Pipe(pipe)).ok()?;
    let holds = |process: &Process| process.ends.iter().any(|end| end.pipe == pipe && end.access.reads());
    let opens = |process: &Process| {
        process.threads.iter().any(|thread| match &thread.wait {
            Wait::Open { target, access, .. } => {
                *target == Target::Fifo(pipe) && access.is_some_and(Access::reads)
            }
            _ => false,
        })
    };
    let chosen = snapshot.chosen.iter().filter_map(|pid| snapshot.processes.get(pid));
    let mut readers = chosen.filter(|process| holds(process) || opens(process));
    readers.find_map(|process| {
        let does = snapshot.activity(process.pid)?;
        Some(format!("{} ({}) {does}", process.pid, printable(&process.name)))
    })
}
