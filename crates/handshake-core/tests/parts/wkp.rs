//! The well-known pipe: one server at a name, and files of other processes are never removed.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use handshake_core::event::{Role, What};
use handshake_core::fifo::{Fifo, Standing, link_count, look, open_to_read, open_to_write};
use handshake_core::place::Place;
use handshake_core::server::claim::Claim;
use handshake_core::server::wkp::WellKnownPipe;
use handshake_core::sys::{Lock, try_lock};
use handshake_core::{Error, Process};
use nix::errno::Errno;
use tempfile::{TempDir, tempdir};

use crate::listing;

/// A directory to serve in.
struct TestPlace {
    directory: TempDir,
    place: Place,
    process: Rc<Process>,
}

impl TestPlace {
    fn new() -> Self {
        let directory = tempdir().expect("a directory");
        let place = Place::new(&directory.path().join("mario")).expect("a good path");
        let process = Rc::new(Process::quiet(Role::Server).expect("signal handlers"));
        Self { directory, place, process }
    }

    /// Makes a server's claim and its first pipe.
    fn with_server(&self) -> (Claim, WellKnownPipe) {
        let claim = self.claim();
        let wkp = WellKnownPipe::create(&claim, &self.process).expect("a well-known pipe");
        (claim, wkp)
    }

    fn claim(&self) -> Claim {
        Claim::take(&self.place).expect("no other server is here")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        listing(self.directory.path())
    }
}

/// Puts a different file at a name. Returns a check that the file is still there.
fn put(path: &Path, what: &str) -> Box<dyn Fn(&Path) -> bool> {
    // In some tests, a pipe of the server has this name.
    let _ = fs::remove_file(path);
    match what {
        "a regular file" => {
            fs::write(path, "of value").unwrap();
            // Not read unless it is a regular file: reading a pipe in its place would wait forever.
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
            // Kept open, and its guard never dropped: a pipe of another process.
            let (fifo, reader) = Fifo::make(path.into()).unwrap();
            let fifo = std::mem::ManuallyDrop::new(fifo);
            Box::new(move |path| {
                look(path) == Ok(Standing::Fifo(fifo.identity())) && link_count(&reader) == Ok(1)
            })
        }
    }
}

const OTHERS: [&str; 4] =
    ["a regular file", "a directory", "a symbolic link", "a pipe that this server did not make"];

#[test]
fn one_server_claims_a_place() {
    let test = TestPlace::new();
    let claim = test.claim();
    assert!(matches!(Claim::take(&test.place), Err(Error::InUse { .. })));
    assert_eq!(test.names(), [".mario.lock"], "the second one took nothing away");
    let other = Place::new(&test.at("luigi")).unwrap();
    drop(Claim::take(&other).expect("another name is another place"));
    drop(claim);
    assert_eq!(test.names(), [""; 0]);
    drop(test.claim());
}

#[test]
fn a_lock_file_without_a_lock_means_nothing() {
    let test = TestPlace::new();
    fs::write(test.at(".mario.lock"), "").unwrap();
    drop(test.claim());
    assert_eq!(test.names(), [""; 0]);
}

#[test]
fn a_file_at_the_lock_files_name_is_left_alone() {
    for what in ["a directory", "a symbolic link", "a pipe"] {
        let test = TestPlace::new();
        let is_there = put(&test.at(".mario.lock"), what);
        Claim::take(&test.place).expect_err(what);
        assert!(is_there(&test.at(".mario.lock")), "{what}");
        assert_eq!(test.names(), [".mario.lock"]);
    }
}

#[test]
fn a_file_at_the_well_known_name_is_left_alone() {
    for what in OTHERS[..3].iter().copied() {
        let test = TestPlace::new();
        let is_there = put(&test.at("mario"), what);
        let refused = Claim::take(&test.place).expect_err(what);
        assert!(matches!(&refused, Error::NotOurs { what: found, .. } if *found == what), "{refused}");
        assert!(is_there(&test.at("mario")), "{what}");
        assert_eq!(test.names(), ["mario"]);
    }
}

#[test]
fn a_pipe_with_a_reader_belongs_to_a_live_server() {
    let test = TestPlace::new();
    let is_there = put(&test.at("mario"), "a pipe");
    assert!(matches!(Claim::take(&test.place), Err(Error::InUse { .. })));
    assert!(is_there(&test.at("mario")));
    assert_eq!(test.names(), ["mario"]);
}

#[test]
fn a_pipe_without_a_reader_is_replaced() {
    let test = TestPlace::new();
    let (stale, _) = Fifo::make(test.at("mario")).unwrap();
    let (claim, wkp) = test.with_server();
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    assert_ne!(look(&test.at("mario")), Ok(Standing::Fifo(stale.identity())));
    assert_eq!(test.names(), [".mario.lock", "mario"]);
    drop((wkp, claim));
    assert_eq!(test.names(), [""; 0]);
}

#[test]
fn a_file_that_takes_the_name_before_the_pipe_is_left_alone() {
    for (what, stale) in OTHERS.into_iter().flat_map(|what| [(what, false), (what, true)]) {
        let test = TestPlace::new();
        let _stale = stale.then(|| Fifo::make(test.at("mario")).unwrap().0);
        let claim = test.claim();
        // Kept open, so that the file that comes now cannot get its inode number.
        let _open = open_to_read(&test.at("mario"));
        let is_there = put(&test.at("mario"), what);
        let refused = WellKnownPipe::create(&claim, &test.process).expect_err(what);
        assert!(
            matches!(&refused, Error::NotOurs { what: found, .. } if *found == what),
            "{what}: {refused}"
        );
        assert!(is_there(&test.at("mario")), "{what}");
        drop(claim);
        assert_eq!(test.names(), ["mario"], "{what}");
    }
}

#[test]
fn after_a_replacement_the_old_pipe_has_no_name() {
    let test = TestPlace::new();
    let (claim, mut wkp) = test.with_server();
    let client = open_to_write(test.place.wkp()).expect("the server reads it");
    let taken = wkp.replace(&claim, &test.process).expect("the name is ours");
    assert!(taken.closed_to_others, "no client was just there");
    assert_eq!((link_count(&client), link_count(&taken.from_client)), (Ok(0), Ok(0)));
    assert_eq!(try_lock(client.as_fd(), Lock::Shared), Ok(()), "the lock was given back");
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    assert_eq!(link_count(&wkp), Ok(1));
    assert_eq!(test.names(), [".mario.lock", "mario"]);
    nix::unistd::write(&client, b"x").expect("the old one is still read");
    drop(taken);
    assert_eq!(nix::unistd::write(&client, b"x"), Err(Errno::EPIPE), "and has no other reader");
    drop(wkp);
    assert_eq!(test.names(), [".mario.lock"], "the new one's guard knows where it stands");
}

#[test]
fn a_client_with_the_shared_lock_keeps_the_pipe_open_to_others() {
    let test = TestPlace::new();
    let (claim, mut wkp) = test.with_server();
    let client = open_to_write(test.place.wkp()).expect("the server reads it");
    try_lock(client.as_fd(), Lock::Shared).expect("the lock of step 4");
    wkp.remove(&claim, &test.process, What::WkpRemoved).expect("the name is ours");
    let taken = wkp.taken();
    assert!(!taken.closed_to_others);
    assert_eq!(link_count(&client), Ok(0));
}

#[test]
fn removing_the_name_does_not_stop_the_server() {
    let test = TestPlace::new();
    let (claim, mut wkp) = test.with_server();
    fs::remove_file(test.at("mario")).unwrap();
    assert_eq!(wkp.still_named(&claim).ok(), Some(false));
    wkp.replace(&claim, &test.process).expect("the name is free");
    assert_eq!(wkp.still_named(&claim).ok(), Some(true));
    fs::remove_file(test.at("mario")).unwrap();
    wkp.remove(&claim, &test.process, What::WkpRemoved).expect("nothing is left to remove");
    assert_eq!(test.names(), [".mario.lock"]);
}

#[test]
fn a_file_put_at_the_name_is_put_back() {
    for what in OTHERS {
        let test = TestPlace::new();
        let (claim, mut wkp) = test.with_server();
        let is_there = put(&test.at("mario"), what);
        let is_refused =
            |error: &Error| matches!(error, Error::NotOurs { what: found, .. } if *found == what);

        assert!(wkp.still_named(&claim).is_err_and(|error| is_refused(&error)), "{what}");
        let replaced = wkp.replace(&claim, &test.process);
        assert!(replaced.is_err_and(|error| is_refused(&error)), "{what}");
        assert!(is_there(&test.at("mario")), "{what}, at a replacement");
        assert_eq!(test.names(), [".mario.lock", "mario"]);

        let removed = wkp.remove(&claim, &test.process, What::WkpClosed);
        assert!(removed.is_err_and(|error| is_refused(&error)), "{what}");
        assert!(is_there(&test.at("mario")), "{what}, at the end");
        drop(claim);
        assert_eq!(test.names(), ["mario"]);
    }
}

#[test]
fn a_moved_pipe_is_recognised_when_it_returns() {
    for away in ["elsewhere", "mario.new.1.0123456789abcdef"] {
        let test = TestPlace::new();
        let (claim, mut wkp) = test.with_server();
        fs::rename(test.place.wkp(), test.at(away)).expect("it is there");
        assert_eq!(wkp.still_named(&claim).ok(), Some(false));
        wkp.replace(&claim, &test.process).expect("the name is free");
        fs::rename(test.at(away), test.place.wkp()).expect("over the next one");
        assert_eq!(wkp.still_named(&claim).ok(), Some(false));
        wkp.replace(&claim, &test.process).expect("it is a pipe of this server");
        assert_eq!(wkp.still_named(&claim).ok(), Some(true));
        fs::rename(test.place.wkp(), test.at(away)).expect("it is there");
        wkp.remove(&claim, &test.process, What::WkpRemoved).expect("nothing is left to remove");
        fs::rename(test.at(away), test.place.wkp()).expect("the name is free");
        let mut wkp = WellKnownPipe::create(&claim, &test.process).expect("it is a pipe of this server");
        wkp.remove(&claim, &test.process, What::WkpClosed).expect("the name is ours");
        drop((wkp, claim));
        assert_eq!(test.names(), [""; 0]);
    }
}

/// This includes a pipe that has got the inode number of a removed one.
#[test]
fn another_pipe_is_never_taken_for_one_that_was_removed() {
    let test = TestPlace::new();
    let (claim, mut wkp) = test.with_server();
    for _ in 0..20 {
        fs::remove_file(test.place.wkp()).expect("it is there");
        let taken = wkp.replace(&claim, &test.process).expect("the name is free");
        drop(taken);
        fs::remove_file(test.place.wkp()).expect("it is there");
        let is_there = put(test.place.wkp(), "a pipe");
        assert!(wkp.still_named(&claim).is_err_and(|error| matches!(error, Error::NotOurs { .. })));
        assert!(
            wkp.replace(&claim, &test.process).is_err_and(|error| matches!(error, Error::NotOurs { .. }))
        );
        assert!(is_there(test.place.wkp()));
        fs::remove_file(test.place.wkp()).expect("it is there");
        wkp.replace(&claim, &test.process).expect("the name is free");
    }
}

#[test]
fn after_a_removal_the_name_is_free() {
    let test = TestPlace::new();
    let (claim, mut wkp) = test.with_server();
    let client = open_to_write(test.place.wkp()).expect("the server reads it");
    wkp.remove(&claim, &test.process, What::WkpRemoved).expect("the name is ours");
    let taken = wkp.taken();
    assert!(taken.closed_to_others);
    assert_eq!(test.names(), [".mario.lock"]);
    assert_eq!(link_count(&client), Ok(0));
}

/// In a directory where any user may make files, another process could take a predictable name first.
#[test]
fn a_temporary_name_is_unpredictable() {
    for what in OTHERS {
        let test = TestPlace::new();
        assert_ne!(test.place.aside().unwrap(), test.place.aside().unwrap());
        let (claim, mut wkp) = test.with_server();
        let predicted = test.at(&format!("mario.new.{}", std::process::id()));
        let is_there = put(&predicted, what);
        wkp.replace(&claim, &test.process).expect("another name aside is free");
        wkp.remove(&claim, &test.process, What::WkpClosed).expect("another name aside is free");
        assert!(is_there(&predicted), "{what}");
        drop((wkp, claim));
        assert_eq!(test.names().len(), 1, "{what}");
    }
}

#[test]
fn an_error_about_a_missing_directory_names_the_path() {
    let test = TestPlace::new();
    let nowhere = Place::new(&test.at("none/mario")).unwrap();
    let refused = Claim::take(&nowhere).expect_err("there is no such directory").to_string();
    assert!(refused.contains("none/") && refused.contains("ENOENT"), "{refused}");
}
