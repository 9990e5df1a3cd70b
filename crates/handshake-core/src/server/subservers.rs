//! Subservers: forked, counted, reaped, ended. The only place that forks.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::deadline::{Deadline, monotonic_ns};
use crate::error::{Error, Result};
use crate::event::What;
use crate::fifo::name_of;
use crate::process::Process;
use crate::server::Server;
use crate::server::pending::{Orphans, PendingClient};
use crate::server::site::Site;
use crate::sys::{self, Scale};

/// What running requests get when the server ends by an error.
const GRACE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// The kernel tells of each end, unless its queue of signals is full. So all are looked at every so often: a walk, which takes
/// 0.3 ms for 5,000.
const LOOK_AT_ALL_AFTER: Duration = Duration::from_secs(1);

/// With fewer subservers, an ordinary [fork](sys::fork) is as quick as one that [scales](Scale), and debuggers
/// and emulators know it.
const SCALE_FROM: usize = 128;

/// The subservers of this process. Dropping it ends them all.
#[derive(Debug)]
pub struct Subservers {
    site: Rc<Site>,
    /// Each one's client. In the order of their numbers, so that newcomers stand close together: what a
    /// main server changes in its memory between two forks, the kernel keeps once more for each subserver.
    living: BTreeMap<Pid, Orphans>,
    forked: u32,
    most: usize,
    look_at_all: Deadline,
    /// How to fork when there are many.
    scale: Scale,
}

impl Subservers {
    /// None yet, and never more than [`Options::max_clients`](super::options::Options) at a time.
    ///
    /// # Errors
    /// `EDEADLK`: this process has other threads. Only the thread that forks lives on in a subserver, which would wait for
    /// ever for a lock that another thread held.
    pub fn of(server: &Server) -> Result<Self> {
        match sys::threads() {
            1 => {}
            several => return Err(beside_threads(several)),
        }
        Ok(Self {
            site: Rc::clone(server.site()),
            living: BTreeMap::new(),
            forked: 0,
            most: server.options().max_clients,
            look_at_all: Deadline::after(LOOK_AT_ALL_AFTER),
            scale: Scale::new(),
        })
    }

    /// For a main server that holds descriptors for each subserver: so a fork costs what it costs with few. What is held for
    /// long must be [out of the way](sys::out_of_the_way).
    #[must_use]
    pub fn of_many_descriptors(mut self) -> Self {
        self.scale.hand_descriptors_over();
        self
    }

    /// Whether there is a place for one more client.
    pub fn have_room(&self) -> bool {
        self.living.len() < self.most
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.living.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    /// Step 7: forks off a subserver, which lives as long as `serve`. It holds 0, 1, 2, the record's descriptors, the
    /// pipe that the HELLO came through (until it is answered) and those in `keep`, and nothing of anybody else's.
    /// It ends when this process dies.
    ///
    /// # Errors
    /// The client, who is still owed an answer, and why no process can be had now.
    pub fn fork(
        &mut self,
        client: PendingClient,
        keep: &[BorrowedFd<'_>],
        serve: impl FnOnce(PendingClient) -> Result<()>,
    ) -> Result<Pid, Box<(PendingClient, Error)>> {
        // A busy process seldom sees a signal; children that have ended are no reason to share descriptors.
        self.reap_those_told_of();
        let number = self.forked + 1;
        let client = client.with_own_descriptor()?;
        let main_server = getpid();
        let site = Rc::clone(&self.site);
        let process = &site.process;
        let held = keep.iter().copied().chain(process.log_fds()).chain([client.wkp()]);
        let held: Vec<_> = held.map(|fd| fd.as_raw_fd()).collect();
        let session = client.session;
        let mut client = Some(client);
        let before = monotonic_ns();
        let live = |closed| {
            process.become_subserver(number, main_server);
            let served = client.take().map_or(Ok(()), |client| {
                let PendingClient { session, private, .. } = &client;
                // So that one can be held before its ACK.
                process.log(What::SubserverBegan, |event| event.session(*session).pipe(name_of(private)));
                match tied(closed, process) {
                    Ok(()) => serve(client),
                    Err(error) => {
                        client.turn_away(&site, "its subserver could not begin");
                        Err(error)
                    }
                }
            });
            let status = u8::from(served.is_err());
            // An order to end at once has been followed by now.
            let _ = process.log_unless_signal(session, served).and_then(|()| site.flush_notices());
            status
        };
        let forked = if self.living.len() < SCALE_FROM {
            sys::fork(&held, live)
        } else {
            self.scale.fork(&held, live)
        };
        let client = client.expect("only the child takes the client");
        let pid = match forked {
            Ok(pid) => pid,
            Err(Errno::EDEADLK) => return Err(Box::new((client, beside_threads(sys::threads())))),
            Err(errno) => {
                let error = Error::on("fork", format!("subserver {number}"), errno);
                return Err(Box::new((client, error)));
            }
        };
        self.forked = number;
        self.site.process.log_since(What::SubserverForked, before, |event| {
            event.session(session).pipe(name_of(&client.private)).peer(pid.as_raw().cast_unsigned())
        });
        self.living.insert(pid, client.left_to_subserver(&self.site));
        Ok(pid)
    }

    /// Reaps those that have ended since; at the latest at the end of [`Subservers::patience`].
    pub fn reap(&mut self) {
        // SIGCHLD comes when somebody stops one or lets it go on, or sends it: to look is never wrong.
        if self.site.process.child_ended() || self.look_at_all.passed() {
            self.reap_any();
        } else if self.scale.has_ended() {
            self.reap_those_told_of();
        }
    }

    fn reap_any(&mut self) {
        self.look_at_all = Deadline::after(LOOK_AT_ALL_AFTER);
        while self.reap_one(None) {}
    }

    fn reap_those_told_of(&mut self) {
        let Some(ended) = self.scale.ended(self.living.len() + 1) else { return self.reap_any() };
        for pid in ended {
            // The number may be that of whoever has sent the signal.
            if self.living.contains_key(&pid) {
                self.reap_one(Some(pid));
            }
        }
    }

    /// How long one that has ended may stay unnoticed, if the kernel could not tell.
    pub fn patience(&self) -> Deadline {
        if self.living.is_empty() { Deadline::NEVER } else { self.look_at_all }
    }

    /// Reaps this one, or any, if it has ended; whether there was one.
    fn reap_one(&mut self, whom: Option<Pid>) -> bool {
        loop {
            match waitpid(whom, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::StillAlive) | Err(_) => return false,
                Ok(status) => {
                    self.reaped(status);
                    return true;
                }
            }
        }
    }

    fn reaped(&mut self, status: WaitStatus) {
        let (pid, how, in_good_order) = match status {
            WaitStatus::Exited(pid, 0) => (pid, "exit status 0".into(), true),
            WaitStatus::Exited(pid, status) => (pid, format!("exit status {status}"), false),
            WaitStatus::Signaled(pid, signal, _) => (pid, signal.to_string(), false),
            _ => return,
        };
        let Some(orphans) = self.living.remove(&pid) else { return };
        if !in_good_order {
            orphans.turn_away(matches!(status, WaitStatus::Exited(_, 1)), &self.site);
        }
        self.site
            .process
            .log(What::SubserverReaped, |event| event.peer(pid.as_raw().cast_unsigned()).text(how));
    }

    /// Ends all: TERM is their order to answer what they have received, KILL after `grace` the end.
    ///
    /// # Errors
    /// [`Error::Signal`]: asked to end for the second time; the rest are killed when this is dropped.
    pub fn end(&mut self, grace: Duration) -> Result<()> {
        self.end_by(self.site.process.end_of(grace))
    }

    fn end_by(&mut self, until: Deadline) -> Result<()> {
        self.signal_all(Signal::SIGTERM);
        loop {
            self.reap();
            if self.living.is_empty() || until.passed() {
                break;
            }
            self.site.process.wait(&mut [], until.or(self.patience()))?;
        }
        self.kill_all();
        Ok(())
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.living.keys() {
            // Not reaped yet, so the number is still theirs.
            let _ = kill(*pid, signal);
        }
    }

    /// Kills and reaps whoever is left.
    pub fn kill_all(&mut self) {
        self.signal_all(Signal::SIGKILL);
        while let Some((&pid, _)) = self.living.first_key_value() {
            match waitpid(pid, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.reaped(status),
                Err(Errno::EINTR) => {}
                Err(_) => drop(self.living.remove(&pid)),
            }
        }
    }

    /// Orders one to end.
    pub fn order_to_end(&self, pid: Pid) {
        if self.living.contains_key(&pid) {
            // Not reaped yet, so the number is still its own.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

fn beside_threads(threads: usize) -> Error {
    Error::System {
        operation: "fork",
        object: "subservers".into(),
        errno: Errno::EDEADLK,
        hint: format!("this process has {threads} threads: serve from a process that has one"),
    }
}

/// In the child, which holds only what is its client's if it could `close` the rest: ties its life to its parent's.
fn tied(closed: Result<(), Errno>, process: &Process) -> Result<()> {
    closed
        .and_then(|()| sys::end_with_parent(Signal::SIGTERM))
        .map_err(|errno| Error::on("begin as", process.role().to_string(), errno))?;
    if process.parent_died() {
        let what = "the server died while it forked".into();
        return Err(Error::Lost { what, unanswered: 0 });
    }
    Ok(())
}

impl Drop for Subservers {
    fn drop(&mut self) {
        if self.site.process.asked_to_end().is_none() {
            // The server ends by an error of its own, which is no fault of those who are being served.
            let _ = self.end_by(Deadline::after(GRACE_AFTER_ERROR));
        }
        self.kill_all();
    }
}
