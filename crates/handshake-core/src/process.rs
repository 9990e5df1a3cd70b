//! The state of every process: a role, an event log, signals, and one way to wait.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Weak;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::deadline::{Deadline, monotonic_ns, now};
use crate::error::{Error, Result};
use crate::event::{Event, Role, What};
use crate::event_log::EventLog;
use crate::stop::Stop;
use crate::sys::{Poller, Punctual};
use crate::wait::signals::{Handling, Signals, TERMINATION};
use crate::wait::spin::WaitMode;
use crate::wait::{Many, Pollable, Waiter};

pub use crate::wait::Woken;

/// Work that a process does before each sleep, and at least every 10 ms while it does not sleep.
pub(crate) trait Errand {
    /// Does what is due, without waiting. Returns when to do it again.
    fn run(&self) -> Deadline;

    /// Called in a child just forked: the work is the parent's.
    fn forget(&self);
}

/// This process. It lives as long as the program. Sessions and pipes share it by `Rc`.
pub struct Process {
    role: Cell<Role>,
    /// The main server whose death ends this process. Set in subservers.
    parent: Cell<Option<Pid>>,
    waiter: Waiter,
    /// Whether each child that ends is reaped at once.
    reaps_all: Cell<bool>,
    /// The first signal that asked this process to end, and when it came.
    asked_to_end: Cell<Option<(Signal, Duration)>>,
    errand: RefCell<Option<Weak<dyn Errand>>>,
    /// A server of a host program ends when this is readable, as at SIGTERM.
    stop: Stop,
    log: EventLog,
    /// Set in a client program: the default timer slack (50 us) would double the back-off pauses of a
    /// connecting client.
    _punctual: Option<Punctual>,
}

impl Process {
    /// Sets up this process, and its signals. Those of [`Handling`] are blocked in this thread and counted by
    /// handlers, as long as this value lives; SIGXFSZ is ignored. Dropping it restores all that.
    ///
    /// # Errors
    /// The kernel refuses a signal handler.
    pub fn start(signals: Handling, role: Role, log: EventLog) -> Result<Self> {
        let owns_process = signals == Handling::All;
        let signals = Signals::install(signals).map_err(|errno| Error::on("handle", "signals", errno))?;
        Ok(Self {
            role: Cell::new(role),
            parent: Cell::new(None),
            waiter: Waiter::new(signals),
            reaps_all: Cell::new(false),
            asked_to_end: Cell::new(None),
            errand: RefCell::new(None),
            stop: Stop::default(),
            log,
            _punctual: (role == Role::Client && owns_process).then(Punctual::begin),
        })
    }

    /// Makes a process without an event log, for a program that owns its process.
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub fn quiet(role: Role) -> Result<Self> {
        Self::start(Handling::All, role, EventLog::default())
    }

    /// Keeps the signal set-up until the program exits, also after this value is dropped. For a program whose
    /// whole life this is: a signal in the last moment then does not change the exit status.
    pub fn keep_signals(&self) {
        self.waiter.signals().keep();
    }

    /// Reaps each child that ends, for a program without children of its own. A program may inherit children
    /// from the one that it replaced (execve(2)), and process 1 of a container gets those whose parents have
    /// died.
    pub fn reap_all_children(&self) {
        self.reaps_all.set(true);
        reap_all();
    }

    /// Returns whether the next wait polls before it sleeps.
    pub(crate) fn polls(&self) -> bool {
        self.waiter.polls()
    }

    /// Sets how this process and its subservers wait from now on.
    pub fn set_wait_mode(&self, mode: WaitMode) {
        self.waiter.set_mode(mode);
    }

    /// Runs `errand` before each sleep from now on, as long as it exists. It replaces an earlier errand. Call
    /// this only when there is work: each look at an errand changes memory, of which every subserver would
    /// then have its own copy.
    pub(crate) fn run_before_sleeps(&self, errand: Weak<dyn Errand>) {
        self.errand.replace(Some(errand));
    }

    /// Ends this server, as SIGTERM does, as soon as `stop` is readable or at EOF.
    pub(crate) fn end_when_readable(&self, stop: OwnedFd) {
        self.stop.watch(stop);
    }

    /// Returns the role of this process.
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// Handles SIGCHLD from now on, for a process that forks.
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub fn handle_children(&self) -> Result<()> {
        self.waiter.signals().add(&[Signal::SIGCHLD]).map_err(|errno| Error::on("handle", "signals", errno))
    }

    /// Called in a child just forked: makes this process a subserver, and `parent` its main server. The main
    /// server orders it to end by SIGTERM, also if the host program handles that signal in the main server.
    pub fn become_subserver(&self, number: u32, parent: Pid) {
        // sigaction(2) fails for no signal that can be caught.
        let _ = self.waiter.signals().add(&TERMINATION);
        self.role.set(Role::Subserver(number));
        self.parent.set(Some(parent));
        self.asked_to_end.set(None);
        self.waiter.begin_asleep();
        if let Some(errand) = self.errand.take().and_then(|errand| errand.upgrade()) {
            errand.forget();
        }
        self.log.forget();
        self.stop.forget();
    }

    /// Returns whether the main server of this subserver has died.
    pub fn parent_died(&self) -> bool {
        self.parent.get().is_some_and(|parent| getppid() != parent)
    }

    /// Returns the first signal that asked this process to end.
    pub fn asked_to_end(&self) -> Option<Signal> {
        self.asked_to_end.get().map(|(signal, _)| signal)
    }

    /// Returns when `grace` is over, counted from the first signal. Never, if no signal has come.
    pub fn end_of(&self, grace: Duration) -> Deadline {
        self.asked_to_end
            .get()
            .map_or(Deadline::NEVER, |(_, asked)| Deadline::at(asked.saturating_add(grace)))
    }

    /// Returns whether a child has exited since the last call.
    pub fn child_ended(&self) -> bool {
        self.waiter.signals().take(Signal::SIGCHLD)
    }

    /// Returns whether this process was stopped and continued since the last call.
    pub fn was_continued(&self) -> bool {
        self.waiter.signals().take(Signal::SIGCONT)
    }

    /// Waits until one of `fds` is ready, until a signal, or until the deadline.
    ///
    /// # Errors
    /// [`Error::Signal`]: a client was asked to end, or a server was asked for the second time. The caller
    /// returns the error, and all guards clean up.
    pub fn wait(&self, fds: &mut [PollFd<'_>], until: Deadline) -> Result<Woken> {
        let others = fds.iter().map(|fd| (fd.as_fd(), fd.events()));
        match self.stop.wait(others, |fds| self.wait_for(fds, until))? {
            Some(ended) => Ok(self.woken_by(ended)),
            None => self.wait_for(fds, until),
        }
    }

    /// Waits as [`Process::wait`] does, for the many file descriptors of a [`Poller`]. After `Ready(n)`, the
    /// first n of `events` are filled in.
    ///
    /// # Errors
    /// Those of [`Process::wait`].
    pub fn wait_for_many(
        &self,
        poller: &Poller,
        events: &mut [EpollEvent],
        until: Deadline,
    ) -> Result<Woken> {
        let ready = [(poller.as_fd(), PollFlags::POLLIN)];
        match self.stop.wait(ready, |fds| self.wait_for(fds, until))? {
            Some(ended) => Ok(self.woken_by(ended)),
            None => self.wait_for(Many { poller, events }, until),
        }
    }

    /// An order to stop is handled like SIGTERM.
    fn woken_by(&self, (woken, is_stopped): (Woken, bool)) -> Woken {
        if !is_stopped {
            return woken;
        }
        self.asked_to_end.set(self.asked_to_end.get().or(Some((Signal::SIGTERM, now()))));
        Woken::Signal
    }

    fn wait_for(&self, what: impl Pollable, until: Deadline) -> Result<Woken> {
        let waited = self.waiter.wait(what, until, || self.run_errand());
        let woken = waited.map_err(|errno| Error::on("wait for", "pipes", errno))?;
        if woken == Woken::Signal {
            self.take_signals()?;
        }
        Ok(woken)
    }

    /// Runs the errand, if there is one. Returns when to run it again.
    pub(crate) fn run_errand(&self) -> Deadline {
        let errand = self.errand.borrow().as_ref().and_then(Weak::upgrade);
        errand.map_or(Deadline::NEVER, |errand| errand.run())
    }

    fn take_signals(&self) -> Result<()> {
        if self.reaps_all.get() && self.child_ended() {
            reap_all();
        }
        while let Some(signal) = self.waiter.signals().take_termination() {
            match self.role.get() {
                // Ctrl-C reaches the whole process group; the main server decides what it means for
                // subservers. A TERM may come twice, from the group and from the main server, with one
                // meaning. KILL ends a subserver.
                Role::Subserver(_) if signal != Signal::SIGTERM || self.asked_to_end.get().is_some() => {}
                Role::Client => return Err(Error::Signal(signal as i32)),
                _ if self.asked_to_end.get().is_some() => return Err(Error::Signal(signal as i32)),
                _ => self.asked_to_end.set(Some((signal, now()))),
            }
        }
        Ok(())
    }

    /// Logs the error that ended this session. A client's error must not end its server: only the order to
    /// end is returned.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub fn log_unless_signal(&self, session: u64, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if !matches!(error, Error::Signal(_)) => {
                self.log(What::ClientDropped, |event| event.session(session).text(error));
                Ok(())
            }
            result => result,
        }
    }

    /// Returns the file descriptors of the event log, which a subserver must keep.
    pub(crate) fn log_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.log.fds()
    }

    /// Logs that `what` has just been received or observed. `more` adds to the event. Then waits at the gate.
    pub fn log(&self, what: What, more: impl FnOnce(Event) -> Event) {
        self.log_at(None, what, more);
    }

    /// Does an action that other processes can notice, and logs it with the time *before* it. Causes
    /// therefore precede their effects in the log. Nothing is logged if the action fails.
    ///
    /// # Errors
    /// Those of `action`.
    pub fn log_around<T, E>(
        &self,
        what: What,
        more: impl FnOnce(Event) -> Event,
        action: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.log.is_traced().then(monotonic_ns);
        let done = action()?;
        self.log_at(before, what, more);
        Ok(done)
    }

    /// Logs what was done at `before` (of [`monotonic_ns`]), if it could only be described afterwards.
    pub fn log_since(&self, what: What, before: u64, more: impl FnOnce(Event) -> Event) {
        self.log_at(Some(before), what, more);
    }

    /// Makes an event that is [logged later](Process::log_described), when it happens. Returns `None` if the
    /// log has no reader.
    pub(crate) fn describe(&self, what: What, more: impl FnOnce(Event) -> Event) -> Option<Event> {
        self.log.is_read().then(|| more(Event::new(0, self.role.get(), what)))
    }

    /// Logs what has just been done, since `before` (of [`monotonic_ns`]).
    pub(crate) fn log_described(&self, events: &mut Vec<Event>, before: u64) {
        for event in events.drain(..) {
            self.log.write_event(&Event { ns: before, ..event });
        }
    }

    fn log_at(&self, ns: Option<u64>, what: What, more: impl FnOnce(Event) -> Event) {
        if self.log.is_read() {
            let role = self.role.get();
            self.log.write_event(&more(Event::new(ns.unwrap_or_else(monotonic_ns), role, what)));
        }
    }
}

fn reap_all() {
    let more = |reaped| !matches!(reaped, Ok(WaitStatus::StillAlive) | Err(_));
    while more(waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL))) {}
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("role", &self.role.get()).finish_non_exhaustive()
    }
}
