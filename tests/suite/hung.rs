//! A scene whose programs hang, for the tests of `lab why`.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use assert_cmd::assert::Assert;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use pipe_watch::look::{Scope, State, Thread, Wait, look};
use predicates::prelude::*;
use predicates::str::is_match;
use workspace_tests::peers::hanging_program;
use workspace_tests::proc::living_in;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Program, Scene, Tool, needs, not_run};

/// A program that hangs in its scene.
pub(crate) struct Hung {
    pub(crate) scene: Scene,
    pub(crate) program: Rc<Program>,
}

/// Whether this user may see the system calls of a process that another one started. If not, prints NOT RUN.
pub(crate) fn may_look() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let may = geteuid().is_root() || matches!(scope.trim(), "" | "0");
    if !may {
        not_run(format_args!("kernel.yama.ptrace_scope is {}: it hides the system calls", scope.trim()));
    }
    may
}

impl Hung {
    /// Starts a scene of tests/hang/hang.c. `None`: this machine cannot.
    pub(crate) fn in_c(name: &str) -> Option<Self> {
        Self::started(Language::C, name)
    }

    /// Starts a scene in C, in Python (hang.py) and in Rust (hang.rs), as far as this machine can.
    pub(crate) fn in_each_language(name: &str) -> impl Iterator<Item = Self> {
        Language::ALL.into_iter().filter_map(move |language| Self::started(language, name))
    }

    /// Starts a scene in a language. `None`: this machine cannot.
    pub(crate) fn started(language: Language, name: &str) -> Option<Self> {
        if !may_look() {
            return None;
        }
        let command = language.command()?;
        let scene = Scene::new();
        let program = scene.client_at(&command[0]).args(&command[1..]).arg(name).start();
        Some(Self { scene, program })
    }

    /// Waits until each of these threads, by their names, is in this wait: a call, or `zombie`, `stopped`,
    /// `runs`.
    pub(crate) fn waits(self, expected: &[(&str, &str)]) -> Self {
        let place = self.scene.place().to_owned();
        until(format_args!("the waits {expected:?}"), || {
            let snapshot = look(&Scope::Directory(place.clone())).ok()?;
            let mut waits: Vec<(String, &str)> = Vec::new();
            for process in snapshot.chosen.iter().map(|pid| &snapshot.processes[pid]) {
                if process.state == State::Zombie {
                    waits.push((process.name.clone(), "zombie"));
                }
                waits.extend(process.threads.iter().map(|thread| (thread.name.clone(), wait(thread))));
            }
            let mut missing = expected.iter().filter(|(name, wait)| {
                let found = waits.iter().position(|(who, what)| who == name && what == wait);
                found.map(|at| waits.swap_remove(at)).is_none()
            });
            missing.next().is_none().then_some(())
        });
        self
    }

    /// Runs `lab why` for the program, with further arguments.
    pub(crate) fn why(&self, arguments: &[&str]) -> Assert {
        let pid = self.program.pid().to_string();
        self.scene.lab().args(["why", &pid]).args(arguments).run()
    }

    /// Checks that `lab why` says these sentences and exits with 1, and ends the scene.
    pub(crate) fn tells(self, sentences: &[&str]) {
        let mut end = self.why(&[]).code(1).stderr("");
        for sentence in sentences {
            end = end.stdout(says(sentence));
        }
        self.end();
    }

    /// Ends the processes, removes their pipes, and takes the census.
    pub(crate) fn end(self) {
        let place = self.scene.place();
        self.program.try_signal(Signal::SIGKILL);
        until_true("the processes to end", || {
            let left = living_in(place);
            for process in &left {
                // It may have ended by now.
                let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
            }
            left.is_empty()
        });
        self.program.ends();
        for name in self.scene.names() {
            fs::remove_file(self.scene.path(&name)).expect("a name of the scene");
        }
        self.scene.end();
    }
}

/// A language of the programs that hang.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Language {
    C,
    Python,
    Rust,
}

impl Language {
    pub(crate) const ALL: [Self; 3] = [Self::C, Self::Python, Self::Rust];

    /// Its file in tests/hang.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::C => "hang.c",
            Self::Python => "hang.py",
            Self::Rust => "hang.rs",
        }
    }

    /// The program that hangs, and its first arguments. `None`: this machine cannot run it.
    pub(crate) fn command(self) -> Option<Vec<PathBuf>> {
        const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hang/hang.py");
        match self {
            Self::C => needs(&[Tool::CCompiler]).then(|| vec![hanging_program()]),
            Self::Python => needs(&[Tool::Command("python3")]).then(|| vec!["python3".into(), PYTHON.into()]),
            Self::Rust => Some(vec![env!("CARGO_BIN_EXE_hang").into()]),
        }
    }
}

/// Checks what `lab why` says about a scene in C, in Python and in Rust. Their descriptors differ.
pub(crate) fn told(scene: &str, waits: &[(&str, &str)], sentences: &[&str]) {
    for hung in Hung::in_each_language(scene) {
        hung.waits(waits).tells(sentences);
    }
}

/// Checks what `lab why` says about a scene that only hang.c has.
pub(crate) fn told_in_c(scene: &str, waits: &[(&str, &str)], sentences: &[&str]) {
    if let Some(hung) = Hung::in_c(scene) {
        hung.waits(waits).tells(sentences);
    }
}

/// The word for a wait.
fn wait(thread: &Thread) -> &'static str {
    let word = match &thread.wait {
        Wait::Nothing => "runs",
        Wait::Open { .. } | Wait::File { call: "open", .. } => "open",
        Wait::Pipes(wait) => wait.call,
        Wait::Child { .. } => "wait",
        Wait::Thread { .. } => "futex",
        Wait::Signal { .. } => "pause",
        Wait::Sleep { .. } => "sleep",
        Wait::Stopped => "stopped",
        _ => "other",
    };
    // On aarch64, glibc has ppoll(2) and pselect6(2) under poll(3) and select(3).
    match word {
        "ppoll" => "poll",
        "pselect" => "select",
        word => word,
    }
}

/// A line of the output. `@name` stands for a process of that name, `#` for a number. Where processes of
/// other users hide their pipes, `lab why` says less about the only end of a pipe.
pub(crate) fn says(sentence: &str) -> impl Predicate<str> + use<> {
    let mut pattern = String::new();
    let mut rest = sentence.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '@' => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_alphanumeric()) {
                    name.push(c);
                }
                pattern += &format!(r"\d+ \({name}(, \d+ in its namespace)?\)");
            }
            '#' => pattern += r"\d+",
            c if c.is_ascii_punctuation() => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    let pattern = pattern
        .replace(r"pause\(\)", r"(pause|ppoll)\(\)")
        .replace(r"in poll\(", r"in p?poll\(")
        .replace(r"in select\(", r"in p?select\(")
        .replace("end is its own", "end( that can be seen)? is its own")
        .replace(r"\: no end of file can come", r"(\: no end of file can come)?")
        .replace(r"\: no other process reads", r"(\: no other process reads)?");
    is_match(format!("(?m)^ *{pattern}$")).expect("a pattern")
}
