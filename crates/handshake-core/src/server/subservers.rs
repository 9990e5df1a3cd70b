//! Forks, counts, reaps and ends subservers. The only module that forks.

use std::borrow::Cow;
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
use crate::event::{Event, What};
use crate::process::Process;
use crate::server::Server;
use crate::server::pending::{PendingClient, Unanswered};
use crate::server::site::Site;
use crate::sys::{self, Scale};

/// The grace for running requests when the server ends by an error.
const GRACE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// The kernel queues one signal per exit, and drops signals when the queue is full. As a fallback, the main
/// server scans all children once a second (0.3 ms for 5,000).
const SCAN_ALL_AFTER: Duration = Duration::from_secs(1);

/// With fewer subservers, an ordinary [fork](sys::fork) is as fast as one that [scales](Scale), and debuggers
/// and emulators support it.
const SCALE_FROM: usize = 128;

/// How long the kernel may take to end a thread that was joined, and how often the server looks.
const THREADS_END_WITHIN: Duration = Duration::from_millis(20);
const THREAD_PAUSE: Duration = Duration::from_millis(1);

/// The subservers of this process. Dropping it ends them all.
#[derive(Debug)]
pub struct Subservers {
    site: Rc<Site>,
    /// The unanswered clients of each subserver, by PID. New entries stand close together in this order. The
    /// kernel keeps a copy for each subserver of every page that a main server changes between two forks.
    living: BTreeMap<Pid, Unanswered>,
    forked: u32,
    most: usize,
    scan_all: Deadline,
    /// How to fork when there are many subservers.
    scale: Scale,
}

impl Subservers {
    /// Begins without subservers. There are never more than [`Options::max_clients`](super::options::Options)
    /// at a time.
    ///
    /// # Errors
    /// `EDEADLK`: this process has other threads. Only the forking thread lives on in a subserver, and a lock
    /// that another thread held would never be released.
    pub fn of(server: &Server) -> Result<Self> {
        server.process().handle_children()?;
        // A thread that was joined just now may still be counted.
        let settled = Deadline::after(THREADS_END_WITHIN);
        while sys::threads() > 1 {
            if settled.passed() {
                return Err(too_many_threads());
            }
            server.process().wait(&mut [], Deadline::after(THREAD_PAUSE))?;
        }
        Ok(Self {
            site: Rc::clone(server.site()),
            living: BTreeMap::new(),
            forked: 0,
            most: server.options().max_clients.max(1),
            scan_all: Deadline::after(SCAN_ALL_AFTER),
            scale: Scale::begin(),
        })
    }

    /// Makes a fork's cost independent of the number of file descriptors, for a main server that holds some
    /// for each subserver. The long-lived ones must be [out of the way](sys::out_of_the_way).
    #[must_use]
    pub fn of_many_descriptors(mut self) -> Self {
        self.scale.share_descriptors();
        self
    }

    /// Returns whether one more client can be served.
    pub fn have_room(&self) -> bool {
        self.living.len() < self.most
    }

    /// Returns whether no subserver runs.
    pub fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    /// Step 7: forks a subserver, which runs `serve` and exits. It holds 0, 1, 2, the event log's file
    /// descriptors, those in `keep`, and the pipe of the HELLO until it has answered. It holds no other
    /// client's file descriptors. It ends when this process dies.
    ///
    /// # Errors
    /// The client, which still needs an answer, and why no process can be made now.
    pub fn fork(
        &mut self,
        client: PendingClient,
        keep: &[BorrowedFd<'_>],
        serve: impl FnOnce(PendingClient) -> Result<()>,
    ) -> Result<Pid, Box<(PendingClient, Error)>> {
        // A busy process seldom notices a signal. Exited children must not count for the choice of the kind
        // of fork.
        self.reap_signalled();
        let number = self.forked + 1;
        let client = client.with_own_descriptor()?;
        let main_server = getpid();
        let site = &self.site;
        let process = &site.process;
        let held = keep.iter().copied().chain(process.log_fds()).chain([client.wkp()]);
        let held: Vec<_> = held.map(|fd| fd.as_raw_fd()).collect();
        let session = client.session;
        let mut client = Some(client);
        let before = monotonic_ns();
        let live = |closed| {
            process.become_subserver(number, main_server);
            let served = client.take().map_or(Ok(()), |client| {
                // Logged here so that a test can stop the subserver before its ACK.
                process.log(What::SubserverBegan, |event| event.session(session).pipe(client.name()));
                match tie_to_parent(closed, process) {
                    Ok(()) => serve(client),
                    Err(error) => {
                        client.turn_away(site, "its subserver could not begin");
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
            Err(Errno::EDEADLK) => return Err(Box::new((client, too_many_threads()))),
            Err(errno) => {
                let error = Error::on("fork", format!("subserver {number}"), errno);
                return Err(Box::new((client, error)));
            }
        };
        self.forked = number;
        self.site.process.log_since(What::SubserverForked, before, |event| {
            event.session(session).pipe(client.name()).peer(pid.as_raw().cast_unsigned())
        });
        self.living.insert(pid, client.into_unanswered(&self.site));
        Ok(pid)
    }

    /// Reaps the subservers that have exited. Call it at the end of [`Subservers::patience`] at the latest.
    pub fn reap(&mut self) {
        // SIGCHLD also comes when a child stops or continues, or when a process sends it. Checking without
        // need does no harm.
        if self.site.process.child_ended() || self.scan_all.passed() {
            self.reap_any();
        } else if self.scale.has_ended() {
            self.reap_signalled();
        }
    }

    fn reap_any(&mut self) {
        self.scan_all = Deadline::after(SCAN_ALL_AFTER);
        while self.reap_one(None) {}
    }

    fn reap_signalled(&mut self) {
        let Some(ended) = self.scale.ended(self.living.len() + 1) else { return self.reap_any() };
        for pid in ended {
            // The PID may be that of another process, which has sent the signal.
            if self.living.contains_key(&pid) {
                self.reap_one(Some(pid));
            }
        }
    }

    /// Returns when to scan all subservers, in case the kernel dropped the signal of an exit.
    pub fn patience(&self) -> Deadline {
        if self.living.is_empty() { Deadline::NEVER } else { self.scan_all }
    }

    /// Reaps this subserver, or any, if it has exited. Returns whether one had.
    fn reap_one(&mut self, pid: Option<Pid>) -> bool {
        loop {
            match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
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
            WaitStatus::Exited(pid, 0) => (pid, Cow::from("exit status 0"), true),
            WaitStatus::Exited(pid, status) => (pid, format!("exit status {status}").into(), false),
            WaitStatus::Signaled(pid, signal, _) => (pid, signal.as_str().into(), false),
            _ => return,
        };
        let Some(unanswered) = self.living.remove(&pid) else { return };
        if !in_good_order {
            unanswered.turn_away(matches!(status, WaitStatus::Exited(_, 1)), &self.site);
        }
        let event = |event: Event| event.peer(pid.as_raw().cast_unsigned()).text(how);
        self.site.process.log(What::SubserverReaped, event);
    }

    /// Ends all subservers. TERM orders them to answer the requests that they have received. KILL follows
    /// after `grace`.
    ///
    /// # Errors
    /// [`Error::Signal`]: asked to end for the second time. Dropping this value kills the rest.
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
            // A subserver that is not reaped yet still has its PID.
            let _ = kill(*pid, signal);
        }
    }

    /// Kills and reaps all remaining subservers.
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

    /// Orders one subserver to end.
    pub fn order_to_end(&self, pid: Pid) {
        if self.living.contains_key(&pid) {
            // A subserver that is not reaped yet still has its PID.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

fn too_many_threads() -> Error {
    let threads = sys::threads();
    let hint = format!("this process has {threads} threads: serve from a process that has one");
    Error::on("fork", "subservers", Errno::EDEADLK).with_hint(hint)
}

/// Ties the child's life to its parent's. `closed`: whether the child could close the file descriptors that
/// are not its client's.
fn tie_to_parent(closed: Result<(), Errno>, process: &Process) -> Result<()> {
    closed
        .and_then(|()| sys::end_with_parent(Signal::SIGTERM))
        .map_err(|errno| Error::on("begin as", process.role().to_string(), errno))?;
    if process.parent_died() {
        return Err(Error::lost("the server died while it forked"));
    }
    Ok(())
}

impl Drop for Subservers {
    fn drop(&mut self) {
        if self.site.process.asked_to_end().is_none() {
            // The server ends by an error of its own; the clients being served get time to finish.
            let _ = self.end_by(Deadline::after(GRACE_AFTER_ERROR));
        }
        self.kill_all();
    }
}
