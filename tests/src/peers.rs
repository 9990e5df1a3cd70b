//! The peers in tests/peers: C programs as the course's students write them, one for each dialect and side.
//! The harness compiles them with the machine's C compiler. tests/peers/README.md describes them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::needs::not_run;
use crate::program::Program;
use crate::wait::until_true;

/// What a client and a server of one dialect agree on, as far as a test needs it. The programs have the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The programs are `client_NAME` and `server_NAME`.
    pub name: &'static str,
    /// The well-known pipe's default name.
    pub wkp: &'static str,
    /// The name of the client's private pipe.
    pub private: Private,
    /// What the client sends after the acknowledgement.
    pub third_step: ThirdStep,
    /// Whether each record is as long as its reader's buffer. Then two records in the pipe are never read as
    /// one.
    pub padded: bool,
    /// What happens to the server's process when it answers a client that has left.
    pub sigpipe: Sigpipe,
    /// Whether the server forks a subserver for each client.
    pub forks: bool,
}

/// The name that a client gives its private pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Private {
    /// Its PID in decimal.
    Number,
    /// Its PID in decimal; the client sends the number in 4 bytes, not the name. Our client cannot do that.
    SentAsInteger,
    /// `./` and its PID in decimal.
    DotNumber,
    /// A fixed word.
    Word(&'static str),
}

/// What a client sends after the acknowledgement, and how a server without options can tell it from a
/// message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThirdStep {
    /// Nothing: the handshake has two steps.
    None,
    /// `HOLA`, the acknowledgement again, or the acknowledgement plus one. The server recognises the text.
    Known,
    /// A number plus one, in reply to an acknowledgement that is no number. The server recognises it by its
    /// time: it comes at once.
    ByTime,
}

/// What happens to a server's process when it writes into a pipe without a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sigpipe {
    /// The process dies by SIGPIPE. If it is a subserver, its main server goes on.
    Dies,
    /// The process drops the client and goes on.
    GoesOn,
}

/// All dialects.
pub const DIALECTS: [Dialect; 11] = {
    use {Private::*, Sigpipe::*, ThirdStep::*};
    const HOLA: Dialect = Dialect {
        name: "3way_hola",
        wkp: "luigi",
        private: Number,
        third_step: Known,
        padded: true,
        sigpipe: GoesOn,
        forks: false,
    };
    [
        Dialect { name: "2way_100", wkp: "mario", third_step: None, sigpipe: Dies, ..HOLA },
        Dialect { name: "2way_late", wkp: "wario", third_step: None, private: DotNumber, ..HOLA },
        HOLA,
        Dialect { name: "3way_name", wkp: "wkp", sigpipe: Dies, forks: true, ..HOLA },
        Dialect { name: "3way_number", wkp: "known", third_step: ByTime, ..HOLA },
        Dialect { name: "3way_integer", wkp: "WKP", third_step: ByTime, ..HOLA },
        Dialect { name: "3way_pid", wkp: "well_known_pipe", private: SentAsInteger, ..HOLA },
        Dialect { name: "3way_strlen_nul", wkp: "toad", padded: false, ..HOLA },
        Dialect { name: "3way_strlen", wkp: "peach", padded: false, sigpipe: Dies, ..HOLA },
        Dialect { name: "3way_10000", wkp: "bowser", ..HOLA },
        Dialect { name: "3way_fixed_name", wkp: "yoshi", private: Word("secret"), ..HOLA },
    ]
};

impl Dialect {
    /// Returns the dialect with this name.
    pub fn named(name: &str) -> Self {
        DIALECTS.into_iter().find(|dialect| dialect.name == name).expect("a dialect's name")
    }

    /// Compiles its client, and returns the path.
    pub fn client(&self) -> PathBuf {
        compiled(&format!("client_{}", self.name))
    }

    /// Compiles its server, and returns the path.
    pub fn server(&self) -> PathBuf {
        compiled(&format!("server_{}", self.name))
    }

    /// The name of the private pipe of the client with this PID.
    pub fn private_pipe(&self, pid: u32) -> String {
        match self.private {
            Private::Number | Private::SentAsInteger => pid.to_string(),
            Private::DotNumber => format!("./{pid}"),
            Private::Word(word) => word.to_owned(),
        }
    }
}

/// Compiles the client that makes the mistake named by its argument (tests/peers/mistakes).
pub fn mistaken_client() -> PathBuf {
    let peers = Workshop::of_the_peers();
    let workshop = Workshop { sources: peers.sources.join("mistakes"), ..peers };
    workshop.program("client").unwrap_or_else(|complaint| panic!("{complaint}"))
}

/// Compiles the program that hangs in the way named by its argument (tests/hang).
pub fn hanging_program() -> PathBuf {
    let hang = Path::new(env!("CARGO_MANIFEST_DIR")).join("hang");
    Workshop::at(&hang, "hang").program("hang").unwrap_or_else(|complaint| panic!("{complaint}"))
}

fn compiled(program: &str) -> PathBuf {
    Workshop::of_the_peers().program(program).unwrap_or_else(|complaint| panic!("{complaint}"))
}

/// Compiles C programs, each once.
#[derive(Debug)]
pub struct Workshop {
    /// The command: `$CC`, or `cc`.
    pub compiler: String,
    /// The directory of the sources, `NAME.c`, and of the headers.
    pub sources: PathBuf,
    /// The directory of the programs. Each program has a folder there, named after a hash of the program's
    /// sources and options. So a program is never out of date, whatever the times of the files are.
    pub programs: PathBuf,
    /// The compiler's options. The last one takes the path of the output.
    pub flags: &'static [&'static str],
}

pub(crate) const PROGRAM: &[&str] = &["-Wall", "-Wextra", "-O1", "-pthread", "-o"];
const LIBRARY: &[&str] = &["-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-o"];

/// Compiles a library of tests/suite into this directory, and returns the word that makes env(1) preload it.
/// Needs [`crate::Tool::CCompiler`]. If the path cannot be preloaded, prints NOT RUN.
pub fn preload(name: &str, directory: &Path) -> Option<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    let library = directory.join(format!("{name}.so"));
    let workshop = Workshop { flags: LIBRARY, ..Workshop::at(&sources, "libraries") };
    workshop.compile(name, &library).unwrap_or_else(|complaint| panic!("{complaint}"));
    let library = library.to_string_lossy();
    // A space or a colon separates the libraries (ld.so(8)).
    if library.contains([' ', ':']) {
        not_run(format_args!(
            "LD_PRELOAD has no way to name {library:?}: set TMPDIR to a path without spaces"
        ));
        return None;
    }
    Some(format!("LD_PRELOAD={library}"))
}

impl Workshop {
    /// The workshop for tests/peers. The programs go beside the running test.
    pub fn of_the_peers() -> Self {
        Self::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("peers"), "peers")
    }

    /// A workshop for these sources. The programs go into a folder of this name beside the running test.
    pub(crate) fn at(sources: &Path, programs: &str) -> Self {
        let test = env::current_exe().expect("a test runs in a program");
        Self {
            compiler: env::var("CC").ok().filter(|cc| !cc.is_empty()).unwrap_or_else(|| "cc".to_owned()),
            sources: sources.to_owned(),
            programs: test.with_file_name(programs),
            flags: PROGRAM,
        }
    }

    /// Copies the sources into a directory, and returns a workshop for the copies. A test may then change
    /// them.
    pub fn copied_to(self, place: &Path) -> Self {
        let sources = place.join("sources");
        fs::create_dir(&sources).expect("a new directory");
        for file in self.files() {
            fs::copy(&file, sources.join(file.file_name().expect("a file's path"))).expect("a copy");
        }
        Self { sources, programs: place.join("programs"), ..self }
    }

    /// The sources and headers, sorted by path.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.sources).expect("the sources' directory");
        let is_c =
            |path: &PathBuf| path.extension().is_some_and(|extension| extension == "c" || extension == "h");
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_c).collect();
        files.sort();
        files
    }

    /// Returns the path of this program, and compiles it if it does not exist.
    ///
    /// # Errors
    /// The program cannot be compiled. The error says why.
    pub fn program(&self, name: &str) -> Result<PathBuf, String> {
        let program = self.programs.join(format!("{:016x}", self.fingerprint(name))).join(name);
        if !program.exists() {
            // Another process may compile it at the same time. The rename replaces a program by an equal one,
            // in one step.
            let folder = program.parent().expect("the program's path has a parent");
            fs::create_dir_all(folder).expect("a folder of ours");
            let unfinished = TempDir::with_prefix_in("unfinished-", folder).expect("a temporary directory");
            let complaints = self.compile(name, &unfinished.path().join(name))?;
            eprint!("{complaints}");
            fs::rename(unfinished.path().join(name), &program).expect("a new name in the same folder");
        }
        Ok(program)
    }

    /// Compiles a program to this path, and returns the compiler's output: nothing if there was no warning.
    ///
    /// # Errors
    /// The program cannot be compiled. The error says why.
    pub fn compile(&self, name: &str, to: &Path) -> Result<String, String> {
        let source = self.sources.join(format!("{name}.c"));
        let mut words = self.compiler.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(self.flags).arg(to).arg(&source);
        let cannot = format!("cannot compile {}: {command:?}", source.display());
        let output = command.output().map_err(|error| {
            format!("{cannot}: {error}: install a C compiler as \"cc\", or say in CC which one there is")
        })?;
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(complaints)
        } else {
            Err(format!("{cannot}: {}\n{complaints}", output.status))
        }
    }

    /// Why the compiler cannot compile the smallest program; `None` if it can.
    pub(crate) fn lacks_compiler(&self) -> Option<String> {
        let place = TempDir::with_prefix("compiler-").expect("a temporary directory");
        let source = "#include <stdio.h>\nint main(void)\n{\n    return puts(\"\") < 0;\n}\n";
        fs::write(place.path().join("smallest.c"), source).expect("our own directory");
        let workshop =
            Self { compiler: self.compiler.clone(), sources: place.path().into(), ..Self::of_the_peers() };
        workshop.compile("smallest", &place.path().join("smallest")).err()
    }

    /// A hash of the program's sources, headers and options.
    fn fingerprint(&self, name: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.compiler, self.flags).hash(&mut hasher);
        let source = OsString::from(format!("{name}.c"));
        for file in self.files() {
            let file_name = file.file_name().expect("a file's path");
            if file_name == source || file.extension().is_some_and(|extension| extension == "h") {
                (file_name, fs::read(&file).expect("a source")).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Returns what a server in C has printed so far, without the lines "waiting".
pub fn sessions(server: &Program) -> Vec<String> {
    server.printed().lines().filter(|line| *line != "waiting").map(str::to_owned).collect()
}

/// Waits until a server in C has made its well-known pipe for the n-th time.
pub fn waits_for_client(nth: usize, server: &Program) {
    until_true(format_args!("{} to wait for client {nth}", server.name()), || waited(server) >= nth);
}

/// Returns how often a server in C has made its well-known pipe.
pub fn waited(server: &Program) -> usize {
    server.printed().lines().filter(|line| *line == "waiting").count()
}

/// Checks that a server in C prints this about its clients, and nothing else.
pub fn tells(server: &Program, wanted: &[String]) {
    let what = format!("{} to print {wanted:?}", server.name());
    until_true(what, || !server.is_running() || sessions(server).len() >= wanted.len());
    assert_eq!(sessions(server), wanted, "{}", server.name());
}
