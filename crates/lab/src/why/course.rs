//! The course's step in which a thread waits, where its pipe tells it (docs/course-dialect.md).

use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use pipe_watch::look::{Access, Finding, Need, PipeId, Process, Snapshot, State, Target, Wait, printable};

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The step, and what the other side has to do.
    pub(super) text: String,
    /// Whether a server waits for clients: then nothing is wrong.
    pub(super) is_idle: bool,
    /// Whether a server waits for a client that has ended: then it waits for none of the living.
    pub(super) is_abandoned: bool,
    /// What helps, if the step tells it better than the wait.
    pub(super) remedy: Option<String>,
}

/// The step of a finding, if it waits at the well-known pipe or at a private pipe.
pub(super) fn step(snapshot: &Snapshot, finding: &Finding, wkp: &str) -> Option<Step> {
    match &finding.wait {
        Wait::Open { path: Some(path), access, target } => {
            let name = path.file_name()?.to_str()?;
            let reads = access.is_none_or(Access::reads);
            if name == wkp {
                return Some(at_wkp(snapshot, finding, *target, reads, wkp));
            }
            let pipe = match target {
                Target::Fifo(id) => Some(*id),
                _ => None,
            };
            let is_early = reads && pipe.is_some_and(|pipe| has_server_at_step_2(snapshot, pipe, wkp));
            match is_early {
                true => Some(too_early(wkp)),
                false => {
                    is_private(snapshot, pipe, name, wkp).then(|| at_private(snapshot, name, pipe, reads))
                }
            }
        }
        Wait::Pipes(wait) => match wait.needs.as_slice() {
            [need] => in_session(snapshot, finding.pid, need, wkp),
            _ => None,
        },
        _ => None,
    }
}

/// Step 2 of the server, or step 4 of the client: an open(2) of the well-known pipe.
fn at_wkp(snapshot: &Snapshot, finding: &Finding, target: Target, reads: bool, wkp: &str) -> Step {
    if !reads {
        return Step::stuck(format!(
            "step 4 of the client: a server must be at step 2, which opens {wkp} for reading"
        ));
    }
    let is_alone = matches!(target, Target::Fifo(_))
        && snapshot.holders_of_newer(finding.tid).is_empty()
        && snapshot.rivals(finding.tid).is_empty();
    let text = "step 2 of the server: it waits for a client, which takes step 4".to_owned();
    Step { is_idle: is_alone, ..Step::stuck(text) }
}

/// Step 5 before step 4: the server has not received the name of the private pipe.
fn too_early(wkp: &str) -> Step {
    let text =
        format!("step 5 of the client, too early: the server is still at step 2, in its open of {wkp}");
    let remedy = format!("take step 4 first: open {wkp} for writing, and send the private pipe's name");
    Step { remedy: Some(remedy), ..Step::stuck(text) }
}

/// Whether a process waits to open the well-known pipe beside this pipe for reading.
fn has_server_at_step_2(snapshot: &Snapshot, private: PipeId, wkp: &str) -> bool {
    let path = |id: &PipeId| snapshot.pipes.get(id)?.path.clone();
    let wkp = path(&private).map(|path| path.with_file_name(wkp));
    let mut threads = snapshot.processes.values().flat_map(|process| &process.threads);
    wkp.is_some()
        && threads.any(|thread| match &thread.wait {
            Wait::Open { target: Target::Fifo(id), access, .. } => {
                access.is_none_or(Access::reads) && path(id) == wkp
            }
            _ => false,
        })
}

/// Step 5 of the client, or step 7 of the server: an open(2) of the private pipe.
fn at_private(snapshot: &Snapshot, name: &str, pipe: Option<PipeId>, reads: bool) -> Step {
    let printed = printable(name);
    if reads {
        return Step::stuck(format!(
            "step 5 of the client: the server must take step 7, which opens {printed} for writing"
        ));
    }
    match name.parse() {
        Ok(client) if !is_living(snapshot, client) => client_has_ended(client, pipe.is_some()),
        _ => Step::stuck(format!(
            "step 7 of the server: the client must take step 5, which opens {printed} for reading"
        )),
    }
}

/// Step 7 of the server, whose client has ended.
fn client_has_ended(client: u32, has_name: bool) -> Step {
    let text = format!(
        "step 7 of the server: there is no process {client}; its client has probably ended before step 5"
    );
    let remedy = format!(
        "open {client} with O_NONBLOCK, and retry for a limited time; `cat {client}` releases the server now"
    );
    Step { is_abandoned: true, remedy: has_name.then_some(remedy), ..Step::stuck(text) }
}

/// Whether a process that has not ended has this PID, here or in its own PID namespace. The kernel knows
/// processes that /proc hides (the mount option `hidepid`).
fn is_living(snapshot: &Snapshot, pid: u32) -> bool {
    let has_pid = |process: &&Process| process.pid == pid || process.inner_pid == Some(pid);
    let mut seen = snapshot.processes.values().filter(has_pid).peekable();
    match seen.peek() {
        Some(_) => seen.any(|process| process.state != State::Zombie),
        None => kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH),
    }
}

/// Whether this is a private pipe: its name is a number, or the well-known pipe is in use beside it.
fn is_private(snapshot: &Snapshot, pipe: Option<PipeId>, name: &str, wkp: &str) -> bool {
    let path = |id: &PipeId| snapshot.pipes.get(id)?.path.as_deref();
    let wkp = pipe.and_then(|pipe| path(&pipe)).map(|path| path.with_file_name(wkp));
    let has_wkp = || wkp.is_some() && snapshot.pipes.values().any(|pipe| pipe.path == wkp);
    name.bytes().all(|byte| byte.is_ascii_digit()) || has_wkp()
}

fn name_of(snapshot: &Snapshot, id: PipeId) -> Option<&str> {
    snapshot.pipes.get(&id)?.path.as_deref().and_then(Path::file_name)?.to_str()
}

/// A read(2) or write(2) after both ends were opened.
fn in_session(snapshot: &Snapshot, pid: u32, need: &Need, wkp: &str) -> Option<Step> {
    let name = name_of(snapshot, need.pipe)?;
    let is_named = snapshot.pipes.get(&need.pipe)?.is_named;
    let is_wkp = name == wkp;
    if !is_wkp && !is_private(snapshot, Some(need.pipe), name, wkp) {
        return None;
    }
    let reads = need.access == Access::Read;
    let is_own = snapshot.partners(need.pipe, need.access).iter().all(|(partner, _)| *partner == pid);
    let text = match (is_wkp, reads, is_named) {
        (true, true, true) => "step 6 of the server: it waits for the name of a client's private pipe",
        (true, true, false) => "the session: the server waits for what its client sends",
        (true, false, true) => "step 4 of the client: it sends the name of its private pipe",
        (true, false, false) => "the session: the client sends, and the server must read",
        (false, true, true) => "step 8 of the client: it waits for the acknowledgement of step 7",
        (false, true, false) => "the session: the client waits for the server's reply",
        (false, false, _) => "the session: the server sends, and the client must read",
    };
    let is_idle = is_wkp && reads && is_named && is_own;
    Some(Step { is_idle, ..Step::stuck(text.to_owned()) })
}

impl Step {
    fn stuck(text: String) -> Self {
        Self { text, is_idle: false, is_abandoned: false, remedy: None }
    }
}
