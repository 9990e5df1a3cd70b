//! The well-known pipe: one server at a name, and the name never taken from anybody else.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use handshake_core::event::{Role, What};
use handshake_core::fifo::{Fifo, Standing, look, names_of, open_to_read, open_to_write};
use handshake_core::place::Place;
use handshake_core::server::claim::Claim;
use handshake_core::server::wkp::WellKnownPipe;
use handshake_core::sys::{Lock, try_lock};
use handshake_core::{Error, Process};
use nix::errno::Errno;
use tempfile::{TempDir, tempdir};

use crate::listing;

/// A directory to serve in.
struct Stage {
    directory: TempDir,
    place: Place,
    process: Rc<Process>,
}

impl Stage {
    fn set() -> Self {
        let directory = tempdir().expect("a directory");
        let place = Place::new(&directory.path().join("mario")).expect("a good path");
        let process = Rc::new(Process::quiet(Role::Server).expect("signal handlers"));
        Self { directory, place, process }
    }

    /// A server's claim and its first pipe.
    fn with_server(&self) -> (Claim, WellKnownPipe) {
        let claim = self.claim();
        let wkp = WellKnownPipe::create(&claim, &self.process).expect("a well-known pipe");
        (claim, wkp)
    }

    fn claim(&self) -> Claim {
        Claim::take(&self.place).expect("nobody else is here")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        listing(self.directory.path())
    }
}

/// Puts something else at a name, and says how it is known again.
fn put(path: &Path, what: &str) -> Box<dyn Fn(&Path) -> bool> {
    // Some of these tests put it where a pipe of ours stands.
    let _ = fs::remove_file(path);
    match what {
        "a regular file" => {
            fs::write(path, "of value").unwrap();
            // Not read unless it is a file: a pipe in its place would be read for ever.
            Box::new(|path| {
                matches!(look(path), Ok(Standing::Other("a regular file")))
                    && fs::read(path).unwrap() == b"of value"
            })
        }
        "a directory" => {
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "of value").unwrap();
            Box::new(|path| path.join("inside").exists())
        }
        "a symbolic link" => {
            symlink("elsewhere", path).unwrap();
            Box::new(|path| fs::read_link(path).is_ok_and(|to| to == Path::new("elsewhere")))
        }
        _ => {
            // Held open, and its guard never dropped: somebody else's.
            let fifo = std::mem::ManuallyDrop::new(Fifo::make(path.into()).unwrap());
            let reader = open_to_read(path).unwrap();
            Box::new(move |path| {
                look(path) == Ok(Standing::Fifo(fifo.identity())) && names_of(&reader) == Ok(1)
            })
        }
    }
}

const OTHERS: [&str; 4] =
    ["a regular file", "a directory", "a symbolic link", "a pipe that this server did not make"];

#[test]
fn one_server_claims_a_place() {
    let stage = Stage::set();
    let claim = stage.claim();
    assert!(matches!(Claim::take(&stage.place), Err(Error::InUse { .. })));
    assert_eq!(stage.names(), [".mario.lock"], "the second one took nothing away");
    let other = Place::new(&stage.at("luigi")).unwrap();
    drop(Claim::take(&other).expect("another name is another place"));
    drop(claim);
    assert_eq!(stage.names(), [""; 0]);
    drop(stage.claim());
}

#[test]
fn a_lock_file_without_a_lock_means_nothing() {
    let stage = Stage::set();
    fs::write(stage.at(".mario.lock"), "").unwrap();
    drop(stage.claim());
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn what_stands_where_the_lock_goes_is_left_alone() {
    for what in ["a directory", "a symbolic link", "a pipe"] {
        let stage = Stage::set();
        let is_there = put(&stage.at(".mario.lock"), what);
        Claim::take(&stage.place).expect_err(what);
        assert!(is_there(&stage.at(".mario.lock")), "{what}");
        assert_eq!(stage.names(), [".mario.lock"]);
    }
}

#[test]
fn what_stands_at_the_name_is_left_alone() {
    for what in OTHERS[..3].iter().copied() {
        let stage = Stage::set();
        let is_there = put(&stage.at("mario"), what);
        let refused = Claim::take(&stage.place).expect_err(what);
        assert!(matches!(&refused, Error::NotOurs { what: found, .. } if *found == what), "{refused}");
        assert!(is_there(&stage.at("mario")), "{what}");
        assert_eq!(stage.names(), ["mario"]);
    }
}

#[test]
fn a_pipe_that_is_read_is_a_server_that_lives() {
    let stage = Stage::set();
    let is_there = put(&stage.at("mario"), "a pipe");
    assert!(matches!(Claim::take(&stage.place), Err(Error::InUse { .. })));
    assert!(is_there(&stage.at("mario")));
    assert_eq!(stage.names(), ["mario"]);
}

#[test]
fn a_pipe_that_nobody_reads_is_taken_over() {
    let stage = Stage::set();
    let stale = Fifo::make(stage.at("mario")).unwrap();
    let (claim, wkp) = stage.with_server();
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    assert_ne!(look(&stage.at("mario")), Ok(Standing::Fifo(stale.identity())));
    assert_eq!(stage.names(), [".mario.lock", "mario"]);
    drop((wkp, claim));
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn what_comes_to_the_name_before_the_pipe_is_left_alone() {
    for (what, stale) in OTHERS.into_iter().flat_map(|what| [(what, false), (what, true)]) {
        let stage = Stage::set();
        let _stale = stale.then(|| Fifo::make(stage.at("mario")).unwrap());
        let claim = stage.claim();
        // Held open, so that what comes now cannot get its inode's number.
        let _open = open_to_read(&stage.at("mario"));
        let is_there = put(&stage.at("mario"), what);
        let refused = WellKnownPipe::create(&claim, &stage.process).expect_err(what);
        assert!(
            matches!(&refused, Error::NotOurs { what: found, .. } if *found == what),
            "{what}: {refused}"
        );
        assert!(is_there(&stage.at("mario")), "{what}");
        drop(claim);
        assert_eq!(stage.names(), ["mario"], "{what}");
    }
}

#[test]
fn replaced_the_old_one_is_nameless_and_the_new_one_at_the_name() {
    let stage = Stage::set();
    let (claim, mut wkp) = stage.with_server();
    let client = open_to_write(stage.place.wkp()).expect("the server reads it");
    let taken = wkp.replace(&claim, &stage.process).expect("nobody is in the way");
    assert!(taken.closed_to_others, "no client was just there");
    assert_eq!((names_of(&client), names_of(&taken.from_client)), (Ok(0), Ok(0)));
    assert_eq!(try_lock(client.as_fd(), Lock::Shared), Ok(()), "the lock was given back");
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    assert_eq!(names_of(&wkp), Ok(1));
    assert_eq!(stage.names(), [".mario.lock", "mario"]);
    nix::unistd::write(&client, b"x").expect("the old one is still read");
    drop(taken);
    assert_eq!(nix::unistd::write(&client, b"x"), Err(Errno::EPIPE), "and by nobody else");
    drop(wkp);
    assert_eq!(stage.names(), [".mario.lock"], "the new one's guard knows where it stands");
}

#[test]
fn a_client_that_stands_in_the_door_keeps_the_pipe_from_being_anybodys() {
    let stage = Stage::set();
    let (claim, mut wkp) = stage.with_server();
    let client = open_to_write(stage.place.wkp()).expect("the server reads it");
    try_lock(client.as_fd(), Lock::Shared).expect("the lock of step 4");
    wkp.remove(&claim, &stage.process, What::WkpRemoved).expect("nobody is in the way");
    let taken = wkp.taken();
    assert!(!taken.closed_to_others);
    assert_eq!(names_of(&client), Ok(0));
}

#[test]
fn who_removes_the_name_does_not_stop_the_server() {
    let stage = Stage::set();
    let (claim, mut wkp) = stage.with_server();
    fs::remove_file(stage.at("mario")).unwrap();
    assert_eq!(wkp.still_named(&claim).ok(), Some(false));
    wkp.replace(&claim, &stage.process).expect("the name is free");
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    fs::remove_file(stage.at("mario")).unwrap();
    wkp.remove(&claim, &stage.process, What::WkpRemoved).expect("nothing is left to remove");
    assert_eq!(stage.names(), [".mario.lock"]);
}

#[test]
fn what_somebody_puts_at_the_name_is_put_back() {
    for what in OTHERS {
        let stage = Stage::set();
        let (claim, mut wkp) = stage.with_server();
        let is_there = put(&stage.at("mario"), what);
        let is_refused =
            |error: &Error| matches!(error, Error::NotOurs { what: found, .. } if *found == what);

        assert!(wkp.still_named(&claim).is_err_and(|error| is_refused(&error)), "{what}");
        let replaced = wkp.replace(&claim, &stage.process);
        assert!(replaced.is_err_and(|error| is_refused(&error)), "{what}");
        assert!(is_there(&stage.at("mario")), "{what}, at a replacement");
        assert_eq!(stage.names(), [".mario.lock", "mario"]);

        let removed = wkp.remove(&claim, &stage.process, What::WkpClosed);
        assert!(removed.is_err_and(|error| is_refused(&error)), "{what}");
        assert!(is_there(&stage.at("mario")), "{what}, at the end");
        drop(claim);
        assert_eq!(stage.names(), ["mario"]);
    }
}

#[test]
fn a_pipe_that_was_moved_away_is_known_when_it_comes_back() {
    for away in ["elsewhere", "mario.new.1.0123456789abcdef"] {
        let stage = Stage::set();
        let (claim, mut wkp) = stage.with_server();
        fs::rename(stage.place.wkp(), stage.at(away)).expect("it is there");
        assert_eq!(wkp.still_named(&claim).ok(), Some(false));
        wkp.replace(&claim, &stage.process).expect("the name is free");
        fs::rename(stage.at(away), stage.place.wkp()).expect("over the next one");
        assert_eq!(wkp.still_named(&claim).ok(), Some(false));
        wkp.replace(&claim, &stage.process).expect("it is a pipe of this server");
        assert_eq!(wkp.still_named(&claim).ok(), Some(true));
        fs::rename(stage.place.wkp(), stage.at(away)).expect("it is there");
        wkp.remove(&claim, &stage.process, What::WkpRemoved).expect("nothing is left to remove");
        fs::rename(stage.at(away), stage.place.wkp()).expect("the name is free");
        let mut wkp = WellKnownPipe::create(&claim, &stage.process).expect("it is a pipe of this server");
        wkp.remove(&claim, &stage.process, What::WkpClosed).expect("nobody is in the way");
        drop((wkp, claim));
        assert_eq!(stage.names(), [""; 0]);
    }
}

/// Not even one that has got the inode number of a pipe that is no more.
#[test]
fn another_pipe_is_never_taken_for_one_that_was_removed() {
    let stage = Stage::set();
    let (claim, mut wkp) = stage.with_server();
    for _ in 0..20 {
        fs::remove_file(stage.place.wkp()).expect("it is there");
        let taken = wkp.replace(&claim, &stage.process).expect("the name is free");
        drop(taken);
        fs::remove_file(stage.place.wkp()).expect("it is there");
        let is_there = put(stage.place.wkp(), "a pipe");
        assert!(wkp.still_named(&claim).is_err_and(|error| matches!(error, Error::NotOurs { .. })));
        assert!(
            wkp.replace(&claim, &stage.process).is_err_and(|error| matches!(error, Error::NotOurs { .. }))
        );
        assert!(is_there(stage.place.wkp()));
        fs::remove_file(stage.place.wkp()).expect("it is there");
        wkp.replace(&claim, &stage.process).expect("the name is free");
    }
}

#[test]
fn removed_the_name_is_free() {
    let stage = Stage::set();
    let (claim, mut wkp) = stage.with_server();
    let client = open_to_write(stage.place.wkp()).expect("the server reads it");
    wkp.remove(&claim, &stage.process, What::WkpRemoved).expect("nobody is in the way");
    let taken = wkp.taken();
    assert!(taken.closed_to_others);
    assert_eq!(stage.names(), [".mario.lock"]);
    assert_eq!(names_of(&client), Ok(0));
}

/// In a directory where anybody may make files, a name that can be foreseen could be taken first.
#[test]
fn a_name_aside_cannot_be_foreseen() {
    for what in OTHERS {
        let stage = Stage::set();
        assert_ne!(stage.place.aside().unwrap(), stage.place.aside().unwrap());
        let (claim, mut wkp) = stage.with_server();
        let foreseen = stage.at(&format!("mario.new.{}", std::process::id()));
        let is_there = put(&foreseen, what);
        wkp.replace(&claim, &stage.process).expect("another name aside is free");
        wkp.remove(&claim, &stage.process, What::WkpClosed).expect("another name aside is free");
        assert!(is_there(&foreseen), "{what}");
        drop((wkp, claim));
        assert_eq!(stage.names().len(), 1, "{what}");
    }
}

#[test]
fn where_no_pipe_can_be_made_the_error_names_the_path() {
    let stage = Stage::set();
    let nowhere = Place::new(&stage.at("none/mario")).unwrap();
    let refused = Claim::take(&nowhere).expect_err("there is no such directory").to_string();
    assert!(refused.contains("none/") && refused.contains("ENOENT"), "{refused}");
}
