//! The well-known pipe: claimed, made, replaced in one step, taken away, and never anybody else's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::unlink;

use crate::deadline::{Deadline, monotonic_ns};
use crate::error::{Error, Result, errno_of};
use crate::event::What;
use crate::fifo::{Fifo, Identity, Standing, look, open_to_read, open_to_write};
use crate::place::Place;
use crate::process::Process;
use crate::sys::{Lock, exchange, move_new, try_lock};

/// What to try when the directory cannot be used.
const DIRECTORY: &str =
    "--wkp must be in a directory that exists and is writable, on a file system with FIFOs and locks";

/// The right to serve at a place: a lock on `.NAME.lock`, held from before the first look until the last unlink.
///
/// The kernel gives it back when the process dies, however it does; a lock file without a lock means nothing.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Closed in every child, or the lock would outlive the server.
    lock: File,
    /// A FIFO that a dead server left at the WKP's name.
    stale: Option<Identity>,
}

impl Claim {
    /// Claims the place for this server.
    ///
    /// # Errors
    /// [`Error::InUse`]: another server lives here. [`Error::NotOurs`]: something that is no stale pipe of ours has
    /// the name, or the lock file's; it is left as it was. [`Error::System`]: the directory's.
    pub fn take(place: &Place) -> Result<Self> {
        let path = place.lock();
        let lock = Self::lock(place, &path)?;
        // From here on dropping the claim removes the lock file.
        let mut claim = Self { path, lock, stale: None };
        claim.stale = Self::look_for_others(place)?;
        Ok(claim)
    }

    fn lock(place: &Place, path: &PathBuf) -> Result<File> {
        let failed = |error: io::Error| match errno_of(&error) {
            errno @ (Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => Error::at(
                "open the lock file",
                path,
                errno,
                "something else has its name: remove that yourself",
            ),
            errno => Error::at("open the lock file", path, errno, DIRECTORY),
        };
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .map_err(failed)?;
            let opened = file.metadata().map_err(failed)?;
            if !opened.is_file() {
                return Err(Error::NotOurs { path: path.clone(), what: "a pipe or a device" });
            }
            match try_lock(file.as_fd(), Lock::Exclusive) {
                Ok(()) => {}
                Err(Errno::EWOULDBLOCK) => {
                    let because = "another server holds its lock";
                    return Err(Error::InUse { path: place.wkp().into(), because });
                }
                Err(errno) => return Err(Error::at("lock", path, errno, DIRECTORY)),
            }
            // Its owner may have removed the file between our open and our lock: then the lock is on a file without a name.
            if is_at(path, &opened) {
                return Ok(file);
            }
        }
    }

    /// With the lock in hand, nobody who follows these rules is at the name. A reader is somebody who does not.
    fn look_for_others(place: &Place) -> Result<Option<Identity>> {
        let path = place.wkp();
        match look(path).map_err(|errno| Error::at("look at", path, errno, DIRECTORY))? {
            Standing::Nothing => Ok(None),
            Standing::Other(what) => Err(Error::NotOurs { path: path.into(), what }),
            Standing::Fifo(identity) => match open_to_write(path) {
                Err(Errno::ENXIO) => Ok(Some(identity)),
                Ok(_) => Err(Error::InUse { path: path.into(), because: "somebody reads it" }),
                Err(errno) => {
                    Err(Error::at("open the pipe that stands at", path, errno, "remove it yourself"))
                }
            },
        }
    }
}

/// Whether the name stands for this very file.
fn is_at(path: &Path, file: &fs::Metadata) -> bool {
    fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (file.dev(), file.ino()))
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Removed while locked: who opened it before sees that its name is gone, and opens anew. If somebody has removed
        // it already, what stands there is another server's.
        if self.lock.metadata().is_ok_and(|locked| is_at(&self.path, &locked)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How long step 6 tries for the exclusive lock. A client holds its shared lock for three system calls; one that
/// was stopped there must not hold up the server, so then nobody keeps this WKP.
const LOCK_PATIENCE: Duration = Duration::from_millis(1);

/// Step 1: the pipe under the well-known name.
#[derive(Debug)]
pub struct WellKnownPipe {
    /// Dropping it takes the name away.
    fifo: Fifo,
    /// Becomes the first sender's upstream.
    from_client: Rc<OwnedFd>,
    /// Our own writing end: without it, a client that knocks and leaves would hang up the pipe for good.
    /// Closed in step 6, or the session would never see its client's end.
    guard: OwnedFd,
}

impl WellKnownPipe {
    /// Step 1. Makes the pipe and puts it under the well-known name, where nothing may stand but what a dead
    /// server left.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: something stands there. [`Error::System`]: no pipe can be made.
    pub fn create(place: &Place, claim: &mut Claim, process: &Process) -> Result<Self> {
        process.does(
            What::WkpCreated,
            |event| event.pipe(place.wkp().display()),
            || {
                let mut new = Self::make(place)?;
                match claim.stale.take() {
                    Some(stale) => new.put_in_place_of(stale, place)?,
                    None => move_new(new.fifo.path(), place.wkp())
                        .map_err(|errno| Self::not_free(place, errno))?,
                }
                new.fifo.moved_to(place.wkp().into());
                Ok(new)
            },
        )
    }

    /// Steps 6 and 1 in one: the next pipe takes this one's name, so clients never find the name missing.
    ///
    /// # Errors
    /// As [`WellKnownPipe::create`]; this pipe then still has its name.
    pub fn replace(&mut self, place: &Place, process: &Process) -> Result<TakenPipe> {
        let mut next = Self::make(place)?;
        let mut before = 0;
        process.does(
            What::WkpRemoved,
            |event| event.pipe(place.wkp().display()),
            || {
                before = monotonic_ns();
                next.put_in_place_of(self.fifo.identity(), place)
            },
        )?;
        process.did(What::WkpCreated, before, |event| event.pipe(place.wkp().display()));
        next.fifo.moved_to(place.wkp().into());
        self.fifo.nameless();
        Ok(std::mem::replace(self, next).taken())
    }

    /// Takes the name away, and leaves it free: step 6, or the end; `what` says which. [`WellKnownPipe::taken`] comes next.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: something else stands at the name; it is put back.
    pub fn remove(&mut self, place: &Place, process: &Process, what: What) -> Result<()> {
        process.does(
            what,
            |event| event.pipe(place.wkp().display()),
            || {
                // Moved aside and then looked at: between a look and an unlink, another file could come there.
                let aside = place.next();
                match with_free(&aside, || move_new(place.wkp(), &aside)) {
                    Ok(()) => {}
                    Err(Errno::ENOENT) => {
                        self.fifo.nameless();
                        return Ok(());
                    }
                    Err(errno) => {
                        return Err(Error::at("remove the well-known pipe", place.wkp(), errno, DIRECTORY));
                    }
                }
                let removed = match look(&aside) {
                    Ok(Standing::Fifo(identity)) if identity == self.fifo.identity() => unlink(&aside)
                        .map_err(|errno| {
                            Error::at("remove the well-known pipe", place.wkp(), errno, DIRECTORY)
                        }),
                    other => Err(not_ours(place, other)),
                };
                match removed {
                    Ok(()) => self.fifo.nameless(),
                    // If somebody has taken the name meanwhile, what we moved keeps the name aside.
                    Err(_) => drop(move_new(&aside, place.wkp())),
                }
                removed
            },
        )
    }

    /// Whether the name still stands for this pipe; what stands there instead is an error unless it is nothing.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: somebody has put something else there; it is left as it is.
    pub fn still_named(&self, place: &Place) -> Result<bool> {
        match look(place.wkp()) {
            Ok(Standing::Fifo(identity)) if identity == self.fifo.identity() => Ok(true),
            Ok(Standing::Nothing) => Ok(false),
            other => Err(not_ours(place, other)),
        }
    }

    /// The reading end, for who serves all clients through it (`--shared-wkp`).
    pub fn reading_end(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.from_client)
    }

    /// A new pipe under the name aside.
    fn make(place: &Place) -> Result<Self> {
        let path = place.next();
        let fifo = with_free(&path, || Fifo::make(path.clone()))
            .map_err(|errno| Error::at("make the well-known pipe", place.wkp(), errno, DIRECTORY))?;
        let open_failed = |errno| Error::at("open the new pipe", &path, errno, DIRECTORY);
        let from_client = Rc::new(open_to_read(&path).map_err(open_failed)?);
        let guard = open_to_write(&path).map_err(open_failed)?;
        Ok(Self { fifo, from_client, guard })
    }

    /// Exchanges names with what stands at the well-known name, and looks at what came out.
    fn put_in_place_of(&mut self, expected: Identity, place: &Place) -> Result<()> {
        let aside = self.fifo.path().to_path_buf();
        match exchange(&aside, place.wkp()) {
            Ok(()) => {}
            // Somebody has removed it; that does not stop us.
            Err(Errno::ENOENT) => {
                return move_new(&aside, place.wkp()).map_err(|errno| Self::not_free(place, errno));
            }
            Err(errno) => return Err(Self::not_free(place, errno)),
        }
        let removed = match look(&aside) {
            Ok(Standing::Fifo(identity)) if identity == expected => unlink(&aside)
                .map_err(|errno| Error::at("remove the old well-known pipe", place.wkp(), errno, DIRECTORY)),
            other => Err(not_ours(place, other)),
        };
        if removed.is_err() {
            // As long as the old one has any name, clients would believe that it is still looked at.
            exchange(&aside, place.wkp()).map_err(|errno| Self::not_free(place, errno))?;
        }
        removed
    }

    fn not_free(place: &Place, errno: Errno) -> Error {
        match errno {
            Errno::EEXIST => not_ours(place, look(place.wkp())),
            errno => Error::at("put the new pipe at", place.wkp(), errno, DIRECTORY),
        }
    }

    /// The guard's end is closed here, and the exclusive lock taken and given back: then no client is between its
    /// look at the name and its write, and none will write a HELLO here again.
    pub fn taken(self) -> TakenPipe {
        drop(self.guard);
        let until = Deadline::after(LOCK_PATIENCE);
        let closed_to_others = loop {
            match try_lock(self.from_client.as_fd(), Lock::Exclusive) {
                Ok(()) => break true,
                Err(Errno::EWOULDBLOCK) if !until.passed() => std::thread::yield_now(),
                Err(_) => break false,
            }
        };
        if closed_to_others {
            // Giving a lock back cannot fail.
            let _ = try_lock(self.from_client.as_fd(), Lock::Release);
        }
        TakenPipe { from_client: self.from_client, closed_to_others }
    }
}

impl AsFd for WellKnownPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from_client.as_fd()
    }
}

/// Uses the name aside. If something has it, that is a pipe of ours which could not be removed when it should have been,
/// and goes now.
fn with_free<T>(aside: &Path, mut uses: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match uses() {
        Err(Errno::EEXIST) => {}
        used => return used,
    }
    match look(aside)? {
        Standing::Fifo(_) if matches!(open_to_write(aside), Err(Errno::ENXIO)) => unlink(aside)?,
        _ => return Err(Errno::EEXIST),
    }
    uses()
}

fn not_ours(place: &Place, standing: Result<Standing, Errno>) -> Error {
    let what = match standing {
        Ok(Standing::Other(what)) => what,
        Ok(Standing::Fifo(_)) => "somebody else's pipe",
        Ok(Standing::Nothing) => "something that comes and goes",
        Err(errno) => return Error::at("look at", place.wkp(), errno, DIRECTORY),
    };
    Error::NotOurs { path: place.wkp().into(), what }
}

/// A pipe that was the well-known one, after step 6.
#[derive(Debug)]
pub struct TakenPipe {
    /// Its reading end.
    pub from_client: Rc<OwnedFd>,
    /// Whether it is certain that no further HELLO can come: only then may the first sender keep it.
    pub closed_to_others: bool,
}
