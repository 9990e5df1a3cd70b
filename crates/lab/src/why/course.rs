//! The course's step in which a thread waits, where its pipe tells it (docs/course-dialect.md).

use std::collections::BTreeSet;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use pipe_watch::look::{Access, Finding, Need, Pipe, PipeId, Snapshot, State, Target, Wait, printable};

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

/// The course's pipes among those of a look. It is made once, since each client of a crowd asks for them.
#[derive(Debug)]
pub(super) struct Course<'a> {
    snapshot: &'a Snapshot,
    /// The well-known pipe's name.
    wkp: &'a str,
    /// The directories of the well-known pipes.
    places: BTreeSet<&'a Path>,
    /// Those where a server is at step 2: it waits to open the well-known pipe.
    at_step_2: BTreeSet<&'a Path>,
    /// The PIDs of the processes that have not ended, here and in their own PID namespaces.
    living: BTreeSet<u32>,
    /// Those of the processes that have ended.
    ended: BTreeSet<u32>,
}

impl<'a> Course<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, wkp: &'a str) -> Self {
        let place = |pipe: &'a Pipe| pipe.path.as_deref().filter(|path| path.ends_with(wkp))?.parent();
        let waiting = snapshot.processes.values().flat_map(|process| &process.threads);
        let at_step_2 = waiting.filter_map(|thread| match &thread.wait {
            Wait::Open { target: Target::Fifo(id), access, .. } if access.is_none_or(Access::reads) => {
                place(snapshot.pipes.get(id)?)
            }
            _ => None,
        });
        let (mut living, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for process in snapshot.processes.values() {
            let pids = if process.state == State::Zombie { &mut ended } else { &mut living };
            pids.extend([Some(process.pid), process.inner_pid].into_iter().flatten());
        }
        Self {
            snapshot,
            wkp,
            places: snapshot.pipes.values().filter_map(place).collect(),
            at_step_2: at_step_2.collect(),
            living,
            ended,
        }
    }

    /// The step of a finding, if it waits at the well-known pipe or at a private pipe.
    pub(super) fn step(&self, finding: &Finding) -> Option<Step> {
        match &finding.wait {
            Wait::Open { path: Some(path), access, target } => {
                let name = path.file_name()?.to_str()?;
                let reads = access.is_none_or(Access::reads);
                if name == self.wkp {
                    return Some(self.at_wkp(finding, *target, reads));
                }
                let place = match target {
                    Target::Fifo(id) => self.place(*id),
                    _ => None,
                };
                if reads && place.is_some_and(|place| self.at_step_2.contains(place)) {
                    return Some(self.too_early());
                }
                let has_name = matches!(target, Target::Fifo(_));
                self.is_private(name, place).then(|| self.at_private(name, has_name, reads))
            }
            Wait::Pipes(wait) => match wait.needs.as_slice() {
                [need] => self.in_session(finding.pid, need),
                _ => None,
            },
            _ => None,
        }
    }

    /// The directory of a FIFO.
    fn place(&self, id: PipeId) -> Option<&'a Path> {
        self.snapshot.pipes.get(&id)?.path.as_deref()?.parent()
    }

    /// Whether this is a private pipe: its name is a number, or the well-known pipe is in use beside it.
    fn is_private(&self, name: &str, place: Option<&Path>) -> bool {
        name.bytes().all(|byte| byte.is_ascii_digit())
            || place.is_some_and(|place| self.places.contains(place))
    }

    /// Step 2 of the server, or step 4 of the client: an open(2) of the well-known pipe.
    fn at_wkp(&self, finding: &Finding, target: Target, reads: bool) -> Step {
        let Self { snapshot, wkp, .. } = self;
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
    fn too_early(&self) -> Step {
        let wkp = self.wkp;
        let text =
            format!("step 5 of the client, too early: the server is still at step 2, in its open of {wkp}");
        let remedy = format!("take step 4 first: open {wkp} for writing, and send the private pipe's name");
        Step { remedy: Some(remedy), ..Step::stuck(text) }
    }

    /// Step 5 of the client, or step 7 of the server: an open(2) of the private pipe.
    fn at_private(&self, name: &str, has_name: bool, reads: bool) -> Step {
        let printed = printable(name);
        if reads {
            return Step::stuck(format!(
                "step 5 of the client: the server must take step 7, which opens {printed} for writing"
            ));
        }
        match name.parse() {
            Ok(client) if !self.is_living(client) => client_has_ended(client, has_name),
            _ => Step::stuck(format!(
                "step 7 of the server: the client must take step 5, which opens {printed} for reading"
            )),
        }
    }

    /// Whether a process that has not ended has this PID, here or in its own PID namespace. The kernel knows
    /// processes that /proc hides (the mount option `hidepid`).
    fn is_living(&self, pid: u32) -> bool {
        let is_known = || self.ended.contains(&pid);
        let exists = || kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH);
        self.living.contains(&pid) || !is_known() && exists()
    }

    /// A read(2) or write(2) after both ends were opened.
    fn in_session(&self, pid: u32, need: &Need) -> Option<Step> {
        let pipe = self.snapshot.pipes.get(&need.pipe)?;
        let path = pipe.path.as_deref()?;
        let name = path.file_name()?.to_str()?;
        let is_wkp = name == self.wkp;
        if !is_wkp && !self.is_private(name, path.parent()) {
            return None;
        }
        let reads = need.access == Access::Read;
        let text = match (is_wkp, reads, pipe.is_named) {
            (true, true, true) => "step 6 of the server: it waits for the name of a client's private pipe",
            (true, true, false) => "the session: the server waits for what its client sends",
            (true, false, true) => "step 4 of the client: it sends the name of its private pipe",
            (true, false, false) => "the session: the client sends, and the server must read",
            (false, true, true) => "step 8 of the client: it waits for the acknowledgement of step 7",
            (false, true, false) => "the session: the client waits for the server's reply",
            (false, false, _) => "the session: the server sends, and the client must read",
        };
        let partners = || self.snapshot.partners(need.pipe, need.access);
        let is_own = || partners().iter().all(|(partner, _)| *partner == pid);
        let is_idle = is_wkp && reads && pipe.is_named && is_own();
        Some(Step { is_idle, ..Step::stuck(text.to_owned()) })
    }
}

/// What helps: the step knows better than the wait.
pub(super) fn remedy<'f>(finding: &'f Finding, step: Option<&'f Step>) -> Option<&'f String> {
    match step {
        Some(step) if step.is_idle => None,
        Some(step) => step.remedy.as_ref().or(finding.remedy.as_ref()),
        None => finding.remedy.as_ref(),
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

impl Step {
    fn stuck(text: String) -> Self {
        Self { text, is_idle: false, is_abandoned: false, remedy: None }
    }
}
