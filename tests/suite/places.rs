//! One live server at a name. It takes over the pipes of dead servers, and leaves all other files unchanged.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use predicates::prelude::*;
use workspace_tests::pipe::open_to_read;
use workspace_tests::wait::until_true;
use workspace_tests::{Barrier, Paradigm, RawClient, Scene, each};

each! {
    a_second_server_is_told_that_the_name_is_in_use in basic forking dispatch shared: row_14;
    of_twenty_servers_at_one_instant_one_serves in basic forking dispatch shared: row_14;
    a_stale_well_known_pipe_is_taken_over in basic forking dispatch shared: row_4 row_12;
    a_server_removes_the_pipes_of_dead_processes in basic forking dispatch shared: row_12;
    a_regular_file_is_left_as_it_was in basic forking dispatch shared: row_15;
    a_directory_is_left_as_it_was in basic forking dispatch shared: row_15;
    a_symbolic_link_is_left_as_it_was in basic forking dispatch shared: row_15;
    a_pipe_that_has_a_reader_is_left_as_it_was in basic forking dispatch shared: row_14;
    a_server_serves_at_the_longest_name in basic forking dispatch shared: row_25;
    a_removed_name_is_created_again in basic forking dispatch shared: row_18;
    an_object_that_takes_the_name_ends_the_server_and_stays in basic forking dispatch shared: row_18;
}

fn a_second_server_is_told_that_the_name_is_in_use(scene: &Scene, paradigm: Paradigm) {
    let first = scene.server(paradigm).ready();
    let client = scene.served_client("one");
    let names = scene.names();
    for other in Paradigm::ALL {
        let refusal = format!("{}: cannot serve at \"mario\": the name is in use", other.binary());
        scene.server(other).run().code(3).stdout("").stderr(predicate::str::starts_with(refusal));
    }
    assert_eq!(scene.names(), names, "a second server changed something");
    client.type_line("two");
    client.leaves().stdout("ONE\nTWO\n").stderr("");
    scene.serves("three", "THREE");
    assert!(first.is_running());
}

fn of_twenty_servers_at_one_instant_one_serves(scene: &Scene, paradigm: Paradigm) {
    let barrier = Barrier::new();
    let servers: Vec<_> = (0..20).map(|_| scene.server(paradigm).behind(&barrier).start()).collect();
    barrier.open();
    until_true("19 servers to end", || servers.iter().filter(|server| !server.is_running()).count() >= 19);
    let refusal = predicate::str::contains("cannot serve at \"mario\": the name is in use");
    for server in servers.iter().filter(|server| !server.is_running()) {
        server.ends().code(3).stderr(refusal.clone());
    }
    scene.serves("hello", "HELLO");
    assert_eq!(servers.iter().filter(|server| server.is_running()).count(), 1);
}

fn a_stale_well_known_pipe_is_taken_over(scene: &Scene, paradigm: Paradigm) {
    scene.make_fifo("mario");
    // A client already waits there.
    let early = scene.client().arg("early").start();
    until_true("the client's private pipe", || scene.names().len() == 2);
    let _server = scene.server(paradigm).ready();
    early.ends().success().stdout("EARLY\n");
    scene.serves("hello", "HELLO");
}

/// No process has the PID 4194305: it is beyond the kernel's maximum (proc(5), pid_max).
fn a_server_removes_the_pipes_of_dead_processes(scene: &Scene, paradigm: Paradigm) {
    let dead = "4194305";
    let swept = ["client", "up", "new"].map(|kind| format!("mario.{kind}.{dead}.0123456789abcdef"));
    for name in &swept {
        scene.make_fifo(name);
    }
    // These three stay: the first one's maker is alive and reads it, the others do not match the pattern of
    // names.
    let alive = RawClient::new_name();
    let others = [alive.as_str(), "mario.client.4194305.x", "luigi.client.4194305.0123456789abcdef"];
    for name in others {
        scene.make_fifo(name);
    }
    let reader = open_to_read(scene.path(&alive));
    let file = "mario.client.4194305.00000000deadbeef";
    fs::write(scene.path(file), "of value").expect("a file");
    let server = scene.server(paradigm).ready();
    let mut left = scene.names();
    left.retain(|name| !name.ends_with("mario") && !name.ends_with(".lock"));
    let mut expected = vec![alive.as_str(), others[1], others[2], file];
    expected.sort_unstable();
    assert_eq!(left, expected);
    let mut opened = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut opened, PollTimeout::ZERO), Ok(0), "the server opened the pipe of a waiting client");
    scene.serves("hello", "HELLO");
    assert!(server.is_running());
    assert_eq!(fs::read_to_string(scene.path(file)).expect("the path exists"), "of value");
    expected.iter().for_each(|name| fs::remove_file(scene.path(name)).expect("the path exists"));
}

/// The message has the program, the operation, the object, the error, and what to try next.
fn refuses(scene: &Scene, paradigm: Paradigm, what: &str) {
    let program = paradigm.binary();
    let message =
        format!("^{program}: cannot use \"mario\": [A-Z]+ \\({what}[^()]*\\): [^\n]*--wkp[^\n]*\n$");
    let message = predicate::str::is_match(message).expect("a regular expression");
    scene.server(paradigm).run().code(3).stdout("").stderr(message);
}

fn a_regular_file_is_left_as_it_was(scene: &Scene, paradigm: Paradigm) {
    let path = scene.path("mario");
    fs::write(&path, "of value").expect("a file");
    let inode = inode(&path);
    refuses(scene, paradigm, "a regular file");
    assert_eq!(fs::read_to_string(&path).expect("the path exists"), "of value");
    assert_eq!(self::inode(&path), inode);
    fs::remove_file(path).expect("the path exists");
}

fn a_directory_is_left_as_it_was(scene: &Scene, paradigm: Paradigm) {
    let path = scene.path("mario");
    fs::create_dir(&path).expect("a directory");
    fs::write(path.join("file"), "of value").expect("a file");
    refuses(scene, paradigm, "a directory");
    assert_eq!(fs::read_to_string(path.join("file")).expect("the path exists"), "of value");
    fs::remove_dir_all(path).expect("the path exists");
}

/// Even a link to a pipe that would be suitable.
fn a_symbolic_link_is_left_as_it_was(scene: &Scene, paradigm: Paradigm) {
    scene.make_fifo("luigi");
    for target in ["luigi", "nowhere", "file"] {
        fs::write(scene.path("file"), "of value").expect("a file");
        symlink(target, scene.path("mario")).expect("a link");
        refuses(scene, paradigm, "a symbolic link");
        let client = scene.client().args(["--timeout", "1s", "hello"]).run();
        client.code(3).stderr(predicate::str::contains("ELOOP").and(predicate::str::contains(
            "it is a symbolic link, which is not followed: name the pipe itself with --wkp",
        )));
        assert_eq!(fs::read_link(scene.path("mario")).expect("the path exists"), Path::new(target));
        fs::remove_file(scene.path("mario")).expect("the path exists");
    }
    assert_eq!(fs::read_to_string(scene.path("file")).expect("the path exists"), "of value");
    assert_eq!(scene.names(), ["file", "luigi"]);
    fs::remove_file(scene.path("file")).expect("the path exists");
    fs::remove_file(scene.path("luigi")).expect("the path exists");
}

/// The private pipe of a raw client is moved to the well-known name.
fn a_pipe_that_has_a_reader_is_left_as_it_was(scene: &Scene, paradigm: Paradigm) {
    let mut reader = scene.raw_client();
    let path = scene.path("mario");
    fs::rename(scene.path(reader.name()), &path).expect("the path exists");
    let inode = inode(&path);
    let refusal = format!(
        "{}: cannot serve at \"mario\": the name is in use (another process reads it): end that server, or choose another \
         name with --wkp\n",
        paradigm.binary()
    );
    scene.server(paradigm).run().code(3).stdout("").stderr(refusal);
    assert_eq!(self::inode(&path), inode);
    assert!(fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_fifo()));
    assert!(!reader.has_answer(), "the server wrote into the pipe");
    fs::rename(path, scene.path(reader.name())).expect("the path exists");
}

/// 255 bytes are the most for a name, and a private pipe's name has 35 more than the well-known one.
fn a_server_serves_at_the_longest_name(scene: &Scene, paradigm: Paradigm) {
    let name = "m".repeat(255 - 35);
    let _server = scene.server(paradigm).args(["--wkp", &name]).ready();
    let client = |text: &str| scene.client().args(["--wkp", &name, text]).start();
    let (one, other) = (client("one"), client("other"));
    one.ends().success().stdout("ONE\n").stderr("");
    other.ends().success().stdout("OTHER\n").stderr("");
}

/// Twice: the server also watches the pipe that it made again.
fn a_removed_name_is_created_again(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for _ in 0..2 {
        // A client that waits for the name finds the new pipe.
        fs::remove_file(scene.path("mario")).expect("the path exists");
        scene.serves("hello", "HELLO");
        until_true("the name to exist", || scene.path("mario").exists());
    }
}

/// A pipe or a regular file takes the name. The server must neither remove nor read it.
fn an_object_that_takes_the_name_ends_the_server_and_stays(scene: &Scene, paradigm: Paradigm) {
    let path = scene.path("mario");
    for what in ["a pipe that this server did not make", "a regular file"] {
        let server = scene.server(paradigm).ready();
        let taken = scene.path("taken");
        match what {
            "a regular file" => fs::write(&taken, "of value").expect("a file"),
            _ => scene.make_fifo("taken"),
        }
        let inode = inode(&taken);
        // A rename is one step, so the server never finds the name missing.
        fs::rename(&taken, &path).expect("the rename replaces the pipe");
        let message = format!("cannot use \"mario\": EEXIST ({what} is there, left untouched)");
        server.ends().code(3).stderr(predicate::str::contains(message));
        assert_eq!(scene.names(), ["mario"], "the server left a name, or removed another object");
        assert_eq!(self::inode(&path), inode);
        if what == "a regular file" {
            assert_eq!(fs::read_to_string(&path).expect("the path exists"), "of value");
        }
        fs::remove_file(&path).expect("the path exists");
    }
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("the path exists").ino()
}
