//! What the targets stand on: one process, one directory, pipes that never wait.

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

/// Where the plays of this thread are, one after the other.
struct Stage {
    process: Rc<Process>,
    directory: TempDir,
}

impl Stage {
    fn new(role: Role) -> Self {
        // Rust's own `main` ignores it; libFuzzer's does not.
        SigSet::from(Signal::SIGPIPE).thread_block().expect("a signal can be blocked");
        Self {
            process: Rc::new(Process::quiet(role).expect("signals can be handled")),
            directory: TempDir::with_prefix("fuzz-").expect("a temporary directory"),
        }
    }
}

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

/// Gives a play a process and an empty directory, and looks that it leaves the directory empty.
pub(crate) fn play(role: Role, play: impl FnOnce(&Rc<Process>, &Path)) {
    let (process, directory) = STAGE.with_borrow_mut(|stage| {
        let stage = stage.get_or_insert_with(|| Stage::new(role));
        assert_eq!(stage.process.role(), role, "a thread plays one target");
        (Rc::clone(&stage.process), stage.directory.path().to_path_buf())
    });
    play(&process, &directory);
    assert_eq!(names(&directory), [""; 0], "these names are left");
}

/// The names there, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory can be read");
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Writes what the pipe takes; says whether that was all. A pipe without a reader takes nothing.
pub(crate) fn put(pipe: &OwnedFd, bytes: &[u8]) -> bool {
    match write(pipe, bytes) {
        Ok(count) => count == bytes.len(),
        Err(Errno::EAGAIN | Errno::EPIPE) => false,
        Err(errno) => panic!("a pipe cannot be written: {errno}"),
    }
}

/// Reads all that there is.
pub(crate) fn take(pipe: &OwnedFd, into: &mut Vec<u8>) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = read(pipe, &mut bytes) {
        into.extend_from_slice(&bytes[..count]);
    }
}

/// Whether the pipe shows something now.
pub(crate) fn shows(pipe: impl AsFd, what: PollFlags) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), what)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll(2) works") > 0
}

/// A name that a pipe of somebody alive may have.
pub(crate) fn name(directory: &Path, kind: &str, number: usize) -> (String, PathBuf) {
    let name = format!("mario.{kind}.{}.{number:016x}", std::process::id());
    let path = directory.join(&name);
    (name, path)
}
