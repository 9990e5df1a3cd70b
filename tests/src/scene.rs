//! The scene of a test: a directory, the programs that work there, and the census when they have gone.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use handshake_core::sys::keep_inherited_to_ourselves;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::course_server::CourseServer;
use crate::launch::Launch;
use crate::paradigm::Paradigm;
use crate::proc::{children_of, lives_in, living_in, signal_to};
use crate::program::Program;
use crate::raw::RawClient;
use crate::raw_course::CourseClient;
use crate::raw_server::RawServer;
use crate::record::Record;
use crate::wait::{until, within};

/// A directory with a well-known pipe named `mario`, and all that happens there.
///
/// A test ends with [`Scene::end`]. If it fails before, the scene tells what happened, and ends what it started.
#[derive(Debug)]
pub struct Scene {
    /// Where the pipes are; the programs' working directory.
    place: PathBuf,
    /// Where transcripts and the record are.
    log: PathBuf,
    record: Rc<Record>,
    programs: RefCell<Vec<Rc<Program>>>,
    /// How many programs were given a name.
    named: Cell<usize>,
    /// Commands that were run to their end at once.
    noted: RefCell<Vec<String>>,
    /// Whether the census was taken.
    ended: Cell<bool>,
    _directory: TempDir,
}

impl Scene {
    /// A new one.
    pub fn new() -> Self {
        // What this process was given beside 0, 1 and 2 is not for the programs that it starts.
        static ONCE: Once = Once::new();
        ONCE.call_once(keep_inherited_to_ourselves);
        let directory = TempDir::with_prefix("handshake-").expect("a temporary directory");
        // As the kernel will call it.
        let root = directory.path().canonicalize().expect("it was just made");
        let (place, log) = (root.join("place"), root.join("log"));
        for directory in [&place, &log] {
            fs::create_dir(directory).expect("a new directory");
            // Whatever the umask is.
            fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("it was just made");
        }
        let record = Rc::new(Record::at(log.join("events")));
        Self {
            place,
            log,
            record,
            programs: RefCell::default(),
            named: Cell::new(0),
            noted: RefCell::default(),
            ended: Cell::new(false),
            _directory: directory,
        }
    }

    /// A server, about to be started.
    pub fn server(&self, paradigm: Paradigm) -> Launch<'_> {
        Launch::server(self, paradigm)
    }

    /// A client, about to be started. It says nothing but errors: a busy machine may be slow enough for it to
    /// say that it waits.
    pub fn client(&self) -> Launch<'_> {
        self.talking_client().arg("-q")
    }

    /// A client that may say more than errors.
    pub fn talking_client(&self) -> Launch<'_> {
        Launch::of_ours(self, "client", false)
    }

    /// The lab, about to be started. Its page is wide enough for each of its sentences to stand on one line.
    pub fn lab(&self) -> Launch<'_> {
        Launch::of_ours(self, "lab", false).through(["env", "COLUMNS=1000"])
    }

    /// Somebody else's client, about to be started. It keeps no record.
    pub fn client_at(&self, program: impl AsRef<Path>) -> Launch<'_> {
        Launch::at(self, program.as_ref(), false)
    }

    /// Somebody else's server, about to be started. It keeps no record, and does not say when it is ready; SIGTERM is to end
    /// it, with status 0.
    pub fn server_at(&self, program: impl AsRef<Path>) -> Launch<'_> {
        Launch::at(self, program.as_ref(), true)
    }

    /// A client by hand, with its private pipe made.
    pub fn raw_client(&self) -> RawClient {
        RawClient::at(&self.place)
    }

    /// A client of the course dialect by hand, with its private pipe of this name made.
    pub fn course_client(&self, name: &str) -> CourseClient {
        CourseClient::at(&self.place, name)
    }

    /// A server by hand, with its well-known pipe made.
    pub fn raw_server(&self) -> RawServer {
        RawServer::at(&self.place)
    }

    /// A server of the course by hand, with its well-known pipe made.
    pub fn course_server(&self) -> CourseServer {
        CourseServer::at(&self.place)
    }

    /// Where the pipes are.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The path of a name there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The names there, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.place).expect("the scene's directory");
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What the programs did.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// One client comes, says this, and gets this answer.
    pub fn serves(&self, request: &str, reply: &str) {
        self.client().arg(request).run().success().stdout(format!("{reply}\n"));
    }

    /// Sends a signal to a server or a subserver of this scene, by its number. After SIGSTOP it stands still when this
    /// returns.
    pub fn signal_server(&self, pid: u32, signal: Signal) {
        assert!(lives_in(pid, &self.place), "process {pid} is none of this scene");
        signal_to(pid, signal);
    }

    /// Gives the place, and the record, to another user. Only root can.
    pub fn belongs_to(&self, user: u32) {
        let root = self.place.parent().expect("it is in the scene's own directory");
        // The way there; nobody else's to look around.
        fs::set_permissions(root, Permissions::from_mode(0o711)).expect("it is ours");
        let record = File::options().create(true).append(true).open(self.record.path()).expect("a new file");
        fchown(&record, Some(user), Some(user)).expect("only root calls this");
        for directory in [&self.place, &self.log] {
            chown(directory, Some(user), Some(user)).expect("only root calls this");
        }
    }

    /// Waits until no subserver lives, whoever their parents are by now.
    pub fn subservers_end(&self, patience: Duration) {
        within(patience, "all subservers to end", || {
            let programs = self.programs.borrow();
            let started = |pid| programs.iter().any(|program| program.pid() == pid);
            living_in(&self.place).iter().all(|process| started(process.pid)).then_some(())
        });
    }

    /// Ends what still runs, and takes the census. Every client has ended by now; every server that still runs has no
    /// child, ends with status 0 when it gets SIGTERM, and nothing is left: no name, no process.
    pub fn end(self) {
        let programs = self.programs.borrow();
        for program in programs.iter().filter(|program| !program.is_server()) {
            assert!(!program.is_running(), "the test forgot {}, which still runs", program.name());
        }
        let servers: Vec<_> =
            programs.iter().filter(|program| program.is_server() && program.is_running()).collect();
        for server in &servers {
            until(format_args!("{} to have no children", server.name()), || {
                children_of(server.pid()).is_empty().then_some(())
            });
            server.signal(Signal::SIGTERM);
        }
        for server in servers {
            server.ends().code(0);
        }
        assert_eq!(self.names(), [""; 0], "these names are left");
        assert_eq!(living_in(&self.place), [], "these processes are left");
        self.ended.set(true);
    }

    pub(crate) fn record_rc(&self) -> Rc<Record> {
        Rc::clone(&self.record)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.log.join(name)
    }

    pub(crate) fn next_name(&self, program: &str) -> String {
        self.named.set(self.named.get() + 1);
        format!("{program}-{}", self.named.get())
    }

    pub(crate) fn started(&self, program: Program) -> Rc<Program> {
        let program = Rc::new(program);
        self.programs.borrow_mut().push(Rc::clone(&program));
        program
    }

    pub(crate) fn noted(&self, words: String) {
        self.noted.borrow_mut().push(words);
    }

    /// All that a reader of a failure wants to know.
    fn tell(&self) {
        eprintln!("--- the place: {:?}", self.names());
        eprintln!("--- the processes that live there:");
        living_in(&self.place).iter().for_each(|process| eprintln!("{process:?}"));
        self.noted.borrow().iter().for_each(|words| eprintln!("--- was run: {words}"));
        let programs = self.programs.borrow();
        let (servers, others): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.is_server());
        let (running, ended): (Vec<_>, Vec<_>) = others.into_iter().partition(|program| program.is_running());
        for program in servers.iter().chain(&running).chain(&ended).take(TOLD) {
            let how = if program.is_running() { "runs" } else { "has ended" };
            eprintln!("--- {} (process {}) {how}: {}", program.name(), program.pid(), program.words());
            tell_tail("stdout", program.stdout_path());
            tell_tail("stderr", program.stderr_path());
        }
        eprintln!("--- {} programs in all", programs.len());
        tell_tail("the record", self.record.path());
    }

    /// Ends what is left: TERM, and KILL for who does not follow it. Only processes that this scene started have its
    /// directory as theirs.
    fn end_all(&self) {
        let programs = self.programs.borrow();
        let left: Vec<_> = programs.iter().filter(|program| program.is_running()).collect();
        left.iter().for_each(|program| program.close_stdin());
        left.iter().for_each(|program| program.try_signal(Signal::SIGTERM));
        for program in left {
            if !program.ends_within(Duration::from_secs(1)) {
                program.try_signal(Signal::SIGKILL);
                program.ends_within(Duration::from_secs(5));
            }
        }
        for process in living_in(&self.place) {
            // It may have gone since.
            let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        if panicking {
            self.tell();
        }
        if !self.ended.get() {
            self.end_all();
            assert!(panicking, "every test ends with the census: scene.end()");
        }
    }
}

/// How many programs' transcripts are shown.
const TOLD: usize = 12;

/// How much of each.
const TAIL: usize = 3000;

fn tell_tail(what: &str, path: &Path) {
    let bytes = fs::read(path).unwrap_or_default();
    if !bytes.is_empty() {
        let from = bytes.len().saturating_sub(TAIL);
        let cut =
            if from > 0 { format!(" (the last {TAIL} of {} bytes)", bytes.len()) } else { String::new() };
        eprintln!("{what}{cut}:\n{}", String::from_utf8_lossy(&bytes[from..]).trim_end());
    }
}
