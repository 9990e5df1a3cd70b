//! Another user can neither connect nor listen, and gets an error. If the tests do not run as root, they
//! print NOT RUN.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use handshake_core::event::What;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::steps::another_client_is_served_soon;
use workspace_tests::{Paradigm, RawClient, Scene, each, is_root};

each! {
    only_the_owner_has_access_to_the_pipes in basic forking dispatch shared: row_38;
    another_users_client_is_refused_by_the_kernel in basic forking dispatch shared: row_38;
    roots_client_does_not_trust_another_users_server in basic forking dispatch shared: row_38;
    another_users_pipe_is_not_answered in basic forking dispatch shared: row_16 row_38;
    another_users_pipe_is_left_as_it_was in basic forking dispatch shared: row_15 row_38;
    another_users_lock_file_is_reported_and_not_locked in basic forking dispatch shared: row_14 row_38;
    another_user_gets_no_access in basic forking dispatch shared: row_38;
}

/// A user without files and without any other process.
const NOBODY: u32 = 61_100;

/// The umask is 0 here, so it removes no right.
fn only_the_owner_has_access_to_the_pipes(scene: &Scene, paradigm: Paradigm) {
    let lax = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""];
    let _server = scene.server(paradigm).through(lax).ready();
    let holder = scene.client().arg("holder").through(lax).gated().start();
    holder.step_until(What::WkpOpened);
    let held = scene.client().arg("held").through(lax).gated().start();
    held.step_until(What::AwaitingAck);
    scene.event_log().wait_for(What::AckSent, |_| true);
    let names = scene.names();
    // The held client has a fresh upstream, since another client holds the lock. In basic and with a shared
    // pipe there may be fewer names.
    assert!(names.len() >= if paradigm == Paradigm::Basic { 3 } else { 4 }, "{names:?}");
    for name in names {
        let mode = fs::metadata(scene.path(&name)).expect("the path exists").mode() & 0o7777;
        assert_eq!(mode, 0o600, "the mode of {name}");
    }
    held.go_on();
    held.ends().success();
    holder.go_on();
    holder.ends().success();
}

/// Root could lock the other user's file. The other user could keep root out.
fn another_users_lock_file_is_reported_and_not_locked(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    let root = scene.place().parent().expect("a directory").to_path_buf();
    fs::set_permissions(root, Permissions::from_mode(0o711)).expect("the test owns it");
    fs::set_permissions(scene.place(), Permissions::from_mode(0o777)).expect("the test owns it");
    let lock = scene.path(".mario.lock");
    fs::write(&lock, "").expect("a file");
    fs::set_permissions(&lock, Permissions::from_mode(0o600)).expect("the test owns it");
    let server = scene.server(paradigm).without_event_log().as_user(NOBODY).run();
    let named =
        contains("cannot open the lock file").and(contains("EACCES")).and(contains("belongs to user 0"));
    server.code(3).stdout("").stderr(named);
    chown(&lock, Some(NOBODY), Some(NOBODY)).expect("root may do that");
    let server = scene.server(paradigm).run();
    server.code(3).stdout("").stderr(contains("a lock file of another user is there, left untouched"));
    assert_eq!(scene.names(), [".mario.lock"]);
    fs::remove_file(&lock).expect("the path exists");
}

/// The other user may make its own pipe in this directory, and see the names. It can neither write to the
/// server nor read what clients write.
fn another_users_client_is_refused_by_the_kernel(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    let root = scene.place().parent().expect("a directory").to_path_buf();
    fs::set_permissions(root, Permissions::from_mode(0o711)).expect("the test owns it");
    let _server = scene.server(paradigm).ready();
    let refused = |message: &str| {
        let client = scene.client().without_event_log().as_user(NOBODY).args(["--timeout", "20s", "hello"]);
        client.run().code(3).stdout("").stderr(starts_with("client: cannot ").and(contains(message)));
    };
    refused("EACCES");
    fs::set_permissions(scene.place(), Permissions::from_mode(0o777)).expect("the test owns it");
    refused("\"mario\": EACCES");
    let names = scene.names();
    let mut listener = Command::new("cat");
    listener.uid(NOBODY).gid(NOBODY).arg(scene.path("mario")).env("LC_ALL", "C");
    assert_cmd::Command::from_std(listener)
        .assert()
        .failure()
        .stdout("")
        .stderr(contains("Permission denied"));
    assert_eq!(scene.names(), names, "the client left its private pipe");
    another_client_is_served_soon(scene);
}

/// The kernel would let root open the pipe, but then the other user could read root's messages.
fn roots_client_does_not_trust_another_users_server(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    scene.belongs_to(NOBODY);
    let _server = scene.server(paradigm).as_user(NOBODY).ready();
    let names = scene.names();
    let client = scene.client().args(["--timeout", "20s", "hello"]).run();
    client.code(3).stdout("").stderr(starts_with("client: cannot ").and(contains("\"mario\": EPERM")));
    assert_eq!(scene.names(), names, "the client left its private pipe");
    scene.client().as_user(NOBODY).arg("hello").run().success().stdout("HELLO\n");
}

/// Root's HELLO names another user's pipe. That user must not read the answer.
fn another_users_pipe_is_not_answered(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    let _server = scene.server(paradigm).ready();
    let name = RawClient::new_name();
    let path = scene.path(&name);
    scene.make_fifo(&name);
    chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may do that");
    let open = fs::File::options().read(true).write(true).open(&path);
    let mut client = scene.raw_client();
    client.hello_naming(name.as_bytes());
    scene.event_log().wait_for(What::ClientDropped, |event| {
        event
            .text
            .as_ref()
            .is_some_and(|text| text.contains("a pipe of another user stands at its private pipe"))
    });
    another_client_is_served_soon(scene);
    // The test writes a byte, so that the read returns.
    let mut pipe = open.expect("root may do that");
    std::io::Write::write_all(&mut pipe, b"!").expect("there is room");
    let mut bytes = [0; 100];
    assert_eq!(
        pipe.read(&mut bytes).expect("the pipe has the test's byte"),
        1,
        "the server wrote into the pipe"
    );
    fs::remove_file(path).expect("the path exists");
}

fn another_users_pipe_is_left_as_it_was(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    let path = scene.path("mario");
    scene.make_fifo("mario");
    chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may do that");
    let inode = fs::metadata(&path).expect("the path exists").ino();
    let server = scene.server(paradigm).run();
    server.code(3).stdout("").stderr(contains("a pipe of another user is there, left untouched"));
    let now = fs::metadata(&path).expect("the path exists");
    assert_eq!((now.ino(), now.uid(), scene.names().len()), (inode, NOBODY, 1));
    fs::remove_file(path).expect("the path exists");
}

/// Root's server with another user's client, and the reverse, in a directory where both may create names.
/// Only the modes and the owners of the pipes protect them; against root only the owners.
fn another_user_gets_no_access(scene: &Scene, paradigm: Paradigm) {
    if !is_root() {
        return;
    }
    for directory in [scene.place(), scene.place().parent().expect("the place has a parent")] {
        fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("the test owns it");
    }
    for (of_server, of_client) in [(0, NOBODY), (NOBODY, 0)] {
        let server = scene.server(paradigm).without_event_log().as_user(of_server).ready();
        let wkp = fs::metadata(scene.path("mario")).expect("the path exists");
        assert_eq!((wkp.uid(), wkp.mode() & 0o777), (of_server, 0o600));
        let intruder = scene
            .client()
            .without_event_log()
            .as_user(of_client)
            .args(["--timeout", "60s", "secret"])
            .start();
        intruder
            .ends()
            .code(3)
            .stdout("")
            .stderr(contains("open the well-known pipe").and(contains("another user")));
        // A second server of the other user does no harm.
        scene.server(paradigm).without_event_log().as_user(of_client).start().ends().code(3);
        let friend = scene.client().without_event_log().as_user(of_server).arg("hello").start();
        friend.ends().success().stdout("HELLO\n");
        server.shuts_down();
        assert_eq!(scene.names(), [""; 0]);
    }
}
