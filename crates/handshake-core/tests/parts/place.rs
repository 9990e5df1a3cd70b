//! The place and its names: a peer may choose only the names that the rule allows, bare and in this
//! directory.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use handshake_core::Error;
use handshake_core::fifo::{Fifo, open_to_read};
use handshake_core::place::{Place, random};
use handshake_core::wire::NAME_MAX;
use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::getpid;
use proptest::prelude::*;

use crate::listing;

fn mario() -> Place {
    Place::new(Path::new("/run/games/mario")).expect("a good path")
}

#[test]
fn a_client_may_name_what_the_rule_allows() {
    for name in ["mario.client.1.0123456789abcdef", "mario.client.4194304.ffffffffffffffff"] {
        let path = mario().named_by_client(name.as_bytes());
        assert_eq!(path.as_deref(), Some(Path::new("/run/games").join(name).as_path()));
        assert_eq!(mario().named_by_server(name.as_bytes()), None, "{name} is no upstream");
    }
    let upstream = b"mario.up.77.0123456789abcdef";
    assert!(mario().named_by_server(upstream).is_some());
    assert_eq!(mario().named_by_client(upstream), None);
}

#[test]
fn a_client_may_name_nothing_else() {
    let wrong: [&[u8]; 29] = [
        b"",
        b"mario",
        b"mario.",
        b".mario.lock",
        b"/etc/passwd",
        b"../victim",
        b"../mario.client.1.0123456789abcdef",
        b"./mario.client.1.0123456789abcdef",
        b"/run/games/mario.client.1.0123456789abcdef",
        b"mario.client.1.0123456789abcdef/../../x",
        b"mario.client.1/0123456789abcdef",
        b"luigi.client.1.0123456789abcdef",
        b"mario2.client.1.0123456789abcdef",
        b"marioclient.1.0123456789abcdef",
        b"mario.client.1",
        b"mario.client..0123456789abcdef",
        b"mario.client.0.0123456789abcdef",
        b"mario.client.-1.0123456789abcdef",
        b"mario.client.+1.0123456789abcdef",
        b"mario.client.4294967296.0123456789abcdef",
        b"mario.client.1.0123456789ABCDEF",
        b"mario.client.1.0123456789abcde",
        b"mario.client.1.0123456789abcdef0",
        b"mario.client.1.0123456789abcdeg",
        b"mario.client.1.0123456789abcdef.",
        b"mario.client.1.0123456789abcdef.x",
        b"mario.client.1.0123456789abcde\0",
        b"mario.client.1.0123456789abcd\xc3\xa9",
        b"mario.client.1.0123456789abcd\xff\xfe",
    ];
    for name in wrong {
        assert_eq!(mario().named_by_client(name), None, "{:?}", name.escape_ascii().to_string());
    }
    assert_eq!(mario().named_by_client(b"mario.new.1"), None, "the server's own");
}

proptest! {
    #[test]
    fn every_accepted_name_is_in_the_directory(name in ".*", bytes in any::<Vec<u8>>()) {
        let beside = [&b"mario.client.1."[..], &bytes].concat();
        for name in [name.as_bytes(), &bytes, &beside] {
            let path = mario().named_by_client(name);
            prop_assert!(path.is_none_or(|path| path.parent() == Some(Path::new("/run/games"))));
        }
    }
}

#[test]
fn a_place_allows_the_names_that_it_makes() {
    for path in ["mario", "./mario", "/run/games/mario", "up", "a.client.1", "ma\u{308}rio"] {
        let place = Place::new(Path::new(path)).expect("a good path");
        let private = place.private().expect("random numbers");
        let upstream = place.upstream().expect("random numbers");
        let name = |path: &Path| path.file_name().unwrap().as_bytes().to_vec();
        assert_eq!(place.named_by_client(&name(&private)), Some(private));
        assert_eq!(place.named_by_server(&name(&upstream)), Some(upstream));
    }
}

#[test]
fn a_name_need_not_be_text() {
    let place = Place::new(Path::new(OsStr::from_bytes(b"/run/ma\xffrio"))).expect("a good path");
    let name = b"ma\xffrio.client.1.0123456789abcdef";
    let path = Path::new("/run").join(OsStr::from_bytes(name));
    assert_eq!(place.named_by_client(name), Some(path));
    assert_eq!(place.named_by_client("ma\u{fffd}rio.client.1.0123456789abcdef".as_bytes()), None);
}

#[test]
fn a_slash_at_the_end_is_no_part_of_a_name() {
    for path in ["/run/games/mario/", "/run/games//mario", "/run/games/mario/."] {
        assert_eq!(Place::new(Path::new(path)).expect(path), mario());
    }
}

#[test]
fn a_path_without_a_name_is_no_place() {
    for path in ["/", "..", "/run/..", ""] {
        let refused = Place::new(Path::new(path)).expect_err(path);
        assert!(matches!(refused, Error::NoName { .. }), "{refused}");
        assert!(refused.to_string().contains("EINVAL"), "{refused}");
    }
}

#[test]
fn a_name_may_be_so_long_that_the_derived_names_just_fit() {
    let suffix = format!(".client.{}.{:016x}", u32::MAX, 0).len();
    let path = "x".repeat(NAME_MAX - suffix);
    let place = Place::new(Path::new(&path)).expect("it just fits");
    assert!(place.private().unwrap().file_name().unwrap().len() <= NAME_MAX);
    let refused = Place::new(Path::new(&(path + "x"))).expect_err("it is too long");
    assert!(refused.to_string().contains("ENAMETOOLONG"), "{refused}");
}

#[test]
fn a_sweep_removes_pipes_of_dead_processes_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = Place::new(&directory.path().join("mario")).expect("a good path");
    // No process has this PID: the kernel's largest is 4,194,304 (proc(5), pid_max).
    let dead = "mario.client.2000000000.0123456789abcdef";
    let make = |name: &str| Fifo::make(directory.path().join(name)).expect("a pipe").0;
    let _left =
        ["mario.new.2000000000.0123456789abcdef", "mario.up.2000000000.0123456789abcdef", dead].map(make);
    // A process has this PID, but none of these pipes open, like a client of another container, whose PID
    // means nothing here. One pipe is so new that its client may be about to open it.
    let (old, new) = ("mario.client.1.0123456789abcdef", "mario.client.1.00000000000000cc");
    let _elsewhere = [old, new].map(make);
    let long_ago = SystemTime::now() - Duration::from_secs(10);
    let made_long_ago = |name: &str| {
        let time = TimeSpec::from(long_ago.duration_since(UNIX_EPOCH).unwrap());
        let path = directory.path().join(name);
        utimensat(AT_FDCWD, &path, &time, &time, UtimensatFlags::NoFollowSymlink).expect("the pipe is ours");
    };
    made_long_ago(old);
    // This process lives and has the pipe open. A sweep must not even open it: that would look like an
    // answer.
    let mine = format!("mario.client.{}.0123456789abcdef", getpid());
    let _others = ["luigi.client.2000000000.0123456789abcdef", "mario", &mine].map(make);
    made_long_ago(&mine);
    let reader = open_to_read(&directory.path().join(&mine)).expect("a reader");
    let read = make("mario.client.2000000000.00000000000000aa");
    let _reader = open_to_read(read.path()).expect("a reader");
    fs::write(directory.path().join("mario.client.2000000000.00000000000000bb"), "of value").expect("a file");
    let before = listing(directory.path());
    handshake_core::server::sweep::sweep(&place);
    let after: Vec<_> = before.iter().filter(|name| listing(directory.path()).contains(name)).collect();
    let gone: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
    let mut hung_up = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut hung_up, PollTimeout::ZERO), Ok(0), "no process opened the pipe of a live client");
    assert_eq!(
        gone,
        [old, dead, "mario.new.2000000000.0123456789abcdef", "mario.up.2000000000.0123456789abcdef"]
    );
}

#[test]
fn random_numbers_are_not_the_same() {
    assert_ne!(random().unwrap(), random().unwrap());
}
