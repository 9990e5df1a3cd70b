//! What all targets need: one process, one directory, and pipes that never wait.

use std::cell::RefCell;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use handshake_core::Process;
use handshake_core::event::Role;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{read, write};
use tempfile::TempDir;

/// The process and the directory in which this thread runs its scripts, one after the other.
struct Setup {
    process: Rc<Process>,
    directory: TempDir,
}

impl Setup {
    fn new(role: Role) -> Self {
        // Rust's own `main` ignores SIGPIPE; libFuzzer's does not.
        SigSet::from(Signal::SIGPIPE).thread_block().expect("a signal can be blocked");
        Self {
            process: Rc::new(Process::quiet(role).expect("signals can be handled")),
            directory: TempDir::with_prefix("fuzz-").expect("a temporary directory"),
        }
    }
}

thread_local! {
    static SETUP: RefCell<Option<Setup>> = const { RefCell::new(None) };
}

/// Gives `run` a process and an empty directory, and checks that it leaves the directory empty.
pub(crate) fn in_directory(role: Role, run: impl FnOnce(&Rc<Process>, &Path)) {
    let (process, directory) = SETUP.with_borrow_mut(|setup| {
        let setup = setup.get_or_insert_with(|| Setup::new(role));
        assert_eq!(setup.process.role(), role, "a thread runs one target");
        (Rc::clone(&setup.process), setup.directory.path().to_path_buf())
    });
    run(&process, &directory);
    assert_eq!(names(&directory), [""; 0], "these names are left");
}

/// Returns the names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory can be read");
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Writes as much as the pipe takes. Returns whether that was all. A pipe without a reader takes nothing.
pub(crate) fn put(pipe: &OwnedFd, bytes: &[u8]) -> bool {
    match write(pipe, bytes) {
        Ok(count) => count == bytes.len(),
        Err(Errno::EAGAIN | Errno::EPIPE) => false,
        Err(errno) => panic!("a pipe cannot be written: {errno}"),
    }
}

/// Reads until the pipe is empty.
pub(crate) fn take(pipe: &OwnedFd, into: &mut Vec<u8>) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = read(pipe, &mut bytes) {
        into.extend_from_slice(&bytes[..count]);
    }
}

/// Returns whether the pipe is ready now.
pub(crate) fn shows(pipe: impl AsFd, what: PollFlags) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), what)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll(2) works") > 0
}

/// Makes a name that a pipe of a live process may have.
pub(crate) fn name(directory: &Path, kind: &str, number: usize) -> (String, PathBuf) {
    let name = format!("mario.{kind}.{}.{number:016x}", std::process::id());
    let path = directory.join(&name);
    (name, path)
}
