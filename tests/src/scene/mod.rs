//! The scene of a test: a directory, the programs that work there, and the census at the end.

mod end;

use std::cell::{Cell, RefCell};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use handshake_core::sys::keep_inherited_to_ourselves;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::course_server::CourseServer;
use crate::event_log::EventLog;
use crate::launch::Launch;
use crate::paradigm::Paradigm;
use crate::pipe;
use crate::proc::{lives_in, living_in, signal_to};
use crate::program::Program;
use crate::raw::RawClient;
use crate::raw_course::CourseClient;
use crate::raw_server::RawServer;
use crate::wait::within;

/// A directory with a well-known pipe named `mario`, and the programs that work there.
///
/// [`each!`](crate::each) and [`tests!`](crate::tests) make the scene of a test, and end it with
/// [`Scene::end`]. If the test fails before that, the scene reports what happened, and ends the processes
/// that it started.
#[derive(Debug)]
pub struct Scene {
    /// The directory of the pipes, and the programs' working directory.
    place: PathBuf,
    /// The directory of the programs' output and of the event log.
    log: PathBuf,
    event_log: Rc<EventLog>,
    programs: RefCell<Vec<Rc<Program>>>,
    /// The number of programs that have a name.
    named: Cell<usize>,
    /// The command lines of programs that ran to their end at once.
    noted: RefCell<Vec<String>>,
    /// Whether the census was taken.
    ended: Cell<bool>,
    _directory: TempDir,
}

impl Scene {
    /// Makes a scene.
    pub fn new() -> Self {
        // The programs that this process starts inherit only its descriptors 0, 1 and 2.
        static ONCE: Once = Once::new();
        ONCE.call_once(keep_inherited_to_ourselves);
        let directory = TempDir::with_prefix("handshake-").expect("a temporary directory");
        // The path as the kernel reports it.
        let root = directory.path().canonicalize().expect("the directory was just made");
        let (place, log) = (root.join("place"), root.join("log"));
        for directory in [&place, &log] {
            fs::create_dir(directory).expect("a new directory");
            // The mode must not depend on the umask.
            fs::set_permissions(directory, Permissions::from_mode(0o755))
                .expect("the directory was just made");
        }
        let event_log = Rc::new(EventLog::at(log.join("events")));
        Self {
            place,
            log,
            event_log,
            programs: RefCell::default(),
            named: Cell::new(0),
            noted: RefCell::default(),
            ended: Cell::new(false),
            _directory: directory,
        }
    }

    /// Prepares a server.
    pub fn server(&self, paradigm: Paradigm) -> Launch<'_> {
        Launch::server(self, paradigm)
    }

    /// Prepares a client that prints errors only. On a busy machine a client may otherwise print that it
    /// waits.
    pub fn client(&self) -> Launch<'_> {
        self.talking_client().arg("-q")
    }

    /// Prepares a client that may print more than errors.
    pub fn talking_client(&self) -> Launch<'_> {
        Launch::of_ours(self, "client", false)
    }

    /// Prepares the lab. Its page is so wide that each sentence stands on one line.
    pub fn lab(&self) -> Launch<'_> {
        Launch::of_ours(self, "lab", false).through(["env", "COLUMNS=1000"])
    }

    /// Prepares a client that is not ours. It writes no event log.
    pub fn client_at(&self, program: impl AsRef<Path>) -> Launch<'_> {
        Launch::at(self, program.as_ref(), false)
    }

    /// Prepares a server that is not ours. It writes no event log and no ready message. SIGTERM must end it
    /// with status 0.
    pub fn server_at(&self, program: impl AsRef<Path>) -> Launch<'_> {
        Launch::at(self, program.as_ref(), true)
    }

    /// Makes a client that the test controls, with its private pipe.
    pub fn raw_client(&self) -> RawClient {
        RawClient::at(&self.place)
    }

    /// Makes a client that the test controls, and does its handshake.
    pub fn raw_session(&self) -> RawClient {
        let mut client = self.raw_client();
        client.shake_hands();
        client
    }

    /// Makes a client of the course dialect that the test controls, with a private pipe of this name.
    pub fn course_client(&self, name: &str) -> CourseClient {
        CourseClient::at(&self.place, name)
    }

    /// Makes a server that the test controls, with its well-known pipe.
    pub fn raw_server(&self) -> RawServer {
        RawServer::at(&self.place)
    }

    /// Makes a server of the course that the test controls, with its well-known pipe.
    pub fn course_server(&self) -> CourseServer {
        CourseServer::at(&self.place)
    }

    /// The directory of the pipes.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The path of a name in that directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The names in that directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.place).expect("the scene's directory");
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Makes a FIFO of mode 0600 with this name.
    pub fn make_fifo(&self, name: &str) {
        pipe::make(&self.path(name));
    }

    /// The event log of the programs.
    pub fn event_log(&self) -> &EventLog {
        &self.event_log
    }

    /// Runs one client that sends this request, and checks its reply.
    pub fn serves(&self, request: &str, reply: &str) {
        self.client().arg(request).run().success().stdout(format!("{reply}\n"));
    }

    /// Starts a client, types this line, and waits for its reply, which is the line in capitals. The client
    /// stays connected.
    pub fn served_client(&self, line: &str) -> Rc<Program> {
        let client = self.client().typing().start();
        client.type_line(line);
        client.prints(&format!("{}\n", line.to_uppercase()));
        client
    }

    /// Sends a signal to a server or a subserver of this scene, by its PID. After SIGSTOP, the process is
    /// stopped when this returns.
    pub fn signal_server(&self, pid: u32, signal: Signal) {
        assert!(lives_in(pid, &self.place), "process {pid} does not belong to this scene");
        signal_to(pid, signal);
    }

    /// Gives the place and the event log to another user. Only root can do that.
    pub fn belongs_to(&self, user: u32) {
        let root = self.place.parent().expect("the place is in the scene's directory");
        // The user may pass through this directory, but not list it.
        fs::set_permissions(root, Permissions::from_mode(0o711)).expect("the test owns the directory");
        let event_log =
            File::options().create(true).append(true).open(self.event_log.path()).expect("a new file");
        fchown(&event_log, Some(user), Some(user)).expect("only root calls this");
        for directory in [&self.place, &self.log] {
            chown(directory, Some(user), Some(user)).expect("only root calls this");
        }
    }

    /// Waits until no subserver is alive, whatever their parents are now.
    pub fn subservers_end(&self, patience: Duration) {
        within(patience, "all subservers to end", || {
            let programs = self.programs.borrow();
            let started = |pid| programs.iter().any(|program| program.pid() == pid);
            living_in(&self.place).iter().all(|process| started(process.pid)).then_some(())
        });
    }

    pub(crate) fn event_log_rc(&self) -> Rc<EventLog> {
        Rc::clone(&self.event_log)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.log.join(name)
    }

    pub(crate) fn next_name(&self, program: &str) -> String {
        self.named.set(self.named.get() + 1);
        format!("{program}-{}", self.named.get())
    }

    /// Whether none of the clients that were started still runs.
    pub(crate) fn has_no_client(&self) -> bool {
        self.programs.borrow().iter().all(|program| program.is_server() || !program.is_running())
    }

    pub(crate) fn started(&self, program: Program) -> Rc<Program> {
        let program = Rc::new(program);
        self.programs.borrow_mut().push(Rc::clone(&program));
        program
    }

    pub(crate) fn noted(&self, words: String) {
        self.noted.borrow_mut().push(words);
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}
