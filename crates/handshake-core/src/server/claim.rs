//! The claim, which makes sure that a place has at most one live server.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::geteuid;

use crate::error::{Error, Remedy, Result};
use crate::fifo::{Identity, Standing, link_count, look, open_to_keep, open_to_write};
use crate::place::Place;
use crate::sys::{Lock, try_lock};

/// How often the lock file may lose its name between its open and its lock.
const TRIES: usize = 16;

/// How many lost pipes the server remembers.
const LOST_MAX: usize = 8;

/// How often a random temporary name may be taken before that is an error.
const NAMES_ASIDE: usize = 16;

/// The lock file's mode: only its owner needs it.
const OWNER_ONLY: u32 = 0o600;

/// The right to serve at a place: a lock on `.NAME.lock`, held from before the first check until the last
/// unlink.
///
/// The kernel releases the lock when the process dies for any reason. A lock file without a lock has no
/// meaning. The server checks the file's name as often as the well-known pipe's (`Claim::renew`).
#[derive(Debug)]
pub struct Claim {
    place: Place,
    path: PathBuf,
    /// Closed in every child; otherwise the lock would outlive the server.
    lock: RefCell<File>,
    /// A FIFO that a dead server left at the WKP's name.
    stale: Cell<Option<Identity>>,
    /// The temporary name that the next well-known pipe has first, and the old one last.
    aside: RefCell<PathBuf>,
    /// Well-known pipes of this server that another process has moved away. Each is kept open (`O_PATH`), so
    /// that no other file can get its inode number.
    lost: RefCell<VecDeque<(Identity, OwnedFd)>>,
}

impl Claim {
    /// Claims the place for this server.
    ///
    /// # Errors
    /// [`Error::InUse`]: another server runs here. [`Error::NotOurs`]: a file that is no stale pipe of ours
    /// has the name, or that of the lock file; it is left as it was. [`Error::System`]: an error of the
    /// directory.
    pub fn take(place: &Place) -> Result<Self> {
        let aside = RefCell::new(place.aside()?);
        let path = place.lock();
        let lock = RefCell::new(Self::lock(place, &path)?);
        // From here on, dropping the claim removes the lock file.
        let claim = Self {
            place: place.clone(),
            path,
            lock,
            stale: Cell::new(None),
            aside,
            lost: RefCell::default(),
        };
        claim.stale.set(Self::look_for_others(place)?);
        Ok(claim)
    }

    /// Returns the place that is claimed.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Calls `uses` with the temporary name. While it returns `EEXIST`, draws a new name and calls it again.
    ///
    /// # Errors
    /// The kernel's random source fails.
    pub(crate) fn with_name_aside<T>(
        &self,
        uses: impl Fn(&Path) -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>> {
        let mut aside = self.aside.borrow_mut();
        for _ in 1..NAMES_ASIDE {
            match uses(&aside) {
                Err(Errno::EEXIST) => *aside = self.place.aside()?,
                used => return Ok(used),
            }
        }
        Ok(uses(&aside))
    }

    /// Remembers this pipe if it still has a name, from which it could be moved back.
    pub(crate) fn remember_lost(&self, identity: Identity, pipe: impl AsFd) {
        if link_count(&pipe) != Ok(0)
            && let Some(held) = open_to_keep(pipe)
        {
            let mut lost = self.lost.borrow_mut();
            lost.push_front((identity, held));
            lost.truncate(LOST_MAX);
        }
    }

    /// Returns whether this is a lost pipe of this server. If it has the well-known name again, the server
    /// may remove it.
    pub(crate) fn has_lost(&self, pipe: Identity) -> bool {
        self.lost.borrow().iter().any(|(lost, _)| *lost == pipe)
    }

    pub(crate) fn forget_lost(&self, pipe: Identity) {
        self.lost.borrow_mut().retain(|(lost, _)| *lost != pipe);
    }

    /// Returns a FIFO at the WKP's name that may be replaced: that of a dead server, once, or a lost one of
    /// this server.
    pub(crate) fn take_replaceable(&self) -> Option<Identity> {
        if let Some(stale) = self.stale.take() {
            return Some(stale);
        }
        if self.lost.borrow().is_empty() {
            return None;
        }
        match look(self.place.wkp()) {
            Ok(Standing::Fifo(identity)) if self.has_lost(identity) => Some(identity),
            _ => None,
        }
    }

    /// Makes a new lock file if its name is gone: cleaners of temporary directories remove old files.
    ///
    /// # Errors
    /// [`Error::InUse`]: another server was faster.
    pub(crate) fn renew(&self) -> Result<()> {
        if self.has_its_name() != Some(false) {
            return Ok(());
        }
        match Self::lock(&self.place, &self.path) {
            Ok(lock) => drop(self.lock.replace(lock)),
            Err(Error::InUse { path, .. }) => {
                let because = "the lock file was removed, and another server has made a new one";
                return Err(Error::InUse { path, because });
            }
            // An error of the directory, which may pass.
            Err(_) => {}
        }
        Ok(())
    }

    /// Returns whether the name belongs to the lock file. `None`: unknown at this moment.
    pub(crate) fn has_its_name(&self) -> Option<bool> {
        is_at(&self.path, &self.lock.borrow().metadata().ok()?)
    }

    fn lock(place: &Place, path: &Path) -> Result<File> {
        let failed = |error| cannot_open(path, error);
        for _ in 0..TRIES {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(OWNER_ONLY)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .map_err(failed)?;
            let opened = file.metadata().map_err(failed)?;
            if !opened.is_file() {
                return Err(Error::NotOurs { path: path.into(), what: "a pipe or a device" });
            }
            if opened.uid() != geteuid().as_raw() {
                return Err(Error::NotOurs { path: path.into(), what: "a lock file of another user" });
            }
            if opened.mode() & 0o777 != OWNER_ONLY {
                // The umask removed a right, and the next server could not open the file.
                file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY)).map_err(failed)?;
            }
            match try_lock(file.as_fd(), Lock::Exclusive) {
                Ok(()) => {}
                Err(Errno::EWOULDBLOCK) => {
                    let because = "another server holds its lock";
                    return Err(Error::InUse { path: place.wkp().into(), because });
                }
                Err(errno) => return Err(Error::in_directory("lock", path, errno)),
            }
            // Its owner may have removed the file between our open and our lock. The lock is then on a file
            // without a name.
            if is_at(path, &opened) == Some(true) {
                return Ok(file);
            }
        }
        Err(Error::in_directory("keep the lock file", path, Errno::ESTALE))
    }

    /// Checks the well-known name. Under the lock, no server that follows these rules has the name. Another
    /// process may read it all the same.
    fn look_for_others(place: &Place) -> Result<Option<Identity>> {
        let path = place.wkp();
        match look(path).map_err(|errno| Error::in_directory("look at", path, errno))? {
            Standing::Nothing => Ok(None),
            Standing::Other(what) => Err(Error::NotOurs { path: path.into(), what }),
            Standing::Fifo(identity) => match open_to_write(path) {
                Err(Errno::ENXIO) => Ok(Some(identity)),
                Ok(_) => Err(Error::InUse { path: path.into(), because: "another process reads it" }),
                Err(errno) => {
                    Err(Error::at("open the pipe that stands at", path, errno, "remove it yourself"))
                }
            },
        }
    }
}

/// Returns the error for a lock file that cannot be opened.
fn cannot_open(path: &Path, error: io::Error) -> Error {
    let error = Error::at("open the lock file", path, error, "");
    let Ok(file) = fs::symlink_metadata(path) else { return error.with_remedy(Remedy::Directory) };
    if !file.is_file() {
        return error.with_hint("something else has its name: remove that yourself");
    }
    let owner = file.uid();
    if owner == geteuid().as_raw() {
        return error.with_hint("no server can open it: remove it, if no server runs here");
    }
    let hint = format!("it belongs to user {owner}, whose server may be running here");
    error.with_hint(hint).with_remedy(Remedy::OtherName)
}

/// Returns whether the name belongs to this very file. `None`: unknown at this moment.
fn is_at(path: &Path, file: &fs::Metadata) -> Option<bool> {
    match fs::symlink_metadata(path) {
        Ok(now) => Some((now.dev(), now.ino()) == (file.dev(), file.ino())),
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some(false),
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The file is removed while locked: a server that opened it before finds the name gone, and opens a
        // new file. If the name is gone already, a file there belongs to another server.
        if self.has_its_name() == Some(true) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::errno_of;

    #[test]
    fn a_taken_temporary_name_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::new(&directory.path().join("mario")).expect("a good path");
        let claim = Claim::take(&place).expect("no other server is here");
        let aside = || {
            let used = claim.with_name_aside(|path| Ok(path.to_path_buf()));
            used.expect("random numbers").expect("no error")
        };
        let (first, again) = (aside(), aside());
        assert_eq!(first, again, "one for as long as nothing stands there");
        let make = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        make(&first).expect("it is free");
        let made = claim.with_name_aside(|path| make(path).map_err(|error| errno_of(&error)));
        assert!(made.expect("random numbers").is_ok() && aside() != first);
        let never = claim.with_name_aside(|_| Err::<(), _>(Errno::EEXIST)).expect("random numbers");
        assert_eq!(never, Err(Errno::EEXIST));
    }
}
