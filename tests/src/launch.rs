//! How a scene starts a program.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use assert_cmd::assert::Assert;
use handshake_core::sys::with_default_signals;

use crate::binaries::path_of;
use crate::paradigm::Paradigm;
use crate::proc::{Target, descriptors};
use crate::program::{Program, Stdin};
use crate::scene::Scene;
use crate::terminal::Terminal;
use crate::wait::{WATCHDOG, until};

/// A barrier for programs. All programs behind it start when [`Barrier::open`] is called.
#[derive(Debug)]
pub struct Barrier {
    /// The stdin of a shell that becomes the program when this pipe ends.
    closed: PipeReader,
    _open: PipeWriter,
}

impl Barrier {
    /// Makes a closed barrier.
    pub fn new() -> Self {
        let (closed, open) = pipe().expect("a pipe");
        Self { closed, _open: open }
    }

    /// Starts all programs behind the barrier.
    pub fn open(self) {}
}

impl Default for Barrier {
    fn default() -> Self {
        Self::new()
    }
}

/// A program about to be started. It has the default signals, whatever this process ignores or blocks.
#[derive(Debug)]
pub struct Launch<'s> {
    scene: &'s Scene,
    /// The program's name in messages.
    name: String,
    program: PathBuf,
    /// A command that becomes the program: the words before it on the command line.
    through: Vec<OsString>,
    is_server: bool,
    arguments: Vec<OsString>,
    stdin: Stdin,
    input: Option<File>,
    barrier: Option<PipeReader>,
    /// The descriptor for the ready message: 1, which is a file, or 3, which a shell makes.
    ready_fd: Option<u32>,
    logged: bool,
    own_group: bool,
    user: Option<u32>,
    /// A terminal for stdin and stderr.
    terminal: Option<OwnedFd>,
    /// Whether stdout is that terminal, too.
    shows_stdout: bool,
}

impl<'s> Launch<'s> {
    pub(crate) fn server(scene: &'s Scene, paradigm: Paradigm) -> Self {
        let mut launch = Self::of_ours(scene, paradigm.binary(), true);
        launch.arguments.extend(paradigm.option().map(Into::into));
        launch.ready_fd = Some(1);
        launch
    }

    pub(crate) fn of_ours(scene: &'s Scene, program: &str, is_server: bool) -> Self {
        let logged = program != "lab";
        Self { logged, ..Self::at(scene, path_of(program), is_server) }
    }

    pub(crate) fn at(scene: &'s Scene, path: &Path, is_server: bool) -> Self {
        let name = path.file_name().expect("a program's path").to_string_lossy();
        Self {
            scene,
            name: scene.next_name(&name),
            program: path.into(),
            through: Vec::new(),
            is_server,
            arguments: Vec::new(),
            stdin: Stdin::Nothing,
            input: None,
            barrier: None,
            ready_fd: None,
            logged: false,
            own_group: false,
            user: None,
            terminal: None,
            shows_stdout: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Starts the program through a command that becomes the program and keeps its PID: `prlimit
    /// --nofile=20`.
    #[must_use]
    pub fn through<A: AsRef<OsStr>>(mut self, command: impl IntoIterator<Item = A>) -> Self {
        self.through.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// strace(1) makes these calls of a server and of its subservers fail: `fork,clone` and
    /// `EAGAIN:when=2..20`.
    #[must_use]
    pub fn failing(self, calls: &str, how: &str) -> Self {
        let place = self.scene.place();
        // strace works outside the place, or the census would find it. With -D the server is no child of
        // strace.
        self.through(["env", "-C", "/", "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"])
            .through(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={how}")])
            .through(["env".as_ref(), "-C".as_ref(), place.as_os_str()])
    }

    /// Starts the program as this user, with the group of the same number. Only root can do that.
    #[must_use]
    pub fn as_user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// The program stops after each event until the test continues it: [`Program::step_until`],
    /// [`Program::go_on`].
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.stdin = Stdin::Gate;
        self.args(["--gate", "0"])
    }

    /// The program reads what the test types: [`Program::type_line`], [`Program::close_stdin`].
    #[must_use]
    pub fn typing(mut self) -> Self {
        self.stdin = Stdin::Typed;
        self
    }

    /// The program's stdin is a file with this text.
    #[must_use]
    pub fn reading(self, text: &str) -> Self {
        let path = self.scene.log(&format!("{}.stdin", self.name));
        fs::write(&path, text).expect("a file of the scene");
        self.reading_file(&path)
    }

    /// The program's stdin is this file.
    #[must_use]
    pub fn reading_file(mut self, path: impl AsRef<Path>) -> Self {
        self.stdin = Stdin::File;
        self.input = Some(File::open(path).expect("a file that can be read"));
        self
    }

    /// The terminal is the program's stdin, stdout and stderr, and its controlling terminal (setsid(1)).
    #[must_use]
    pub fn at_terminal(self, terminal: &Terminal) -> Self {
        Self { shows_stdout: true, ..self.at_terminal_but_stdout(terminal) }
    }

    /// As [`Launch::at_terminal`], but stdout stays a file.
    #[must_use]
    pub fn at_terminal_but_stdout(mut self, terminal: &Terminal) -> Self {
        self.stdin = Stdin::Terminal;
        self.terminal = Some(terminal.for_program());
        self.through(["setsid", "--ctty", "env", "TERM=xterm"])
    }

    /// The program starts when the barrier opens.
    #[must_use]
    pub fn behind(mut self, barrier: &Barrier) -> Self {
        self.barrier = Some(barrier.closed.try_clone().expect("a copy of a pipe's end"));
        self
    }

    /// The server writes its ready message to descriptor 3, a copy of its stdout.
    #[must_use]
    pub fn ready_on_3(mut self) -> Self {
        self.ready_fd = Some(3);
        self
    }

    /// The program writes no event log, as in normal use.
    #[must_use]
    pub fn without_event_log(mut self) -> Self {
        self.logged = false;
        self
    }

    /// The program runs in a process group of its own.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Starts the program.
    pub fn start(self) -> Rc<Program> {
        self.launch(None)
    }

    /// Starts the program with its stdout in a pipe. Returns the end that the test reads.
    pub fn start_with_reader(self) -> (Rc<Program>, PipeReader) {
        let (reader, writer) = pipe().expect("a pipe");
        (self.launch(Some(writer)), reader)
    }

    fn launch(self, stdout_to: Option<PipeWriter>) -> Rc<Program> {
        let log = |suffix: &str| self.scene.log(&format!("{}.{suffix}", self.name));
        let (stdout, stderr) = (log("stdout"), log("stderr"));
        let create = |path: &PathBuf| File::create(path).expect("a file of the scene");
        let mut command = self.command();
        command.stdout(stdout_to.map_or_else(|| create(&stdout).into(), Stdio::from)).stderr(create(&stderr));
        let (stdin, writer) = match (self.barrier, self.input) {
            (Some(closed), _) => (closed.into(), None),
            (None, Some(file)) => (file.into(), None),
            (None, None) if matches!(self.stdin, Stdin::Nothing | Stdin::Terminal) => (Stdio::null(), None),
            (None, None) => {
                let (reader, writer) = pipe().expect("a pipe");
                self.scene.event_log().gives(&reader);
                (reader.into(), Some(writer))
            }
        };
        command.stdin(stdin);
        if let Some(terminal) = self.terminal {
            let copy = || terminal.try_clone().expect("a copy of a descriptor");
            command.stdin(copy()).stderr(copy());
            if self.shows_stdout {
                command.stdout(copy());
            }
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let event_log = self.scene.event_log_rc();
        let words = words(&command);
        let program = Program::new(
            self.name,
            words,
            self.is_server,
            child,
            self.stdin,
            writer,
            event_log,
            stdout,
            stderr,
        );
        self.scene.started(program)
    }

    /// Starts a server, and waits until clients can connect. The server is ready when it has written its
    /// newline and has closed the descriptor that it wrote to.
    pub fn ready(self) -> Rc<Program> {
        let is_alone = self.scene.has_no_client();
        let server = self.start();
        let said_so = Target::Other(server.stdout_path().to_path_buf());
        until(format_args!("{} to be ready", server.name()), || {
            assert!(server.is_running(), "{} ended before it was ready", server.name());
            fs::metadata(server.stdout_path()).ok().filter(|file| file.len() > 0)?;
            descriptors(server.pid()).iter().all(|held| held.target != said_so).then_some(())
        });
        // A client that waits for the server may have its session by now.
        if is_alone {
            server.is_ready();
        }
        server
    }

    /// Starts the program and waits for its end.
    pub fn run(self) -> Assert {
        self.start().ends()
    }

    /// Runs the program to its end with these bytes as its stdin. Stdin, stdout and stderr are pipes.
    pub fn run_with_stdin(self, stdin: impl Into<Vec<u8>>) -> Assert {
        let command = self.command();
        self.scene.noted(words(&command));
        assert_cmd::Command::from_std(command).write_stdin(stdin).timeout(WATCHDOG).assert()
    }

    fn command(&self) -> Command {
        // A shell that becomes the program, with the same PID. `read` returns at EOF.
        let script = match (&self.barrier, self.ready_fd) {
            (Some(_), _) => Some("read line; exec \"$0\" \"$@\""),
            (None, Some(3)) => Some("exec \"$0\" \"$@\" 3>&1 >/dev/null"),
            (None, _) => None,
        };
        let script = script.into_iter().flat_map(|script| ["/bin/sh", "-c", script]).map(OsStr::new);
        let program = self.through.iter().map(AsRef::as_ref).chain([self.program.as_os_str()]);
        let mut words = script.chain(program);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words);
        if let Some(fd) = self.ready_fd {
            command.args(["--ready-fd", &fd.to_string()]);
        }
        command.env_remove("HANDSHAKE_WKP").current_dir(self.scene.place());
        if self.logged {
            command.arg("--events").arg(self.scene.event_log().path());
        }
        if self.own_group {
            command.process_group(0);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.args(&self.arguments);
        with_default_signals(&mut command);
        command
    }
}

/// A command, roughly as a person would type it.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| excerpt(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn excerpt(word: &str) -> String {
    match word.char_indices().nth(100) {
        Some((end, _)) => format!("{}...({} bytes)", &word[..end], word.len()),
        None if word.is_empty() || word.contains(char::is_whitespace) => format!("{word:?}"),
        None => word.to_owned(),
    }
}
