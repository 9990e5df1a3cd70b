//! The ends of pipes that a test holds itself. All are non-blocking.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::wait::until;

/// The most bytes that one read takes: a pipe holds no more.
pub(crate) const READ_SIZE: usize = 65_536;

/// Makes a FIFO of mode 0600.
pub(crate) fn make(path: &Path) {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap_or_else(|errno| panic!("mkfifo {path:?}: {errno}"));
}

/// Opens the reading end.
pub fn open_to_read(path: impl AsRef<Path>) -> File {
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).expect("the pipe exists")
}

/// Opens the writing end, if the pipe has a reader.
pub fn open_to_write(path: impl AsRef<Path>) -> Option<File> {
    OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path).ok()
}

/// Opens the writing end as soon as the pipe has a reader.
pub(crate) fn wait_to_write(path: &Path) -> File {
    until(format_args!("a reader of {path:?}"), || open_to_write(path))
}

/// The path of an open pipe, whatever its name is now (proc(5)).
pub(crate) fn path_of(pipe: &File) -> PathBuf {
    format!("/proc/self/fd/{}", pipe.as_raw_fd()).into()
}

/// Reads once, at most this number of bytes. Returns no byte at EOF or if the pipe has no writer yet, and
/// `None` if the pipe is empty.
pub(crate) fn read(mut pipe: &File, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; most];
    match pipe.read(&mut bytes) {
        Ok(count) => {
            bytes.truncate(count);
            Some(bytes)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("cannot read: {error}"),
    }
}

/// Writes once. The pipe must have a reader, and room for all bytes.
pub(crate) fn write(mut pipe: &File, bytes: &[u8]) {
    let written = pipe.write(bytes).expect("the pipe has a reader and room");
    assert_eq!(written, bytes.len(), "the write was not whole");
}

/// Whether poll(2) reports one of these flags, an error or a hang-up within this number of milliseconds.
pub(crate) fn shows(pipe: &File, flags: PollFlags, milliseconds: u16) -> bool {
    poll(&mut [PollFd::new(pipe.as_fd(), flags)], PollTimeout::from(milliseconds)) == Ok(1)
}

/// Makes a pipe as small as the kernel allows. Its content must fit.
pub(crate) fn shrink(pipe: &File) {
    fcntl(pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("the pipe's content fits");
}
