//! A serving process, its place, and the course clients that wait there.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Result, SHUTTING_DOWN};
use crate::event::What;
use crate::fifo::name_of;
use crate::place::Place;
use crate::process::{Errand, Process};
use crate::server::course::late_clients::LateClients;
use crate::server::course::names::NamedClient;
use crate::server::course::queue::{PipeQueue, Queues, Waiting};

const CANNOT_WAIT: &str = "its name came through a pipe that it cannot wait for";
const TOO_MANY: &str = "too many clients wait for pipes that others have";
const TOO_LONG: &str = "it has waited for longer than the queue timeout";

/// How much longer a process that may end waits to turn late clients away.
const LAST_MOMENTS: Duration = Duration::from_millis(200);

/// A serving process and its place. The server, its pending clients and its subservers share one.
#[derive(Debug)]
pub struct Site {
    /// This value, for the errand.
    own: Weak<Self>,
    /// The process that serves.
    pub process: Rc<Process>,
    /// The place where it serves.
    pub place: Place,
    /// How long a course client may wait for another client's pipe. 0: forever.
    queue_timeout: Duration,
    /// Why the server turns away a course client whose name came through another client's pipe.
    pub(crate) why_late: Cell<&'static str>,
    pub(crate) queues: Queues,
    late: LateClients,
    /// What used pipes are read into. Empty until the first is read, since each fork copies its page tables.
    /// Then made once: a child keeps a copy of each page that its parent changes between two forks.
    pub(crate) buffer: RefCell<Box<[u8]>>,
}

impl Site {
    /// Makes the site of a process that serves at this place from now on.
    pub(crate) fn new(process: &Rc<Process>, place: Place, queue_timeout: Duration) -> Rc<Self> {
        Rc::new_cyclic(|own: &Weak<Self>| Self {
            own: own.clone(),
            process: Rc::clone(process),
            place,
            queue_timeout,
            why_late: Cell::new(CANNOT_WAIT),
            queues: Queues::default(),
            late: LateClients::default(),
            buffer: RefCell::default(),
        })
    }

    /// Begins to look, before each sleep of the process, for clients to turn away.
    fn begin_errand(&self) {
        self.process.run_before_sleeps(self.own.clone());
    }

    /// Turns all course clients away for this reason, since none can be served.
    pub fn serve_no_course(&self, reason: &'static str) {
        self.why_late.set(reason);
    }

    /// Adds a course client, whose name came through another client's pipe, to that pipe's queue. If the
    /// client waits already, here or elsewhere, it keeps its turn.
    pub(crate) fn join(&self, queue: &Rc<PipeQueue>, name: NamedClient) {
        let private = name.private.clone();
        match self.queues.join(queue, name) {
            Ok(false) => {}
            Ok(true) => {
                self.begin_errand();
                self.late.cancel(&private);
                self.process.log(What::Queued, |event| event.pipe(name_of(&private)));
            }
            Err(name) => self.turn_away(name.private, TOO_MANY),
        }
    }

    /// Makes this process responsible for the clients of the queue.
    pub(crate) fn adopt(&self, queue: &Rc<PipeQueue>) {
        self.begin_errand();
        self.queues.adopt(queue);
    }

    /// Takes out the next client of a queue whose private pipe is still the original one.
    pub(crate) fn next_in(&self, queue: &PipeQueue) -> Option<Waiting> {
        loop {
            let next = queue.pop(&self.queues)?;
            if next.is_still_there() {
                return Some(next);
            }
            self.process.log(What::ClientDropped, |event| {
                event.pipe(name_of(&next.name.private)).text("it left before its turn came")
            });
        }
    }

    /// Turns away all clients of a queue whose pipe no process serves any longer.
    pub(crate) fn turn_away_all(&self, queue: &PipeQueue, reason: &str) {
        for private in queue.leave(&self.queues) {
            self.turn_away(private, reason);
        }
    }

    /// Turns away the course client that waits at a private pipe, as soon as that pipe is open: the client
    /// gets EOF.
    pub(crate) fn turn_away(&self, private: PathBuf, reason: &str) {
        self.process.log(What::ClientDropped, |event| event.pipe(name_of(&private)).text(reason));
        self.close_when_open(private);
    }

    /// Does the work of [`Site::turn_away`] without a log line: the client may have its EOF already.
    pub(crate) fn close_when_open(&self, private: PathBuf) {
        self.begin_errand();
        self.late.add(private);
    }

    /// Cancels pending notices to a private pipe's name: a new client has it.
    pub(crate) fn forget(&self, private: &Path) {
        self.late.cancel(private);
        self.queues.forget(private);
    }

    /// Waits, before this process ends, until the clients that are turned away have opened their pipes. They
    /// get five seconds, or 0.2 seconds if the process was asked to end.
    ///
    /// # Errors
    /// Those of [`Process::wait`].
    pub(crate) fn flush_notices(&self) -> Result<()> {
        let mut last = Deadline::NEVER;
        loop {
            if last == Deadline::NEVER && self.process.asked_to_end().is_some() {
                last = Deadline::after(LAST_MOMENTS);
            }
            let again = self.process.run_errand();
            if again == Deadline::NEVER || last.passed() {
                return Ok(());
            }
            self.process.wait(&mut [], again.or(last))?;
        }
    }

    fn expire_queues(&self) -> Deadline {
        if self.process.asked_to_end().is_some() {
            self.queues.all().for_each(|queue| self.turn_away_all(&queue, SHUTTING_DOWN));
            return Deadline::NEVER;
        }
        if self.queue_timeout.is_zero() {
            return Deadline::NEVER;
        }
        let expire = |queue: Rc<PipeQueue>| {
            while let Some(private) = queue.pop_expired(self.queue_timeout, &self.queues) {
                self.turn_away(private, TOO_LONG);
            }
            queue.expires(self.queue_timeout)
        };
        self.queues.all().map(expire).fold(Deadline::NEVER, Deadline::or)
    }
}

impl Errand for Site {
    /// Turns away the clients that are due.
    fn run(&self) -> Deadline {
        self.expire_queues().or(self.late.close_those_open())
    }

    fn forget(&self) {
        self.queues.forget_all();
        self.late.forget_all();
    }
}
