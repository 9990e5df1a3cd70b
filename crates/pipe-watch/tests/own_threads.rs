//! Looks at threads of this very process, in Rust: each kind of wait is found, with the pipe that it is at.

use std::io::{Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::thread::scope;
use std::time::{Duration, Instant};

use pipe_watch::look::{Access, Error, Kind, Report, Scope, Snapshot, Target, Thread, Wait, look};

/// Looks at this process until a thread of this name is as `is` says. Looking is all that it does meanwhile.
fn look_until(name: &str, is: impl Fn(&Thread) -> bool) -> (Snapshot, Thread) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let snapshot = look(&Scope::Trees(vec![std::process::id()])).expect("this process exists");
        let threads = &snapshot.processes[&std::process::id()].threads;
        if let Some(thread) = threads.iter().find(|thread| thread.name == name && is(thread)).cloned() {
            return (snapshot, thread);
        }
        assert!(Instant::now() < until, "waited in vain for {name}: {threads:?}");
    }
}

/// A system that hides the calls shows none of this.
fn hides_calls() -> bool {
    let hides = std::fs::read_to_string("/proc/self/syscall").is_err();
    if hides {
        let _ = writeln!(std::io::stderr(), "NOT RUN: own_threads: /proc/self/syscall is hidden");
    }
    hides
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo(1)").success());
}

#[test]
fn a_read_and_a_full_write_are_found_with_their_pipes() {
    if hides_calls() {
        return;
    }
    let (mut reader, mut writer) = pipe().unwrap();
    let (fd, inode) = (reader.as_raw_fd() as u32, inode(&reader));
    scope(|threads| {
        std::thread::Builder::new()
            .name("reads".into())
            .spawn_scoped(threads, || reader.read(&mut [0]))
            .unwrap();
        let (snapshot, thread) = look_until("reads", |thread| matches!(thread.wait, Wait::Pipes(_)));
        let Wait::Pipes(wait) = &thread.wait else { unreachable!() };
        assert_eq!((wait.call, wait.needs[0].fd, wait.needs[0].access), ("read", fd, Access::Read));
        assert_eq!(wait.needs[0].pipe.inode, inode);
        // A container may refuse pidfd_getfd(2).
        if let Some(fill) = snapshot.pipes[&wait.needs[0].pipe].fill {
            assert_eq!(fill.bytes, 0);
        }
        // Another thread of this process runs, so this one may go on.
        let report = Report::of(&snapshot);
        let finding = report.findings.iter().find(|finding| finding.tid == thread.tid).unwrap();
        assert_eq!(finding.kind, Kind::Waiting);
        writer.write_all(b"x").unwrap();
    });
    let (mut reader, mut writer) = pipe().unwrap();
    scope(|threads| {
        let write = || writer.write_all(&[0; 100_000]);
        std::thread::Builder::new().name("writes".into()).spawn_scoped(threads, write).unwrap();
        let (snapshot, thread) = look_until("writes", |thread| matches!(thread.wait, Wait::Pipes(_)));
        let Wait::Pipes(wait) = &thread.wait else { unreachable!() };
        assert_eq!((wait.call, wait.needs[0].access, wait.bytes), ("write", Access::Write, Some(100_000)));
        if let Some(fill) = snapshot.pipes[&wait.needs[0].pipe].fill {
            assert_eq!(fill.bytes, fill.capacity);
        }
        reader.read_exact(&mut [0; 100_000]).unwrap();
    });
}

#[test]
fn an_open_is_found_with_its_path_and_looking_does_not_end_it() {
    if hides_calls() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pipe");
    mkfifo(&path);
    scope(|threads| {
        let open = || std::fs::File::open(&path);
        std::thread::Builder::new().name("opens".into()).spawn_scoped(threads, open).unwrap();
        let is_open = |thread: &Thread| matches!(thread.wait, Wait::Open { .. });
        let (_, first) = look_until("opens", is_open);
        let Wait::Open { path: seen, access, target: Target::Fifo(_) } = &first.wait else {
            panic!("{first:?}")
        };
        assert_eq!((seen.as_deref(), *access), (Some(path.as_path()), Some(Access::Read)));
        let (_, second) = look_until("opens", is_open);
        assert_eq!((first.sleeps, &first.wait), (second.sleeps, &second.wait));
        // It opens the other end, which ends the wait.
        std::fs::File::options().write(true).open(&path).unwrap();
    });
}

#[test]
fn a_process_that_does_not_exist_is_an_error() {
    // The highest PID of Linux is 4194304.
    assert!(matches!(look(&Scope::Trees(vec![4_194_305])), Err(Error::NoProcess(4_194_305))));
    assert!(matches!(look(&Scope::Directory("/no such place".into())), Err(Error::NoDirectory(..))));
}

fn inode(file: &impl AsRawFd) -> u64 {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}
