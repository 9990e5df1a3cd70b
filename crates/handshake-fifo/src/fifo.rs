//! Named pipes: made with a guard that unlinks just what it made, opened without waiting and with a look at
//! what was opened.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, lstat};
use nix::unistd::{Pid, geteuid, getpid, mkfifo, unlink};

/// Only the owner may read and write. The course's 0644 lets anyone read, and so steal requests.
const OWNER_ONLY: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Which file a name or a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file that was looked at.
    pub fn of(stat: &FileStat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// A FIFO of this user.
    Fifo(Identity),
    /// Something else, in words.
    Other(&'static str),
}

/// Looks at a name, without opening or following it.
///
/// # Errors
/// Those of lstat(2) but ENOENT.
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

/// Keeps a pipe's file in being, as neither a reader nor a writer of the pipe (open(2), `O_PATH`); `None`, where that
/// cannot be had.
pub fn hold(fd: impl AsFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()
}

/// How many names a descriptor's file has (0 after step 6, unless somebody gave it another).
///
/// # Errors
/// Those of fstat(2).
pub fn names_of(fd: impl AsFd) -> Result<u64, Errno> {
    Ok(fstat(fd)?.st_nlink)
}

/// Opens the reading end. Never waits: without a writer, reads give 0.
///
/// # Errors
/// `ENOENT`: no such name. `ELOOP`: a symbolic link. `EINVAL`: no FIFO. `EPERM`: another user's.
pub fn open_to_read(path: &Path) -> Result<OwnedFd, Errno> {
    open_checked(path, OFlag::O_RDONLY).map(|(fd, _)| fd)
}

/// Opens the writing end. Never waits, creates or truncates.
///
/// # Errors
/// As [`open_to_read`], and `ENXIO`: nobody reads it. That is a normal answer.
pub fn open_to_write(path: &Path) -> Result<OwnedFd, Errno> {
    open_identified(path).map(|(fd, _)| fd)
}

/// As [`open_to_write`]; says which file it is, too.
///
/// # Errors
/// As [`open_to_write`].
pub fn open_identified(path: &Path) -> Result<(OwnedFd, Identity), Errno> {
    open_checked(path, OFlag::O_WRONLY)
}

fn open_checked(path: &Path, way: OFlag) -> Result<(OwnedFd, Identity), Errno> {
    let fd = open(path, way | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = fstat(&fd)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFIFO.bits() {
        return Err(Errno::EINVAL);
    }
    if stat.st_uid != geteuid().as_raw() { Err(Errno::EPERM) } else { Ok((fd, Identity::of(&stat))) }
}

/// Which FIFO was just made at this path. mkfifo(3) takes the umask's bits away, and a directory's default
/// ACL may add some (acl(5)): the mode becomes what was meant.
fn owned_alone(path: &Path) -> Result<Identity, Errno> {
    let stat = lstat(path)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind != SFlag::S_IFIFO || stat.st_uid != geteuid().as_raw() {
        // Another process has put something else there: that is not ours to change.
        return Err(Errno::EEXIST);
    }
    if Mode::from_bits_truncate(stat.st_mode) != OWNER_ONLY {
        fchmodat(AT_FDCWD, path, OWNER_ONLY, FchmodatFlags::NoFollowSymlink)?;
    }
    Ok(Identity::of(&stat))
}

/// A FIFO that this process made. Dropping it removes the name, if the name still stands for this very FIFO and
/// this is still the process that made it (a forked child inherits the value, not the duty).
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    identity: Identity,
    maker: Pid,
    named: bool,
}

impl Fifo {
    /// Makes a FIFO that only this user can open, whatever the umask is.
    ///
    /// # Errors
    /// `EEXIST`: the name is taken. `EROFS`, `ENOSPC`, `EACCES`, `ENAMETOOLONG`, `ENOENT`: the directory's. Those of
    /// fchmodat(2), where the umask took a right away that this user needs.
    pub fn make(path: PathBuf) -> Result<Self, Errno> {
        mkfifo(&path, OWNER_ONLY)?;
        // Without a look there is no guard; but it was made a moment ago.
        let identity = owned_alone(&path).inspect_err(|errno| {
            if *errno != Errno::EEXIST {
                unlink(&path).unwrap_or_default();
            }
        })?;
        Ok(Self { path, identity, maker: getpid(), named: true })
    }

    /// The name it has now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its own name in the directory, for people.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// The same byte for byte, for the peer: a name need not be text.
    pub fn name_bytes(&self) -> Vec<u8> {
        self.path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default()
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Takes note that it has been moved.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Takes note that its name is gone already.
    pub fn set_unlinked(&mut self) {
        self.named = false;
    }

    /// Removes the name. The open ends live on.
    ///
    /// # Errors
    /// Those of unlink(2) but ENOENT.
    pub fn remove(mut self) -> Result<(), Errno> {
        self.unlink()
    }

    fn unlink(&mut self) -> Result<(), Errno> {
        if !std::mem::take(&mut self.named) || self.maker != getpid() {
            return Ok(());
        }
        match look(&self.path)? {
            Standing::Fifo(identity) if identity == self.identity => unlink(&self.path),
            _ => Ok(()),
        }
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // Nobody is left to be told; the next start sweeps by the rule of names.
        let _ = self.unlink();
    }
}

/// The last part of a path, for people.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
