//! Named pipes. A guard removes exactly the pipe that it made. Opening never waits, and checks what was
//! opened.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, lstat};
use nix::unistd::{Pid, geteuid, getpid, mkfifo, unlink};

/// Only the owner may read and write. The course's mode 0644 lets any user read, and so steal requests.
const OWNER_ONLY: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// The identity of the file behind a name or a file descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Returns the identity of the file that `stat` describes.
    pub fn of(stat: &FileStat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// What exists at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The name does not exist.
    Nothing,
    /// A FIFO of this user.
    Fifo(Identity),
    /// Another kind of file, in words.
    Other(&'static str),
}

/// Looks up a name, without opening the file or following a symbolic link.
///
/// # Errors
/// Those of lstat(2) except ENOENT.
pub fn look(path: &Path) -> Result<Standing, Errno> {
    let stat = match lstat(path) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(Standing::Nothing),
        Err(errno) => return Err(errno),
    };
    let what = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFIFO if stat.st_uid == geteuid().as_raw() => {
            return Ok(Standing::Fifo(Identity::of(&stat)));
        }
        SFlag::S_IFIFO => "a pipe of another user",
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    };
    Ok(Standing::Other(what))
}

/// Opens a file descriptor that keeps a pipe's file in existence, as neither a reader nor a writer (open(2),
/// `O_PATH`). `None` if the open fails.
pub fn open_to_keep(fd: impl AsFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()
}

/// Returns how many names a file has. A well-known pipe has 0 after step 6, unless another process links it
/// again.
///
/// # Errors
/// Those of fstat(2).
pub fn link_count(fd: impl AsFd) -> Result<u64, Errno> {
    Ok(fstat(fd)?.st_nlink)
}

/// Opens the reading end. Never waits. Without a writer, reads return 0.
///
/// # Errors
/// `ENOENT`: the name does not exist. `ELOOP`: a symbolic link. `EINVAL`: no FIFO. `EPERM`: another user's
/// FIFO.
pub fn open_to_read(path: &Path) -> Result<OwnedFd, Errno> {
    open_checked(path, OFlag::O_RDONLY).map(|(fd, _)| fd)
}

/// Opens the writing end. Never waits, creates or truncates.
///
/// # Errors
/// Those of [`open_to_read`], and `ENXIO`: the pipe has no reader. That is a normal answer.
pub fn open_to_write(path: &Path) -> Result<OwnedFd, Errno> {
    open_identified(path).map(|(fd, _)| fd)
}

/// Opens the writing end as [`open_to_write`] does, and returns the file's identity as well.
///
/// # Errors
/// Those of [`open_to_write`].
pub fn open_identified(path: &Path) -> Result<(OwnedFd, Identity), Errno> {
    open_checked(path, OFlag::O_WRONLY).map(|(fd, stat)| (fd, Identity::of(&stat)))
}

fn open_and_stat(path: &Path, way: OFlag) -> Result<(OwnedFd, FileStat), Errno> {
    let fd = open(path, way | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = fstat(&fd)?;
    Ok((fd, stat))
}

fn open_checked(path: &Path, way: OFlag) -> Result<(OwnedFd, FileStat), Errno> {
    let (fd, stat) = open_and_stat(path, way)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFIFO.bits() {
        return Err(Errno::EINVAL);
    }
    if stat.st_uid != geteuid().as_raw() { Err(Errno::EPERM) } else { Ok((fd, stat)) }
}

/// Opens the reading end of the FIFO that was just made at this path, and restores its mode: mkfifo(3)
/// removes the umask's bits, and a directory's default ACL may add some (acl(5)).
fn open_new(path: &Path) -> Result<(OwnedFd, Identity), Errno> {
    let (fd, stat) = match open_checked(path, OFlag::O_RDONLY) {
        Err(Errno::EACCES) if matches!(look(path), Ok(Standing::Fifo(_))) => {
            // The umask removed the right to read.
            fchmodat(AT_FDCWD, path, OWNER_ONLY, FchmodatFlags::NoFollowSymlink)?;
            open_checked(path, OFlag::O_RDONLY)?
        }
        opened => opened?,
    };
    if Mode::from_bits_truncate(stat.st_mode) != OWNER_ONLY {
        fchmod(&fd, OWNER_ONLY)?;
        // Until then, a sweep took the FIFO for one that a dead process left.
        if link_count(&fd)? == 0 {
            return Err(Errno::ENOENT);
        }
    }
    Ok((fd, Identity::of(&stat)))
}

/// A FIFO that this process made. Dropping it removes the name if the name still belongs to this FIFO. A
/// forked child inherits the value but removes nothing: only the process that made the FIFO does.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    identity: Identity,
    maker: Pid,
    named: Cell<bool>,
}

impl Fifo {
    /// Makes a FIFO that only this user can open, whatever the umask is, and opens its reading end. Never
    /// waits.
    ///
    /// # Errors
    /// `EEXIST`: the name is taken, or another process has put a different file there. `ENOENT`: there is no
    /// such directory, or a server has swept the FIFO away before it was open. `EROFS`, `ENOSPC`, `EACCES`,
    /// `ENAMETOOLONG`: from the directory. Those of open(2), and of fchmod(2) if the umask or a default ACL
    /// has changed the mode.
    pub fn make(path: PathBuf) -> Result<(Self, OwnedFd), Errno> {
        mkfifo(&path, OWNER_ONLY)?;
        let (fd, identity) = open_new(&path).map_err(|errno| match look(&path) {
            // Another process has put a different file there; leave it alone.
            Ok(Standing::Other(_)) => Errno::EEXIST,
            // A server has swept it away.
            Ok(Standing::Nothing) if errno == Errno::EACCES => Errno::ENOENT,
            // Without the identity, no guard can remove this FIFO. It was made a moment ago, so unlink it.
            Ok(Standing::Fifo(_)) | Err(_) if errno != Errno::ENOENT => {
                let _ = unlink(&path);
                errno
            }
            _ => errno,
        })?;
        Ok((Self { path, identity, maker: getpid(), named: Cell::new(true) }, fd))
    }

    /// Opens the writing end of this FIFO. Never waits.
    ///
    /// # Errors
    /// Those of open(2). `EEXIST`: another process has put a different file at the name. `ENXIO`: the FIFO
    /// has no reader.
    pub fn open_to_write(&self) -> Result<OwnedFd, Errno> {
        let (fd, stat) = open_and_stat(&self.path, OFlag::O_WRONLY)?;
        if Identity::of(&stat) == self.identity { Ok(fd) } else { Err(Errno::EEXIST) }
    }

    /// Returns the current path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file name, for messages.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Returns the file name byte for byte, for the peer: a name need not be text.
    pub fn name_bytes(&self) -> &[u8] {
        // Not `Path::file_name`: its code would be two more pages for each subserver to map.
        self.path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Returns the file's identity.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Records that the FIFO has been moved to `path`.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Records that the name has been removed.
    pub fn set_unlinked(&mut self) {
        self.named.set(false);
    }

    /// Removes the name, if this FIFO still has it. A removal that failed is tried again when the value is
    /// dropped. Open file descriptors stay usable.
    ///
    /// # Errors
    /// Those of lstat(2) and unlink(2).
    pub fn remove(&self) -> Result<(), Errno> {
        if !self.named.get() || self.maker != getpid() {
            return Ok(());
        }
        match look(&self.path)? {
            Standing::Fifo(identity) if identity == self.identity => unlink(&self.path)?,
            _ => {}
        }
        self.named.set(false);
        Ok(())
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // An error cannot be reported here. The sweep at a server's end or start removes what is left.
        let _ = self.remove();
    }
}

/// Returns the last component of a path, for messages.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
