//! What every process of the system has: a role, an event record with a gate, signals, and one way to wait.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::epoll::EpollEvent;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid, read};

use crate::course::latecomers::Latecomers;
use crate::deadline::{Deadline, monotonic_ns, now, stand_still};
use crate::eager::{Eagerness, Waiting};
use crate::error::{Error, Result};
use crate::event::{Event, Role, What};
use crate::signals::Signals;
use crate::sys::{Poller, wake_punctually};

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// So many descriptors show something.
    Ready(usize),
    /// A signal came: look at [`Process::asked_to_end`] and [`Process::child_ended`].
    Signal,
    /// The deadline passed, and nothing was there.
    Deadline,
}

/// A wait that finds something at once does not look at signals. So every so many waits look without waiting.
const LOOKS_AT_SIGNALS: u32 = 64;

/// So many waits in a row may fail for want of memory, before that is an error: there is no other way to pause.
const FAILED_WAITS_MAX: u32 = 16;

/// This process. It lives as long as the program; sessions and pipes share it by `Rc`.
pub struct Process {
    role: Cell<Role>,
    /// Whose death ends this process; set in subservers.
    parent: Cell<Option<Pid>>,
    signals: Signals,
    /// The first signal that asked, and when it came.
    asked_to_end: Cell<Option<(Signal, Duration)>>,
    waits: Cell<u32>,
    /// Waits in a row for which the kernel had no memory.
    failed_waits: Cell<u32>,
    eager: Eagerness,
    /// Course clients that are to be told that they were too late.
    pub(crate) latecomers: Latecomers,
    record: Record,
}

/// Told of each event.
pub type Observer = Box<dyn Fn(&Event)>;

/// Who is told of events, and when the process may go on.
#[derive(Default)]
pub struct Record {
    /// `--events`: opened for appending; each event is one write.
    events: Option<File>,
    /// `--gate`: one byte is read from here after each event.
    gate: Option<OwnedFd>,
    /// The talk on stderr.
    observer: Option<Observer>,
    line: RefCell<Vec<u8>>,
    gate_open: Cell<bool>,
}

impl Process {
    /// This process, with its signals in place.
    ///
    /// # Errors
    /// The kernel refuses a signal handler.
    pub fn start(role: Role, record: Record) -> Result<Self> {
        if role == Role::Client {
            // Short pauses, as a client makes them that seeks a server, would be twice as long otherwise.
            wake_punctually();
        }
        Ok(Self {
            role: Cell::new(role),
            parent: Cell::new(None),
            signals: Signals::install()?,
            asked_to_end: Cell::new(None),
            waits: Cell::new(0),
            failed_waits: Cell::new(0),
            eager: Eagerness::new(),
            latecomers: Latecomers::default(),
            record,
        })
    }

    /// A process that keeps no record, for programs that use this as a library.
    ///
    /// # Errors
    /// The kernel refuses a signal handler.
    pub fn quiet(role: Role) -> Result<Self> {
        Self::start(role, Record::default())
    }

    /// How this process waits from now on, and its subservers.
    pub fn wait_so(&self, how: Waiting) {
        self.eager.set(how);
    }

    /// What this process is.
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// Called in a child just forked: from here on this is a subserver, and `parent` its main server.
    pub fn become_subserver(&self, number: u32, parent: Pid) {
        self.role.set(Role::Subserver(number));
        self.parent.set(Some(parent));
        self.asked_to_end.set(None);
        self.eager.begin_asleep();
        self.latecomers.forget();
    }

    /// Whether the main server of this subserver has died.
    pub fn parent_died(&self) -> bool {
        self.parent.get().is_some_and(|parent| getppid() != parent)
    }

    /// The first signal that asked this process to end.
    pub fn asked_to_end(&self) -> Option<Signal> {
        self.asked_to_end.get().map(|(signal, _)| signal)
    }

    /// When `grace` is over, counted from the first signal; never, before one came.
    pub fn end_of(&self, grace: Duration) -> Deadline {
        self.asked_to_end.get().map_or(Deadline::NEVER, |(_, asked)| Deadline::at(asked + grace))
    }

    /// Whether a child has ended since this was asked last.
    pub fn child_ended(&self) -> bool {
        self.signals.take_child()
    }

    /// Waits for one of `fds` to show what it is watched for, for a signal, or until the deadline.
    ///
    /// # Errors
    /// [`Error::Signal`]: a client was asked to end; a server was asked for the second time. The caller lets it pass
    /// up, so that all guards tidy up.
    pub fn wait(&self, fds: &mut [PollFd<'_>], until: Deadline) -> Result<Woken> {
        if let Some(woken) = self.look_at_signals_now_and_then()? {
            return Ok(woken);
        }
        // A mere pause, and a look without a wait, are what they are.
        if !fds.is_empty() && !until.passed() {
            let look = || poll(fds, PollTimeout::ZERO).ok().filter(|count| *count > 0);
            if let Some(count) = self.eager.look(until.left(), look) {
                return Ok(Woken::Ready(count.cast_unsigned() as usize));
            }
        }
        self.woken(until, |until| {
            ppoll(fds, until.timespec(), Some(self.signals.mask())).map(i32::cast_unsigned)
        })
    }

    /// The same for the many descriptors of a [`Poller`]; `Ready(n)`: the first n of `events` are filled in.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn wait_for_many(
        &self,
        poller: &Poller,
        events: &mut [EpollEvent],
        until: Deadline,
    ) -> Result<Woken> {
        if let Some(woken) = self.look_at_signals_now_and_then()? {
            return Ok(woken);
        }
        if !until.passed() {
            let mask = SigSet::all();
            let look = || poller.wait(events, 0, &mask).ok().filter(|count| *count > 0);
            if let Some(count) = self.eager.look(until.left(), look) {
                return Ok(Woken::Ready(count));
            }
        }
        self.woken(until, |until| {
            let count = poller.wait(events, until.milliseconds(), &self.signals.mask())?;
            Ok(u32::try_from(count).expect("fewer events than fit an int"))
        })
    }

    fn woken(&self, until: Deadline, mut wait: impl FnMut(Deadline) -> Result<u32, Errno>) -> Result<Woken> {
        let failed_before = self.failed_waits.take();
        let waited = loop {
            let again = self.latecomers.tell();
            match wait(until.or(again)) {
                Ok(0) if again < until => {}
                waited => break waited,
            }
        };
        match waited {
            Ok(0) => Ok(Woken::Deadline),
            Ok(count) => Ok(Woken::Ready(count as usize)),
            Err(Errno::EINTR) => self.take_signals().map(|()| Woken::Signal),
            // To the caller it is a signal that it knows already: it looks around, and waits again.
            Err(Errno::ENOMEM) if failed_before < FAILED_WAITS_MAX => {
                self.failed_waits.set(failed_before + 1);
                Ok(Woken::Signal)
            }
            Err(errno) => Err(Error::on("wait for", "pipes", errno)),
        }
    }

    /// Every so often, whether a signal is there. What came is told to the caller: the wait that it was about to begin
    /// would not be ended by it any more.
    fn look_at_signals_now_and_then(&self) -> Result<Option<Woken>> {
        self.waits.set(self.waits.get().wrapping_add(1));
        if !self.waits.get().is_multiple_of(LOOKS_AT_SIGNALS) {
            return Ok(None);
        }
        let at_once = Deadline::in_exactly(Duration::ZERO);
        let look = |until: Deadline| {
            ppoll(&mut [], until.timespec(), Some(self.signals.mask())).map(i32::cast_unsigned)
        };
        Ok(Some(self.woken(at_once, look)?).filter(|woken| *woken == Woken::Signal))
    }

    fn take_signals(&self) -> Result<()> {
        while let Some(signal) = self.signals.take_termination() {
            match self.role.get() {
                // Ctrl-C reaches the whole group; what it means for subservers is the main server's to say. A TERM may
                // come twice, from the group and from the main server; both mean the same, and KILL is the end.
                Role::Subserver(_) if signal != Signal::SIGTERM || self.asked_to_end.get().is_some() => {}
                Role::Client => return Err(Error::Signal(signal)),
                _ if self.asked_to_end.get().is_some() => return Err(Error::Signal(signal)),
                _ => self.asked_to_end.set(Some((signal, now()))),
            }
        }
        Ok(())
    }

    /// Records the error that ended this session. A client's error must not end its server: only the order to
    /// end is returned.
    ///
    /// # Errors
    /// [`Error::Signal`].
    pub fn survives(&self, session: u64, result: Result<()>) -> Result<()> {
        match result {
            Err(Error::Signal(signal)) => Err(Error::Signal(signal)),
            Err(error) => {
                self.saw(What::ClientDropped, |event| event.session(session).text(error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The descriptors of the record, which a subserver must keep.
    pub(crate) fn record_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let Record { events, gate, .. } = &self.record;
        events.as_ref().map(AsFd::as_fd).into_iter().chain(gate.as_ref().map(AsFd::as_fd))
    }

    /// Whether each event must be recorded on its own, after it was really done.
    pub fn is_traced(&self) -> bool {
        self.record.events.is_some() || self.record.gate.is_some()
    }

    /// Records that `what` has just been received or seen; `more` adds to the event. Then waits at the gate.
    pub fn saw(&self, what: What, more: impl FnOnce(Event) -> Event) {
        self.record(None, what, more);
    }

    /// Does something that others can notice, and records it with the time *before* it was done, so that
    /// causes precede their effects in the record. Nothing is recorded when it fails.
    ///
    /// # Errors
    /// Those of `action`.
    pub fn does<T, E>(
        &self,
        what: What,
        more: impl FnOnce(Event) -> Event,
        action: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.is_traced().then(monotonic_ns);
        let done = action()?;
        self.record(before, what, more);
        Ok(done)
    }

    /// Records what was done at `before` (of [`monotonic_ns`]) and could only be described afterwards.
    pub fn did(&self, what: What, before: u64, more: impl FnOnce(Event) -> Event) {
        self.record(Some(before), what, more);
    }

    fn record(&self, ns: Option<u64>, what: What, more: impl FnOnce(Event) -> Event) {
        if !self.is_traced() && self.record.observer.is_none() {
            return;
        }
        let role = self.role.get();
        let event = more(Event {
            ns: ns.unwrap_or_else(monotonic_ns),
            pid: getpid().as_raw().cast_unsigned(),
            role,
            session: None,
            step: what.step(role),
            what,
            pipe: None,
            seq: None,
            bytes: None,
            text: None,
            peer: None,
        });
        self.record.tell(&event);
    }
}

impl Record {
    /// A record that writes to `events`, waits at `gate` and tells `observer`, each if there is one.
    pub fn new(events: Option<File>, gate: Option<OwnedFd>, observer: Option<Observer>) -> Self {
        Self { events, gate, observer, ..Self::default() }
    }

    fn tell(&self, event: &Event) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
        if let Some(mut events) = self.events.as_ref() {
            let mut line = self.line.borrow_mut();
            line.clear();
            serde_json::to_writer(&mut *line, event).expect("an event is plain data");
            line.push(b'\n');
            // A full disk must not end a session: the record has a gap, the service none.
            let _ = events.write_all(&line);
        }
        if let Some(gate) = self.gate.as_ref().filter(|_| !self.gate_open.get()) {
            // Signals are blocked here, so the process really stands still.
            stand_still(|| self.gate_open.set(!passed(gate)));
        }
    }
}

/// Waits for a byte at the gate. A closed gate lets everybody through, for good.
fn passed(gate: &OwnedFd) -> bool {
    loop {
        match read(gate, &mut [0]) {
            Ok(1) => return true,
            // Whoever made the gate reads it without waiting; we do wait.
            Err(Errno::EAGAIN) => {
                if poll(&mut [PollFd::new(gate.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).is_err() {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("role", &self.role.get()).finish_non_exhaustive()
    }
}
