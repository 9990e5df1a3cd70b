//! Named pipes: the guard removes the FIFO that it made and nothing else. Opening a file of any kind changes
//! nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use handshake_core::fifo::{Fifo, Standing, link_count, look, open_to_read, open_to_write};
use nix::errno::Errno;
use nix::unistd::{Uid, chown, geteuid};
use tempfile::{TempDir, tempdir};

use crate::listing;

fn directory() -> TempDir {
    tempdir().expect("a directory")
}

/// Makes a directory with a FIFO `mario` in it.
fn made() -> (TempDir, PathBuf, Fifo) {
    let directory = directory();
    let path = directory.path().join("mario");
    let (fifo, _) = Fifo::make(path.clone()).expect("a pipe");
    (directory, path, fifo)
}

#[test]
fn a_new_fifo_belongs_to_its_owner_alone() {
    let (_directory, path, fifo) = made();
    let made = fs::symlink_metadata(&path).unwrap();
    assert!(made.file_type().is_fifo());
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    assert_eq!(look(&path), Ok(Standing::Fifo(fifo.identity())));
    assert_eq!((fifo.name().as_str(), fifo.path()), ("mario", &*path));
    let path = path.with_file_name(OsStr::from_bytes(b"ma\xffrio"));
    let (fifo, _) = Fifo::make(path).expect("a name need not be text");
    assert_eq!((fifo.name().as_str(), fifo.name_bytes()), ("ma\u{fffd}rio", &b"ma\xffrio"[..]));
}

#[test]
fn the_guard_removes_its_fifo() {
    let (directory, path, fifo) = made();
    let reader = open_to_read(&path).expect("a reader");
    assert_eq!(link_count(&reader), Ok(1));
    drop(fifo);
    assert_eq!(listing(directory.path()), [""; 0]);
    assert_eq!(link_count(&reader), Ok(0), "the open end lives on without a name");
    let (directory, path, fifo) = made();
    assert_eq!(fifo.remove(), Ok(()));
    assert_eq!(listing(directory.path()), [""; 0]);
    fs::write(&path, "of value").unwrap();
    assert_eq!(fifo.remove(), Ok(()), "it has no name any more");
    assert_eq!(fs::read_to_string(&path).unwrap(), "of value");
}

#[test]
fn a_removal_that_failed_is_tried_again() {
    let (directory, _, fifo) = made();
    let moved = directory.path().with_extension("moved");
    fs::rename(directory.path(), &moved).unwrap();
    fs::write(directory.path(), "no directory").unwrap();
    assert_eq!(fifo.remove(), Err(Errno::ENOTDIR));
    fs::remove_file(directory.path()).unwrap();
    fs::rename(&moved, directory.path()).unwrap();
    assert_eq!(listing(directory.path()).len(), 1);
    drop(fifo);
    assert_eq!(listing(directory.path()), [""; 0]);
}

#[test]
fn the_guard_removes_nothing_else() {
    // Kept open, so that the FIFO that replaces it cannot get its inode number.
    let (_directory, path, fifo) = made();
    let _open = open_to_read(&path).expect("a reader");
    fs::remove_file(&path).unwrap();
    let (other, _) = Fifo::make(path.clone()).expect("another pipe");
    drop(fifo);
    assert_eq!(look(&path), Ok(Standing::Fifo(other.identity())), "the other pipe stays");

    let (_directory, path, fifo) = made();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "of value").unwrap();
    drop(fifo);
    assert_eq!(fs::read_to_string(&path).unwrap(), "of value", "the file stays");

    let (_directory, path, fifo) = made();
    fs::remove_file(&path).unwrap();
    symlink("elsewhere", &path).unwrap();
    assert_eq!(fifo.remove(), Ok(()), "what has gone need not be removed");
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("elsewhere"), "the link stays");
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("mario");
    fs::write(&path, "of value").unwrap();
    assert_eq!(Fifo::make(path.clone()).err(), Some(Errno::EEXIST));
    assert_eq!(fs::read_to_string(&path).unwrap(), "of value");
    assert_eq!(Fifo::make(directory.path().join("none/mario")).err(), Some(Errno::ENOENT));
}

/// Opens `path` for reading and for writing, and checks that the file has not changed.
fn opened(path: &Path) -> (Option<Errno>, Option<Errno>) {
    let before = fs::symlink_metadata(path).ok().map(|data| (data.len(), data.modified().unwrap()));
    let errors = (open_to_read(path).err(), open_to_write(path).err());
    let after = fs::symlink_metadata(path).ok().map(|data| (data.len(), data.modified().unwrap()));
    assert_eq!(before, after, "{path:?} is untouched");
    errors
}

#[test]
fn a_pipe_opens_without_waiting() {
    let (_directory, path, _fifo) = made();
    assert_eq!(open_to_write(&path).err(), Some(Errno::ENXIO), "it has no reader");
    let _reader = open_to_read(&path).expect("a reader needs no writer");
    assert_eq!(opened(&path), (None, None));
}

#[test]
fn a_file_that_is_no_pipe_does_not_open() {
    let (directory, path, _fifo) = made();
    let at = |name: &str| directory.path().join(name);
    let _reader = open_to_read(&path).expect("a reader");

    assert_eq!(opened(&at("nothing")), (Some(Errno::ENOENT), Some(Errno::ENOENT)));
    assert!(!at("nothing").exists(), "nothing is created");

    fs::write(at("file"), "of value").unwrap();
    assert_eq!(opened(&at("file")), (Some(Errno::EINVAL), Some(Errno::EINVAL)));
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "of value", "nothing is truncated");

    fs::create_dir(at("directory")).unwrap();
    assert_eq!(opened(&at("directory")), (Some(Errno::EINVAL), Some(Errno::EISDIR)));

    symlink("file", at("to-file")).unwrap();
    symlink("mario", at("to-pipe")).unwrap();
    symlink("nothing", at("to-nothing")).unwrap();
    for link in ["to-file", "to-pipe", "to-nothing"] {
        assert_eq!(opened(&at(link)), (Some(Errno::ELOOP), Some(Errno::ELOOP)), "{link} is not followed");
    }
    assert_eq!(opened(Path::new("/dev/null")), (Some(Errno::EINVAL), Some(Errno::EINVAL)));
}

#[test]
fn look_classifies_files() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "").unwrap();
    symlink("file", at("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    assert_eq!(look(&at("nothing")), Ok(Standing::Nothing));
    assert_eq!(look(&at("file")), Ok(Standing::Other("a regular file")));
    assert_eq!(look(&at("link")), Ok(Standing::Other("a symbolic link")));
    assert_eq!(look(&at("socket")), Ok(Standing::Other("a socket")));
    assert_eq!(look(directory.path()), Ok(Standing::Other("a directory")));
    assert_eq!(look(Path::new("/dev/null")), Ok(Standing::Other("a device")));
    assert_eq!(look(&at("file/x")), Err(Errno::ENOTDIR));
}

#[test]
fn another_users_pipe_does_not_open() {
    if !geteuid().is_root() {
        eprintln!("not run: only root can make another user's pipe");
        return;
    }
    let (_directory, path, fifo) = made();
    let _reader = open_to_read(&path).expect("a reader");
    chown(&path, Some(Uid::from_raw(65_534)), None).expect("root may");
    assert_eq!(opened(&path), (Some(Errno::EPERM), Some(Errno::EPERM)));
    assert_eq!(look(&path), Ok(Standing::Other("a pipe of another user")));
    drop(fifo);
    assert!(path.exists(), "it is no longer ours");
}
