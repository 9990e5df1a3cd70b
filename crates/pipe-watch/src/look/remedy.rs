//! What would most likely help: one piece of advice for each kind of wait.

use super::model::{Access, PipeWait, Process, Snapshot, Target, Thread, Wait};
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
        Wait::Open { access, .. } if !snapshot.rivals(thread.tid).is_empty() => Some(match access {
            Some(Access::Write) => "one side must open it with O_RDONLY".to_owned(),
            _ => "one side must open it with O_WRONLY".to_owned(),
        }),
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

fn at_pipe(snapshot: &Snapshot, process: &Process, wait: &PipeWait) -> Option<String> {
    let need = wait.needs.first()?;
    let reads = need.access == Access::Read;
    let partners = snapshot.partners(need.pipe, need.access);
    let other = partners.iter().find(|(pid, _)| *pid != process.pid);
    let own = partners.iter().find(|(pid, _)| *pid == process.pid);
    let is_stopped = |pid| {
        let threads = snapshot.processes.get(pid).map(|process| process.threads.as_slice());
        threads.is_some_and(|threads| threads.iter().any(|thread| thread.wait == Wait::Stopped))
    };
    Some(match (reads, other, own) {
        (true, _, Some((_, fds))) if fds.contains(&need.fd) => {
            format!("open descriptor {} with O_RDONLY: with O_RDWR it is its own writer", need.fd)
        }
        (true, None, Some((_, fds))) => format!("close({}) before the read", fds[0]),
        (true, Some((pid, others)), Some((_, fds))) => {
            format!(
                "close({}) before the read, and close({}) in {}",
                fds[0],
                others[0],
                who_is(snapshot, *pid)
            )
        }
        (_, Some((pid, _)), None) if is_stopped(pid) => continue_it(*pid),
        (true, Some((pid, fds)), None) => {
            format!("{} must write, or close({}) if it is not to write", who_is(snapshot, *pid), fds[0])
        }
        (false, Some((pid, fds)), _) => {
            format!("{} must read from descriptor {}", who_is(snapshot, *pid), fds[0])
        }
        (false, None, Some((_, fds))) => {
            format!("read from descriptor {} before the pipe is full, or let another process read", fds[0])
        }
        (_, None, None) => return None,
    })
}

fn continue_it(pid: u32) -> String {
    format!("kill -CONT {pid}, or fg in its shell")
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
