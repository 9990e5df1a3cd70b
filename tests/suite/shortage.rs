//! Shortages of processes, descriptors, file system space and pipe space: new clients wait, sessions go on,
//! and the server recovers.

use std::process::Command;
use std::rc::Rc;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::peers::preload;
use workspace_tests::proc::{Target, capacity, descriptors};
use workspace_tests::steps::{assert_nearly_idle_for_a_second, load, report, second_in_a_pipe};
use workspace_tests::wait::until_true;
use workspace_tests::{Launch, Paradigm, Program, Scene, Tool, each, is_root, needs, not_run};

each! {
    a_fork_that_fails_is_retried in forking dispatch shared: row_23;
    a_server_at_the_process_limit_waits_for_a_process in forking dispatch shared: row_23;
    without_descriptors_new_clients_wait in basic forking dispatch shared: row_24;
    a_server_that_cannot_start_says_why in basic forking dispatch shared: row_24 row_25;
    a_full_file_system_is_reported in basic forking dispatch shared: row_25;
    a_read_only_file_system_is_reported in basic forking dispatch shared: row_25;
    without_room_for_the_next_pipe_clients_wait in forking dispatch: row_25;
    a_name_that_cannot_be_removed_at_once_ends_no_session in basic forking dispatch: row_25;
    smaller_pipes_are_only_slower in basic forking dispatch shared: row_31;
}

/// Starts a client and waits for its first reply. Its session goes on while a resource is short.
fn connected(scene: &Scene) -> Rc<Program> {
    scene.served_client("one")
}

fn goes_on(client: &Program) {
    client.type_line("two");
    client.prints("ONE\nTWO\n");
}

fn leaves(client: &Program) {
    client.leaves().stdout("ONE\nTWO\n").stderr("");
}

/// Waits until the server has logged this shortage.
fn is_short(scene: &Scene, errno: &str) {
    let named = |text: &String| text.contains(errno);
    scene.event_log().wait_for(What::Shortage, |event| event.text.as_ref().is_some_and(named));
}

/// strace(1) makes 19 forks after the first fail: two seconds of retries.
fn a_fork_that_fails_is_retried(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Strace]) {
        return;
    }
    let server = scene.server(paradigm).failing("clone,clone3,fork,vfork", "EAGAIN:when=2..20").ready();
    let first = connected(scene);
    let second = scene.client().args(["--timeout", "60s", "hello"]).start();
    is_short(scene, "EAGAIN");
    goes_on(&first);
    second.ends().success().stdout("HELLO\n").stderr("");
    let forked = scene.event_log().all(|event| event.what == What::SubserverForked);
    assert!(forked.iter().all(|event| event.peer.is_some_and(|pid| pid < u32::MAX)), "{forked:?}");
    assert_eq!(forked.len(), 2, "a fork that failed was counted");
    leaves(&first);
    assert!(server.is_running());
}

const PRLIMIT: Tool = Tool::Command("prlimit");

/// A user of this test and paradigm alone, so that no other processes count for its limit.
fn user(paradigm: Paradigm, test: u32) -> u32 {
    let n = Paradigm::ALL.into_iter().position(|other| other == paradigm).expect("a paradigm of the list");
    61_000 + test * 10 + u32::try_from(n).expect("there are four")
}

/// Root is not bound by the limit, so another user serves. The server, a subserver and two clients are four
/// processes. A fifth process is possible only when the first client has left.
fn a_server_at_the_process_limit_waits_for_a_process(scene: &Scene, paradigm: Paradigm) {
    if !is_root() || !needs(&[PRLIMIT]) {
        return;
    }
    let user = user(paradigm, 1);
    scene.belongs_to(user);
    let launch = scene.server(paradigm).args(["--max-clients", "100"]).as_user(user);
    let server = launch.through(["prlimit", "--nproc=4"]).ready();
    let first = scene.client().as_user(user).typing().start();
    first.type_line("one");
    first.prints("ONE\n");
    let second = scene.client().as_user(user).args(["--timeout", "60s", "hello"]).start();
    is_short(scene, "EAGAIN");
    goes_on(&first);
    assert!(second.is_running());
    leaves(&first);
    second.ends().success().stdout("HELLO\n").stderr("");
    assert!(server.is_running());
}

/// Limits a program's descriptors from now on. prlimit(1) changes only the soft limit, so the test can undo
/// it.
fn limit_descriptors(program: &Program, most: u64) {
    let [pid, limit] = [format!("--pid={}", program.pid()), format!("--nofile={most}:")];
    assert!(Command::new("prlimit").args([pid, limit]).status().expect("the command starts").success());
}

fn without_descriptors_new_clients_wait(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[PRLIMIT]) {
        return;
    }
    let server = scene.server(paradigm).ready();
    let first = connected(scene);
    // Open descriptors stay open.
    limit_descriptors(&server, 3);
    let second = scene.client().args(["--timeout", "60s", "hello"]).start();
    if paradigm == Paradigm::Basic {
        goes_on(&first);
        leaves(&first);
        is_short(scene, "EMFILE");
    } else {
        is_short(scene, "EMFILE");
        goes_on(&first);
    }
    assert_nearly_idle_for_a_second(scene, server.pid());
    assert!(second.is_running());
    limit_descriptors(&server, 1024);
    second.ends().success().stdout("HELLO\n").stderr("");
    if paradigm != Paradigm::Basic {
        leaves(&first);
    }
}

fn a_server_that_cannot_start_says_why(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[PRLIMIT]) {
        return;
    }
    let program = paradigm.binary();
    let refuses = |launch: Launch<'_>, what: &str| {
        let message = predicate::str::starts_with(format!("{program}: cannot ")).and(contains(what));
        launch.run().code(3).stdout("").stderr(message);
        assert_eq!(scene.names(), [""; 0], "names left after {what}");
    };
    refuses(scene.server(paradigm).without_event_log().through(["prlimit", "--nofile=4"]), "EMFILE");
    let long = "x".repeat(250);
    let places = [
        ("nowhere/mario", "nowhere/.mario.lock\": ENOENT"),
        ("/proc/mario", "/proc/.mario.lock\": E"),
        (&long, "xxx\": ENAMETOOLONG"),
    ];
    for (wkp, message) in places {
        refuses(scene.server(paradigm).args(["--wkp", wkp]), message);
        let client = scene.client().args(["--timeout", "5s", "--wkp", wkp, "hello"]).run();
        let wkp = predicate::str::starts_with("client: cannot ").and(contains(&wkp[..3]));
        client.code(3).stdout("").stderr(wkp);
    }
}

/// Runs a program on a file system of its own, mounted at the scene's place for this program only. Prints the
/// names that the program leaves there.
fn on_a_file_system<'s>(scene: &Scene, launch: Launch<'s>, mount: &str) -> Launch<'s> {
    let script = format!("cd / && mount -t tmpfs {mount} && cd \"$0\" && \"$@\"; code=$?; ls -A; exit $code");
    launch.through(["unshare", "-m", "sh", "-c", &script]).through([scene.place()])
}

const MOUNTING: [Tool; 3] = [Tool::Command("mount"), Tool::Command("nsenter"), Tool::Command("unshare")];

/// Whether this machine lets the test mount a file system. If not, prints NOT RUN.
fn can_mount() -> bool {
    let can = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        not_run("no file system can be mounted here: it takes root, and a machine that lets it");
    }
    can
}

/// The root directory is the first file of a file system. Then come the lock file and the pipe.
fn a_full_file_system_is_reported(scene: &Scene, paradigm: Paradigm) {
    if !needs(&MOUNTING) || !can_mount() {
        return;
    }
    for (files, object) in [(1, ".mario.lock"), (2, "\"mario\"")] {
        let mount = format!("-o nr_inodes={files} tmpfs \"$0\"");
        let launch = on_a_file_system(scene, scene.server(paradigm), &mount);
        launch.run().code(3).stdout("").stderr(contains("ENOSPC").and(contains(object)));
    }
}

fn a_read_only_file_system_is_reported(scene: &Scene, paradigm: Paradigm) {
    if !needs(&MOUNTING) || !can_mount() {
        return;
    }
    let mount = "-o ro tmpfs \"$0\"";
    let launch = on_a_file_system(scene, scene.server(paradigm), mount);
    launch.run().code(3).stdout("").stderr(contains(".mario.lock\": EROFS"));
    let launch = on_a_file_system(scene, scene.client().arg("hello"), mount);
    launch.run().code(3).stdout("").stderr(contains("mario.client.").and(contains("EROFS")));
}

/// The file system has room for the lock file, the pipe and one private pipe, but not for the next well-known
/// pipe. Later it has room for all.
fn without_room_for_the_next_pipe_clients_wait(scene: &Scene, paradigm: Paradigm) {
    if !needs(&MOUNTING) || !can_mount() {
        return;
    }
    let place = scene.place().display().to_string();
    let script = "mount -t tmpfs -o nr_inodes=4 tmpfs \"$0\" && cd \"$0\" && exec \"$@\"";
    let launch = scene.server(paradigm).through(["unshare", "-m", "sh", "-c", script, &place]);
    let server = launch.ready();
    let there = ["nsenter".to_owned(), "-m".into(), format!("--target={}", server.pid()), "--".into()];
    let in_place = || there.iter().cloned().chain(["env", "-C", &place].map(Into::into));
    let client = scene.client().args(["--timeout", "60s", "hello"]).through(in_place()).start();
    is_short(scene, "ENOSPC");
    let refused = scene.client().arg("hello").through(in_place()).run();
    refused.code(3).stdout("").stderr(contains("mario.client.").and(contains("ENOSPC")));
    assert_nearly_idle_for_a_second(scene, server.pid());
    let remount = ["mount", "-o", "remount,nr_inodes=100", &place];
    assert!(
        Command::new(&there[0])
            .args(&there[1..])
            .args(remount)
            .status()
            .expect("the command starts")
            .success()
    );
    client.ends().success().stdout("HELLO\n").stderr("");
}

fn a_name_that_cannot_be_removed_at_once_ends_no_session(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let library = scene.place().parent().expect("a temporary directory");
    let Some(preload) = preload("failing_unlink", library) else { return };
    let server = scene.server(paradigm).through(["env", &preload]).ready();
    let mut client = second_in_a_pipe(scene, &server);
    assert!(!client.accept().upstream.is_empty(), "the client has no fresh upstream");
    client.request(1, b"hello");
    assert_eq!(client.reply(1, 5), b"HELLO");
    client.bye();
    until_true("the fresh upstream has no name", || {
        !scene.names().iter().any(|name| name.starts_with("mario.up."))
    });
    let removed = scene.event_log().all(|event| event.what == What::UpstreamRemoved);
    assert_eq!(removed, [], "the call has not failed");
}

/// A user with 1,024 pipes of 64 KiB gets smaller pipes; root does not (pipe(7), pipe-user-pages-soft). The
/// test stops the server and checks that pipes are small.
fn smaller_pipes_are_only_slower(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Descriptors(4096)]) || geteuid().is_root() && !is_root() {
        return;
    }
    // The kernel gives an ordinary user small pipes anyway.
    let user = geteuid().is_root().then(|| user(paradigm, 2));
    user.into_iter().for_each(|user| scene.belongs_to(user));
    let server =
        as_user(scene.server(paradigm).args(["-q", "--service", "echo"]).without_event_log(), user).ready();
    server.signal(Signal::SIGSTOP);
    let lab =
        as_user(load(scene, &["--connections", "1500", "--requests", "20", "--window", "16"]), user).start();
    until_true("1500 private pipes", || {
        scene.names().iter().filter(|name| name.contains(".client.")).count() == 1500
    });
    let pipes = descriptors(lab.pid()).into_iter().filter(|fd| matches!(fd.target, Target::Named { .. }));
    let small = pipes.filter(|pipe| capacity(lab.pid(), pipe).is_some_and(|bytes| bytes < 65_536)).count();
    assert!(small >= 400, "only {small} pipes are small");
    server.signal(Signal::SIGCONT);
    report(&lab);
}

fn as_user(launch: Launch<'_>, user: Option<u32>) -> Launch<'_> {
    user.into_iter().fold(launch, Launch::as_user)
}
