//! What would most likely help: one piece of advice for each kind of wait.

use super::model::{Access, Need, PipeWait, Process, Snapshot, Target, Thread, Wait};
use super::phrases::{close, descriptors};
use super::words::{activity, who, who_is};

/// The advice about a zombie.
pub(super) const REAP: &str = "call waitpid() in the parent, after SIGCHLD or before each wait";

/// The advice about a thread that does not go on.
pub(super) fn remedy(
    snapshot: &Snapshot,
    process: &Process,
    thread: &Thread,
    is_busy: bool,
) -> Option<String> {
    if is_busy {
        let ends = process.ends.iter().filter(|end| end.is_nonblocking && end.access.reads());
        let fd = ends.map(|end| end.fd).next()?;
        return Some(format!("descriptor {fd} has O_NONBLOCK: wait for it in poll(), or open it without"));
    }
    match &thread.wait {
        Wait::Open { target: Target::Missing, .. } => {
            Some("remove a FIFO only when both sides have it open; now end this process".to_owned())
        }
        Wait::Open { .. } if !snapshot.holders_of_newer(thread.tid).is_empty() => {
            Some("do not remove and make a FIFO while a process waits to open it".to_owned())
        }
        Wait::Open { access, .. }
            if snapshot.openers(process, thread).is_empty() && !snapshot.rivals(thread.tid).is_empty() =>
        {
            Some(match access {
                Some(Access::Write) => "one side must open it with O_RDONLY".to_owned(),
                _ => "one side must open it with O_WRONLY".to_owned(),
            })
        }
        Wait::Open { access, .. } => match access {
            Some(Access::Write) => Some("open it for reading in the process that is to read".to_owned()),
            Some(_) => Some("open it for writing in the process that is to write".to_owned()),
            None => None,
        },
        Wait::Pipes(wait) => at_pipe(snapshot, process, wait),
        Wait::Stopped => Some(continue_it(process.pid)),
        Wait::Traced => Some("let its tracer continue it".to_owned()),
        _ => None,
    }
}

/// The advice about a wait at pipes. Of several, about the first that the process itself cannot serve.
fn at_pipe(snapshot: &Snapshot, process: &Process, wait: &PipeWait) -> Option<String> {
    let partners = |need: &Need| snapshot.partners(need.pipe, need.access);
    let is_own = |(pid, _): &(u32, Vec<u32>)| *pid == process.pid;
    let need = match wait.needs.as_slice() {
        [need] => need,
        needs => needs.iter().find(|need| {
            let partners = partners(need);
            !partners.is_empty() && !partners.iter().any(is_own)
        })?,
    };
    let (own, others): (Vec<_>, Vec<_>) = partners(need).into_iter().partition(is_own);
    match (need.access, own.first(), others.first()) {
        (_, None, None) => None,
        (_, None, Some((pid, _))) if is_stopped(snapshot, *pid) => Some(continue_it(*pid)),
        (Access::Write, _, Some((pid, fds))) => {
            Some(format!("{} must read from {}", who_is(snapshot, *pid), descriptors(fds)))
        }
        (Access::Write, Some((_, fds)), None) => Some(format!(
            "read from {} before the pipe is full, or let another process read",
            descriptors(fds)
        )),
        (_, None, Some((pid, fds))) => {
            Some(format!("{} must write, or {} if it is not to write", who_is(snapshot, *pid), close(fds)))
        }
        (_, Some((_, fds)), other) => own_writer(snapshot, process, wait, need.fd, fds, other),
    }
}

/// The advice about a process that reads a pipe and holds its write end.
fn own_writer(
    snapshot: &Snapshot,
    process: &Process,
    wait: &PipeWait,
    reader: u32,
    own: &[u32],
    other: Option<&(u32, Vec<u32>)>,
) -> Option<String> {
    let close_others = other.map(|(pid, fds)| format!(", and {} in {}", close(fds), who_is(snapshot, *pid)));
    let close_others = close_others.unwrap_or_default();
    if own.contains(&reader) {
        return Some(format!("open descriptor {reader} with O_RDONLY: with O_RDWR it is its own writer"));
    }
    if process.threads.len() > 1 {
        let them = if own.len() == 1 { "it" } else { "them" };
        return Some(format!(
            "another thread must write to {}, or close {them}{close_others}",
            descriptors(own)
        ));
    }
    // A process that polls its own pipe uses it on purpose: its signal handler writes.
    (!wait.is_poll()).then(|| format!("{} before the read{close_others}", close(own)))
}

fn is_stopped(snapshot: &Snapshot, pid: u32) -> bool {
    let threads = snapshot.processes.get(&pid).map(|process| process.threads.as_slice());
    threads.is_some_and(|threads| threads.iter().any(|thread| thread.wait == Wait::Stopped))
}

fn continue_it(pid: u32) -> String {
    format!("fg in its shell, or kill -CONT {pid}")
}

/// A circle of processes, and what would break it.
pub(super) fn deadlock(snapshot: &Snapshot, pids: &[u32]) -> (String, String) {
    let processes = || pids.iter().filter_map(|pid| snapshot.processes.get(pid));
    let next = pids.iter().cycle().skip(1);
    let links = processes().zip(next).map(|(process, next)| {
        format!("{} {} and needs {}", who(process), activity(snapshot, process), who_is(snapshot, *next))
    });
    let waits = || processes().flat_map(|process| &process.threads).map(|thread| &thread.wait);
    // Which process is to open the other end, only the programs know.
    let likely = if waits().any(|wait| matches!(wait, Wait::Open { .. })) { "likely " } else { "" };
    let sentence = format!("{likely}deadlock: {}.", links.collect::<Vec<_>>().join("; "));
    let all_at = |access| {
        let is_at = |wait: &Wait| match wait {
            Wait::Pipes(wait) => wait.needs.iter().all(|need| need.access == access),
            _ => false,
        };
        waits().all(is_at)
    };
    let waits_for_child = waits().any(|wait| matches!(wait, Wait::Child { .. }));
    let writes = |wait: &Wait| match wait {
        Wait::Pipes(wait) => wait.needs.iter().any(|need| need.access == Access::Write),
        _ => false,
    };
    let remedy = if waits_for_child && waits().any(writes) {
        "the parent must read to the end of file before it waits for the child"
    } else if waits_for_child {
        "the parent must close its write end before it waits for the child"
    } else if waits().all(|wait| matches!(wait, Wait::Open { .. })) {
        "open the FIFOs in the same order on both sides"
    } else if all_at(Access::Write) {
        "one of them must read while it writes: poll() says which is possible"
    } else if all_at(Access::Read) {
        "one of them must write first, or close the write end that it does not need"
    } else {
        "one of them must take its next step before it waits"
    };
    (sentence, remedy.to_owned())
}
