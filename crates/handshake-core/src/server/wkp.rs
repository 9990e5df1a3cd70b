//! The well-known pipe: creating, replacing and removing it, without touching a file that is not this
//! server's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::unlink;

use crate::deadline::{Deadline, monotonic_ns};
use crate::error::{Error, Result};
use crate::event::{Event, What};
use crate::fifo::{Fifo, Identity, Standing, look};
use crate::place::Place;
use crate::process::Process;
use crate::server::claim::Claim;
use crate::sys::{Lock, exchange, is_unsupported, move_new, rename_over, try_lock};

/// How long step 6 tries to get the exclusive lock. A client holds its shared lock for three system calls. A
/// client stopped in between must not block the server; if that happens, no client keeps this WKP as its
/// upstream.
const LOCK_PATIENCE: Duration = Duration::from_millis(1);

/// How often the server tries to give the next pipe its name, while another process moves the old one away
/// and back.
const TRIES: usize = 16;

/// Step 1: the pipe under the well-known name.
#[derive(Debug)]
pub struct WellKnownPipe {
    /// Dropping it removes the name.
    fifo: Fifo,
    /// Becomes the first sender's upstream.
    from_client: Rc<OwnedFd>,
    /// The server's own writing end. Without it, a client that opens the pipe and leaves would cause a
    /// permanent hang-up. Closed in step 6, or the session would never read its client's EOF.
    guard: OwnedFd,
}

impl WellKnownPipe {
    /// Step 1. Makes the pipe and puts it under the well-known name. The name must be free, or belong to a
    /// pipe that a dead server left.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: the name is taken. [`Error::System`]: no pipe can be made.
    pub fn create(claim: &Claim, process: &Process) -> Result<Self> {
        let place = claim.place();
        let event = |event: Event| event.pipe(place.wkp().display());
        process.log_around(What::WkpCreated, event, || {
            let mut new = Self::make(claim)?;
            new.put_at_name(claim.take_replaceable(), claim)?;
            new.fifo.set_path(place.wkp().into());
            Ok(new)
        })
    }

    /// Steps 6 and 1 in one: the next pipe takes this one's name, so that clients never find the name
    /// missing.
    ///
    /// # Errors
    /// Those of [`WellKnownPipe::create`]. This pipe is then still the well-known one.
    pub fn replace(&mut self, claim: &Claim, process: &Process) -> Result<TakenPipe> {
        let place = claim.place();
        let mut next = Self::make(claim)?;
        let mut before = 0;
        let event = |event: Event| event.pipe(place.wkp().display());
        let removed = process.log_around(What::WkpRemoved, event, || {
            before = monotonic_ns();
            next.put_at_name(Some(self.fifo.identity()), claim)
        })?;
        self.forget_name(removed, claim);
        process.log_since(What::WkpCreated, before, event);
        next.fifo.set_path(place.wkp().into());
        Ok(std::mem::replace(self, next).taken())
    }

    /// Removes the name, and leaves it free, in step 6 or at the end; `what` is the event for the log.
    /// [`WellKnownPipe::taken`] comes next.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: a different file has the name; it is put back.
    pub fn remove(&mut self, claim: &Claim, process: &Process, what: What) -> Result<()> {
        let place = claim.place();
        let event = |event: Event| event.pipe(place.wkp().display());
        process.log_around(what, event, || {
            // The pipe is moved aside and then checked: between a check and an unlink, another file could
            // get the name.
            let moved = claim.with_name_aside(|aside| {
                move_new(place.wkp(), aside)?;
                Ok(aside.to_path_buf())
            })?;
            let removed = match moved {
                Ok(aside) => remove_aside(&aside, self.fifo.identity(), claim).inspect_err(|_| {
                    // If another process has taken the name meanwhile, the moved file keeps its
                    // temporary name.
                    let _ = move_new(&aside, place.wkp());
                })?,
                Err(Errno::ENOENT) => false,
                Err(errno) => {
                    return Err(Error::in_directory("remove the well-known pipe", place.wkp(), errno));
                }
            };
            self.forget_name(removed, claim);
            Ok(())
        })
    }

    /// Notes that the well-known name no longer belongs to this pipe. If this process has not `removed` the
    /// name, the pipe may have another one.
    fn forget_name(&mut self, removed: bool, claim: &Claim) {
        if !removed {
            claim.remember_lost(self.fifo.identity(), &self.from_client);
        }
        self.fifo.set_unlinked();
    }

    /// Returns whether the name still belongs to this pipe. A missing name is no error, but a different file
    /// is.
    ///
    /// # Errors
    /// [`Error::NotOurs`]: another process has put a different file there; it is left as it is.
    pub fn still_named(&self, claim: &Claim) -> Result<bool> {
        stands(self.fifo.identity(), claim)
    }

    /// Returns the reading end, for a server that serves all clients through it (`--shared-wkp`).
    pub fn reading_end(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.from_client)
    }

    /// Makes a new pipe under the temporary name.
    fn make(claim: &Claim) -> Result<Self> {
        let make_failed = |errno| Error::in_directory("make the well-known pipe", claim.place().wkp(), errno);
        let (fifo, from_client) =
            claim.with_name_aside(|aside| Fifo::make(aside.to_path_buf()))?.map_err(make_failed)?;
        // While this is the well-known pipe, no other process can keep clients from it by an exclusive lock.
        let _ = try_lock(from_client.as_fd(), Lock::Shared);
        let open_failed = |errno| Error::in_directory("open the new pipe", fifo.path(), errno);
        let guard = fifo.open_to_write().map_err(open_failed)?;
        Ok(Self { fifo, from_client: Rc::new(from_client), guard })
    }

    /// Gives this pipe the well-known name. If `expected` or a lost pipe of this server has the name, removes
    /// that pipe. Returns whether it was `expected`.
    fn put_at_name(&self, mut expected: Option<Identity>, claim: &Claim) -> Result<bool> {
        let (place, aside) = (claim.place(), self.fifo.path());
        let not_free = |errno| Self::not_free(place, errno);
        for _ in 0..TRIES {
            if let Some(expected) = expected {
                match exchange(aside, place.wkp()) {
                    Ok(()) => return self.remove_exchanged(expected, claim),
                    Err(errno) if is_unsupported(errno) => return self.put_over(expected, claim),
                    // Another process has removed it.
                    Err(Errno::ENOENT) => {}
                    Err(errno) => return Err(not_free(errno)),
                }
            }
            match move_new(aside, place.wkp()) {
                // It may be a lost pipe that has come back.
                Err(Errno::EEXIST) => expected = expected.or_else(|| claim.take_replaceable()),
                moved => return moved.map(|()| false).map_err(not_free),
            }
        }
        Err(match expected {
            Some(_) => not_ours(place, Ok(Standing::Nothing)),
            None => not_free(Errno::EEXIST),
        })
    }

    /// Removes the file that had the well-known name until this pipe exchanged names with it. Returns whether
    /// it was `expected`. Otherwise it was a lost pipe.
    fn remove_exchanged(&self, expected: Identity, claim: &Claim) -> Result<bool> {
        let (place, aside) = (claim.place(), self.fifo.path());
        let removed = remove_aside(aside, expected, claim);
        // The old file gets its name back: clients would trust a pipe of this server as long as it has any
        // name.
        if removed.is_err() && exchange(aside, place.wkp()).is_err() {
            let _ = move_new(aside, place.wkp());
        }
        removed
    }

    /// Checks the file at the well-known name, and replaces it (rename(2)), for file systems that cannot
    /// exchange names. The claim keeps other servers away. A file that another process puts there between the
    /// check and the rename is lost.
    fn put_over(&self, expected: Identity, claim: &Claim) -> Result<bool> {
        let place = claim.place();
        stands(expected, claim)?;
        rename_over(self.fifo.path(), place.wkp()).map_err(|errno| Self::not_free(place, errno))?;
        // It may have been moved away before the rename.
        Ok(false)
    }

    fn not_free(place: &Place, errno: Errno) -> Error {
        match errno {
            Errno::EEXIST => not_ours(place, look(place.wkp())),
            errno => Error::in_directory("put the new pipe at", place.wkp(), errno),
        }
    }

    /// Ends the pipe's time as the well-known one. Closes the guard's end, and takes and releases the
    /// exclusive lock. After that, no client is between its check of the name and its write, and no client
    /// will write a HELLO here.
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
            // Releasing a lock cannot fail.
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

/// Returns whether the well-known name belongs to `expected`. If not, the name is free, or belongs to a lost
/// pipe of this server: any other file is an error.
fn stands(expected: Identity, claim: &Claim) -> Result<bool> {
    match look(claim.place().wkp()) {
        Ok(Standing::Fifo(identity)) if identity == expected => Ok(true),
        Ok(Standing::Fifo(identity)) if claim.has_lost(identity) => Ok(false),
        Ok(Standing::Nothing) => Ok(false),
        other => Err(not_ours(claim.place(), other)),
    }
}

/// Removes the file that was moved from the well-known name: `expected`, or a lost pipe of this server.
/// Returns whether it was `expected`.
fn remove_aside(aside: &Path, expected: Identity, claim: &Claim) -> Result<bool> {
    let identity = match look(aside) {
        Ok(Standing::Fifo(identity)) if identity == expected || claim.has_lost(identity) => identity,
        other => return Err(not_ours(claim.place(), other)),
    };
    unlink(aside)
        .map_err(|errno| Error::in_directory("remove the old well-known pipe", claim.place().wkp(), errno))?;
    claim.forget_lost(identity);
    Ok(identity == expected)
}

fn not_ours(place: &Place, standing: Result<Standing, Errno>) -> Error {
    let what = match standing {
        Ok(Standing::Other(what)) => what,
        Ok(Standing::Fifo(_)) => "a pipe that this server did not make",
        Ok(Standing::Nothing) => "something that comes and goes",
        Err(errno) => return Error::in_directory("look at", place.wkp(), errno),
    };
    Error::NotOurs { path: place.wkp().into(), what }
}

/// A pipe that was the well-known one, after step 6.
#[derive(Debug)]
pub struct TakenPipe {
    /// Its reading end.
    pub from_client: Rc<OwnedFd>,
    /// Whether it is certain that no further HELLO can come. Only then may the first sender keep the pipe.
    pub closed_to_others: bool,
}
