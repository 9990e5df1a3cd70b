//! Findings in sentences: the actor, its call, the pipe, and what the processes at the other end do.

use std::path::Path;

use super::limit::Limit;
use super::model::{
    Access, Ending, Need, PipeId, PipeWait, Process, Snapshot, State, Target, Thread, Visibility, Wait,
};
use super::phrases::{descriptors, printable, seconds, within};

/// The most processes that one sentence names.
const NAMED_MAX: usize = 3;

/// What a thread does, in one or more sentences.
pub(super) fn sentence(snapshot: &Snapshot, process: &Process, thread: &Thread, is_busy: bool) -> String {
    let mut actor = who(process);
    if thread.tid != process.pid {
        actor += &format!(", thread {} ({}),", thread.tid, printable(&thread.name));
    }
    if is_busy {
        return format!("{actor} uses the processor all the time: it computes, or asks again and again.");
    }
    let action = action(snapshot, process, thread);
    let guess = if thread.is_guess && thread.wait != Wait::Hidden {
        " (a guess: its system call is hidden)"
    } else {
        ""
    };
    match &thread.wait {
        Wait::Open { access, target, .. } => {
            let needed = match access {
                Some(Access::Write) => "opens it for reading",
                Some(_) => "opens it for writing",
                None => "opens the other end",
            };
            let why = why_open(snapshot, process, thread, *target);
            format!("{actor} {action}{guess}, until a process {needed}. {why}")
        }
        Wait::Pipes(wait) => {
            let fill = fill(snapshot, wait);
            format!("{actor} {action}{fill}{guess}. {}", other_ends(snapshot, process, wait))
        }
        _ => format!("{actor} {action}{guess}."),
    }
}

/// A process by its PID and name.
pub(super) fn who(process: &Process) -> String {
    let inner = process.inner_pid.map(|pid| format!(", {pid} in its namespace")).unwrap_or_default();
    format!("{} ({}{inner})", process.pid, printable(&process.name))
}

/// A process of the snapshot, or one that it lacks.
pub(super) fn who_is(snapshot: &Snapshot, pid: u32) -> String {
    snapshot.processes.get(&pid).map_or_else(|| pid.to_string(), who)
}

/// What a thread does, as a verb with its object.
fn action(snapshot: &Snapshot, process: &Process, thread: &Thread) -> String {
    match &thread.wait {
        Wait::Nothing => "runs".to_owned(),
        Wait::Open { path, access, .. } => format!("waits in {}", open_call(path.as_deref(), *access)),
        Wait::Pipes(wait) => format!("waits in {}", pipe_call(snapshot, wait)),
        Wait::File { call, fd, file } => {
            let file = if file.starts_with("/dev/pts/") || file.starts_with("/dev/tty") {
                format!("the terminal {}", printable(file))
            } else if file.starts_with("socket:") {
                "a socket".to_owned()
            } else {
                printable(file)
            };
            let fd = fd.map(|fd| fd.to_string()).unwrap_or_default();
            format!("waits in {call}({fd}) for {file}")
        }
        Wait::Child { call, pid } => {
            let children = snapshot.children(process.pid, *pid);
            let named = enumerate(&children, |pid| {
                let child = &snapshot.processes[&pid];
                format!("{}, which {}", who(child), activity(snapshot, child))
            });
            let object = if children.len() == 1 { "its child" } else { "one of its children" };
            format!("waits in {call}() for {object} {named}").trim_end().to_owned()
        }
        Wait::Thread { limit } => {
            let object =
                if process.threads.len() > 1 { "another thread of its process" } else { "another process" };
            format!("waits in futex() for {object} (a join, a mutex or a condition){}", within(*limit))
        }
        Wait::Signal { call, limit } => format!("waits in {call}() for a signal{}", within(*limit)),
        Wait::Sleep { length: Some(length) } => format!("sleeps for {}", seconds(*length)),
        Wait::Sleep { length: None } => "sleeps for a time".to_owned(),
        Wait::Call { number } => format!("waits in system call {number}"),
        Wait::Stopped => "is stopped by a signal".to_owned(),
        Wait::Traced => {
            let tracer = process.tracer.map(|pid| format!(", {}", who_is(snapshot, pid))).unwrap_or_default();
            format!("is stopped by its tracer{tracer}")
        }
        Wait::Hidden if process.visibility == Visibility::Existence => {
            "sleeps; all else of it is hidden".to_owned()
        }
        Wait::Hidden => "sleeps; its system call is hidden".to_owned(),
    }
}

impl Snapshot {
    /// What a process does, as a verb with its object: `waits in read(3) on mario`. It is safe to print on a
    /// terminal. `None`: the process has ended, ran during the look, was not looked at, or hides it.
    pub fn activity(&self, pid: u32) -> Option<String> {
        let process = self.processes.get(&pid)?;
        let is_known = |thread: &Thread| !matches!(thread.wait, Wait::Nothing | Wait::Hidden);
        process.threads.iter().any(is_known).then(|| activity(self, process))
    }
}

/// What a process does: what its thread at a pipe does, or else its first thread.
pub(super) fn activity(snapshot: &Snapshot, process: &Process) -> String {
    if process.state == State::Zombie {
        return "has ended".to_owned();
    }
    let at_pipe = |thread: &&Thread| matches!(thread.wait, Wait::Open { .. } | Wait::Pipes(_));
    let Some(thread) = process.threads.iter().find(at_pipe).or(process.threads.first()) else {
        return "is not looked at".to_owned();
    };
    let action = match &thread.wait {
        // The sentence about the parent has named the child.
        Wait::Child { call, .. } => format!("waits in {call}() for a child"),
        _ => action(snapshot, process, thread),
    };
    match process.threads.len() {
        1 => action,
        many => format!("{action} (one of {many} threads)"),
    }
}

fn open_call(path: Option<&Path>, access: Option<Access>) -> String {
    let Some(path) = path else { return "open() of a FIFO".to_owned() };
    let flags = match access {
        Some(Access::Read) => ", O_RDONLY",
        Some(Access::Write) => ", O_WRONLY",
        Some(Access::Both) => ", O_RDWR",
        None => "",
    };
    format!("open(\"{}\"{flags})", printable(&path.to_string_lossy()))
}

fn pipe_call(snapshot: &Snapshot, wait: &PipeWait) -> String {
    match wait.needs.as_slice() {
        [] => format!("{}() of a pipe", wait.call),
        [need] if wait.others == 0 => {
            let bytes = wait.bytes.filter(|_| need.access == Access::Write);
            let bytes = bytes.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
            format!("{}({}){bytes} on {}", wait.call, need.fd, pipe_name(snapshot, need.pipe))
        }
        needs => {
            let name = |need: &Need| format!("{} ({})", pipe_name(snapshot, need.pipe), need.fd);
            let mut named: Vec<_> = needs.iter().take(NAMED_MAX).map(name).collect();
            let more = needs.len().saturating_sub(NAMED_MAX) + wait.others;
            if more > 0 {
                named.push(format!("{more} more"));
            }
            format!("{}() on {}", wait.call, named.join(", "))
        }
    }
}

/// A pipe by its name.
fn pipe_name(snapshot: &Snapshot, id: PipeId) -> String {
    let pipe = snapshot.pipes.get(&id);
    let name = pipe.and_then(|pipe| pipe.path.as_deref()).and_then(Path::file_name);
    match (name, pipe.is_some_and(|pipe| pipe.is_named)) {
        (Some(name), true) => printable(&name.to_string_lossy()),
        (Some(name), false) => format!("{} (name removed)", printable(&name.to_string_lossy())),
        (None, _) => format!("the unnamed pipe [{}]", id.inode),
    }
}

/// How full the pipe is, if there is only one.
fn fill(snapshot: &Snapshot, wait: &PipeWait) -> String {
    let [need] = wait.needs.as_slice() else { return String::new() };
    let fill = snapshot.pipes.get(&need.pipe).and_then(|pipe| pipe.fill);
    fill.map(|fill| format!(" ({} of {} bytes in it)", fill.bytes, fill.capacity)).unwrap_or_default()
}

fn why_open(snapshot: &Snapshot, process: &Process, thread: &Thread, target: Target) -> String {
    if target == Target::Missing {
        return "The name is gone: no process can open it by that name.".to_owned();
    }
    let newer = snapshot.holders_of_newer(thread.tid);
    if !newer.is_empty() {
        let holders = enumerate(&newer, |pid| who_is(snapshot, pid));
        return format!(
            "None can: its FIFO was removed, and the name belongs to a newer one, which {holders} has open."
        );
    }
    let openers = snapshot.openers(process, thread);
    let meanwhile = enumerate(&openers, |pid| {
        let other = &snapshot.processes[&pid];
        format!("{} {}", who(other), activity(snapshot, other))
    });
    let rivals = match snapshot.rivals(thread.tid).as_slice() {
        [] => String::new(),
        [rival] => format!("{} waits to open it in the same way", who_is(snapshot, *rival)),
        rivals => format!("{} other processes wait to open it in the same way", rivals.len()),
    };
    match (openers.is_empty(), rivals.is_empty()) {
        (true, true) => "None has.".to_owned(),
        (true, false) => format!("None has: {rivals}."),
        (false, true) => format!("None has. Meanwhile {meanwhile}."),
        (false, false) => format!("None has. Meanwhile {meanwhile}. {rivals}."),
    }
}

/// The processes at the other ends, and what they do.
fn other_ends(snapshot: &Snapshot, process: &Process, wait: &PipeWait) -> String {
    let [need] = wait.needs.as_slice() else { return many_ends(snapshot, wait) };
    let end = if need.access == Access::Read { "write" } else { "read" };
    let partners = snapshot.partners(need.pipe, need.access);
    let (own, others): (Vec<_>, Vec<_>) = partners.into_iter().partition(|(pid, _)| *pid == process.pid);
    let own = own.first().map(|(_, fds)| descriptors(fds));
    let fds = |pid| {
        others.iter().find(|(other, _)| *other == pid).map(|(_, fds)| descriptors(fds)).unwrap_or_default()
    };
    let pids: Vec<u32> = others.iter().map(|(pid, _)| *pid).collect();
    let holders = enumerate(&pids, |pid| {
        let other = &snapshot.processes[&pid];
        format!("by {} as {}, which {}", who(other), fds(pid), activity(snapshot, other))
    });
    match (pids.is_empty(), own) {
        (false, None) => format!("The {end} end is held {holders}."),
        (false, Some(own)) => format!("The {end} end is held {holders}; and by itself as {own}."),
        (true, Some(own)) if hides_processes(snapshot) => {
            format!("The only {end} end that can be seen is its own, {own}.")
        }
        (true, Some(own)) => {
            let end_of_wait =
                if end == "write" { "no end of file can come" } else { "no other process reads" };
            format!("The only {end} end is its own, {own}: {end_of_wait}.")
        }
        // A poll(2) of a FIFO also waits if no process has opened the other end yet.
        (true, None) if wait.is_poll() => format!("No process that can be seen has the {end} end open."),
        (true, None) => format!(
            "The {end} end is held by a process that cannot be seen: another user's, one that is not dumpable, or \
             one outside this container."
        ),
    }
}

/// Whether a process that hides its descriptors may hold another end of a pipe.
fn hides_processes(snapshot: &Snapshot) -> bool {
    snapshot.limits.iter().any(Limit::hides_ends)
}

/// The processes at the other ends of several pipes.
fn many_ends(snapshot: &Snapshot, wait: &PipeWait) -> String {
    let partners = wait.needs.iter().flat_map(|need| snapshot.partners(need.pipe, need.access));
    let mut pids: Vec<u32> = partners.map(|(pid, _)| pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let holders = enumerate(&pids, |pid| {
        let other = &snapshot.processes[&pid];
        format!("{}, which {}", who(other), activity(snapshot, other))
    });
    if holders.is_empty() { String::new() } else { format!("The other ends are held by {holders}.") }
}

/// A few processes, in words.
fn enumerate(pids: &[u32], words: impl Fn(u32) -> String) -> String {
    let mut named: Vec<_> = pids.iter().take(NAMED_MAX).map(|pid| words(*pid)).collect();
    if pids.len() > NAMED_MAX {
        named.push(format!("{} more", pids.len() - NAMED_MAX));
    }
    named.join("; ")
}

/// A zombie, and what its parent does.
pub(super) fn zombie(snapshot: &Snapshot, process: &Process) -> String {
    let ending = match process.ending {
        Some(Ending::Exited(status)) => format!(" (exit status {status})"),
        Some(Ending::Killed(signal)) => format!(" (by signal {signal})"),
        None => String::new(),
    };
    let parent = snapshot.processes.get(&process.parent);
    let meanwhile = parent.map(|parent| format!(", and {}", activity(snapshot, parent))).unwrap_or_default();
    let parent = who_is(snapshot, process.parent);
    format!(
        "{} has ended{ending} and is a zombie: its parent {parent} has not waited for it{meanwhile}.",
        who(process)
    )
}
