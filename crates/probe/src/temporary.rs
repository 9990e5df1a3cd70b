//! Temporary files and directories, in `$TMPDIR` or /tmp.

use std::env;
use std::fs::File;
use std::io;
use std::path::Path;

use handshake_core::error::{Error, Result};
use tempfile::{Builder, NamedTempFile, TempDir};

/// Makes a file without a name. The kernel removes it when its last file descriptor is closed.
///
/// # Errors
/// Those of the file system.
pub fn file() -> Result<File> {
    tempfile::tempfile().map_err(failed("make a temporary file in"))
}

/// Makes a file whose name begins with `prefix`. Dropping it removes the file.
///
/// # Errors
/// Those of the file system.
pub fn named_file(prefix: &str) -> Result<NamedTempFile> {
    Builder::new().prefix(prefix).tempfile().map_err(failed("make a temporary file in"))
}

/// Makes a directory whose name begins with `prefix`. Dropping it removes the directory and its contents.
///
/// # Errors
/// Those of the file system.
pub fn directory(prefix: &str) -> Result<TempDir> {
    directory_in(&env::temp_dir(), prefix).map_err(failed("make a temporary directory in"))
}

/// Makes a directory as [`directory`] does, but in /dev/shm if possible: nothing there is written to a disk.
///
/// # Errors
/// Those of the file system of `$TMPDIR`.
pub fn directory_in_memory(prefix: &str) -> Result<TempDir> {
    directory_in(Path::new(MEMORY), prefix).or_else(|_| directory(prefix))
}

/// A tmpfs on nearly every Linux.
pub const MEMORY: &str = "/dev/shm";

fn directory_in(parent: &Path, prefix: &str) -> io::Result<TempDir> {
    Builder::new().prefix(prefix).tempdir_in(parent)
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> Error {
    let hint = "set TMPDIR to a directory that exists and that you may write to";
    move |error| Error::at(operation, &env::temp_dir(), error, hint)
}
