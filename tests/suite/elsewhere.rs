//! Other machines: calls that the kernel or the file system refuses, containers, emulators, debuggers, and
//! inherited state.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use handshake_core::event::What;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use predicates::str::contains;
use workspace_tests::proc::{Process, children_of};
use workspace_tests::steps::{another_client_is_served_soon, load, report, second_in_a_pipe};
use workspace_tests::wait::{WATCHDOG, until, until_true};
use workspace_tests::{Paradigm, Refusal, Scene, Tool, each, is_root, needs};

each! {
    a_server_without_getrandom_makes_fresh_upstreams in basic forking dispatch: row_48;
    many_subservers_are_ordinary_children_if_nothing_else_is_allowed in forking dispatch shared: row_48;
    a_subserver_is_an_ordinary_child in forking dispatch shared: row_49;
    an_emulated_server_serves in basic forking dispatch shared: row_49;
    process_1_of_a_container_serves_reaps_and_ends in basic forking dispatch shared: row_49;
    a_pipe_that_a_container_left_is_removed in basic forking dispatch shared: row_12 row_49;
    signals_that_were_ignored_stay_ignored in basic forking dispatch shared: row_50;
    an_event_log_at_its_size_limit_ends_no_process in basic forking dispatch shared: row_50 row_51;
    inherited_children_are_reaped in basic forking dispatch shared: row_50;
    an_event_log_without_a_reader_blocks_no_process in basic forking dispatch shared: row_51;
    a_stderr_without_a_reader_blocks_no_process in basic forking dispatch shared: row_51;
    a_removed_lock_file_is_created_again in basic forking dispatch shared: row_52;
    a_name_that_was_taken_during_a_session_ends_the_first_server in basic: row_52;
}

each! { own scenes:
    names_that_cannot_be_exchanged_are_replaced in basic forking dispatch shared: row_48;
    no_umask_changes_a_mode in basic forking dispatch shared: row_38 row_50;
}

/// The refused flags of renameat2(2): 2 exchanges two names, 1 replaces no name.
fn names_that_cannot_be_exchanged_are_replaced(paradigm: Paradigm) {
    if !needs(&[Tool::Seccomp]) {
        return;
    }
    let exchange = || Refusal::of("renameat2", Errno::EINVAL).when(4, 2, 2);
    let no_replace = || Refusal::of("renameat2", Errno::EINVAL).when(4, 1, 1);
    let whole = || Refusal::of("renameat2", Errno::ENOSYS);
    for refused in [vec![exchange()], vec![exchange(), no_replace()], vec![whole()]] {
        let scene = Scene::new();
        let server = scene.server(paradigm).refusing(refused).ready();
        scene.serves("one", "ONE");
        scene.serves("two", "TWO");
        // The server also takes over the name of a dead server's pipe.
        server.kill();
        let _server = scene.server(paradigm).refusing([exchange(), no_replace()]).ready();
        scene.serves("three", "THREE");
        scene.end();
    }
}

/// Its random numbers come from /dev/urandom, also in a subserver, which keeps no descriptor of its main
/// server.
fn a_server_without_getrandom_makes_fresh_upstreams(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Seccomp]) {
        return;
    }
    let server = scene.server(paradigm).refusing([Refusal::of("getrandom", Errno::ENOSYS)]).ready();
    let mut client = second_in_a_pipe(scene, &server);
    assert!(!client.accept().upstream.is_empty(), "the client has no fresh upstream");
    client.request(1, b"hello");
    assert_eq!(client.reply(1, 5), b"HELLO");
    client.bye();
}

/// 0x22 is SIGRTMIN, the exit signal of a child when there are many.
fn many_subservers_are_ordinary_children_if_nothing_else_is_allowed(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Seccomp]) {
        return;
    }
    let refused = Refusal::of("clone", Errno::EINVAL).when(0, 0xff, 0x22);
    let server = scene.server(paradigm).args(["-q", "--service", "echo"]).refusing([refused]).ready();
    let lab = load(scene, &["--connections", "150", "--requests", "2", "--hold"]).typing().start();
    until_true("the server to have 150 subservers", || children_of(server.pid()).len() == 150);
    assert!(children_of(server.pid()).iter().all(|child| end_signal(child.pid) == Signal::SIGCHLD as i32));
    lab.close_stdin();
    report(&lab);
    until_true("all subservers to be reaped", || children_of(server.pid()).is_empty());
}

fn a_subserver_is_an_ordinary_child(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let client = scene.served_client("hello");
    for child in children_of(server.pid()) {
        assert_eq!(end_signal(child.pid), Signal::SIGCHLD as i32, "the exit signal");
    }
    client.leaves();
}

/// Returns the signal that a process's parent gets at its exit (proc(5), `exit_signal` in stat).
fn end_signal(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is alive");
    // The second field is the name in parentheses, which may contain spaces. `exit_signal` is the 38th field.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    fields.split_whitespace().nth(35).and_then(|signal| signal.parse().ok()).expect("a number")
}

fn an_emulated_server_serves(scene: &Scene, paradigm: Paradigm) {
    let emulator = match env::consts::ARCH {
        "x86_64" => "qemu-x86_64-static",
        _ => "qemu-aarch64-static",
    };
    if !needs(&[Tool::Command(emulator)]) {
        return;
    }
    let _server = scene.server(paradigm).through([emulator]).ready();
    scene.serves("one", "ONE");
    let client = scene.client().through([emulator]).arg("two").run();
    client.success().stdout("TWO\n");
}

/// The options of unshare(1) for a new PID namespace with the program as its first process. An ordinary user
/// also needs a user namespace.
fn container() -> Vec<&'static str> {
    let container = ["unshare", "--pid", "--fork", "--kill-child"];
    let user = if nix::unistd::geteuid().is_root() { None } else { Some("--map-root-user") };
    container.into_iter().chain(user).collect()
}

/// Whether this machine lets this user make a PID namespace.
fn may_have_a_container() -> bool {
    if !needs(&[Tool::Command("unshare")]) {
        return false;
    }
    let container = container();
    let may = Command::new(container[0]).args(&container[1..]).arg("true").stderr(Stdio::null()).status();
    let may = may.is_ok_and(|status| status.success());
    if !may {
        workspace_tests::not_run("this user may have no PID namespace");
    }
    may
}

fn process_1_of_a_container_serves_reaps_and_ends(scene: &Scene, paradigm: Paradigm) {
    if !may_have_a_container() || !needs(&[Tool::Command("nsenter")]) || !is_root() {
        return;
    }
    // unshare(1) keeps the descriptor of the ready message open.
    let outside = scene.server(paradigm).through(container()).start();
    scene.event_log().wait_for(What::Waiting, |_| true);
    let server = until("the first process of the container", || {
        children_of(outside.pid()).first().map(|child| child.pid)
    });
    scene.serves("one", "ONE");
    // An outside process leaves an orphan during a session. In basic the server does nothing else during a
    // session.
    let client = scene.served_client("hello");
    let target = server.to_string();
    let orphan = ["nsenter", "-t", &target, "-p", "sh", "-c", "(exec sleep 2) & exit 0"];
    assert!(Command::new(orphan[0]).args(&orphan[1..]).status().expect("nsenter(1)").success());
    let has_orphan = || children_of(server).iter().any(|child| child.name == "sleep");
    until_true("the orphan to be the server's child", has_orphan);
    until_true("the orphan to be reaped", || !has_orphan());
    client.leaves();
    scene.signal_server(server, Signal::SIGTERM);
    outside.ends().code(0);
    assert_eq!(scene.names(), [""; 0]);
    // A client that is process 1, and whose reader has left, cannot die by SIGPIPE.
    let _server = scene.server(paradigm).args(["--service", "echo"]).ready();
    let container = container().join(" ");
    let pipeline = format!("seq 100000 | {{ {container} \"$0\"; echo $? >&2; }} | head -1");
    let client = scene.client_at("sh").args(["-c", &pipeline]).arg(client_path()).run();
    client.success().stdout("1\n").stderr("141\n");
}

fn client_path() -> std::path::PathBuf {
    workspace_tests::path_of("client").to_path_buf()
}

/// The PID in the pipe's name means nothing outside the container. Here it is the PID of a live process.
fn a_pipe_that_a_container_left_is_removed(scene: &Scene, paradigm: Paradigm) {
    if !may_have_a_container() {
        return;
    }
    let client =
        scene.client().without_event_log().args(["--timeout", "60s", "hello"]).through(container()).start();
    let left = until("the client's private pipe", || {
        scene.names().into_iter().find(|name| name.starts_with("mario.client.1."))
    });
    client.kill();
    until_true("the client in the container to be dead", || {
        Process::all(|process| process.name == "client" && process.parent == client.pid()).is_empty()
    });
    // The pipe must look old.
    let touched = Command::new("touch").args(["-d", "1 minute ago"]).arg(scene.path(&left)).status();
    assert!(touched.expect("touch(1)").success());
    let _server = scene.server(paradigm).ready();
    assert!(!scene.names().contains(&left), "{left} still exists");
    scene.serves("hello", "HELLO");
}

/// As under nohup(1), or in a background job of a shell script.
fn signals_that_were_ignored_stay_ignored(scene: &Scene, paradigm: Paradigm) {
    let ignoring = ["sh", "-c", "trap '' HUP INT QUIT; exec \"$0\" \"$@\""];
    let server = scene.server(paradigm).through(ignoring).ready();
    let client = scene.client().through(ignoring).typing().start();
    client.type_line("one");
    client.prints("ONE\n");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        server.signal(signal);
        client.signal(signal);
    }
    client.type_line("two");
    client.prints("ONE\nTWO\n");
    client.signal(Signal::SIGTERM);
    client.ends_by(Signal::SIGTERM);
    another_client_is_served_soon(scene);
}

/// A pipe of mode 0200 or 0400 is useless for an ordinary user. Root could use it, but the mode must still be
/// 0600.
fn no_umask_changes_a_mode(paradigm: Paradigm) {
    let users =
        if nix::unistd::geteuid().is_root() && is_root() { vec![None, Some(NOBODY)] } else { vec![None] };
    for (umask, user) in
        ["0277", "0477", "0777"].into_iter().flat_map(|mask| users.iter().map(move |user| (mask, user)))
    {
        let scene = Scene::new();
        let masked = ["sh".into(), "-c".into(), format!("umask {umask}; exec \"$0\" \"$@\"")];
        let (mut server, mut client) =
            (scene.server(paradigm).without_event_log(), scene.client().without_event_log());
        if let Some(user) = user {
            let root = scene.place().parent().expect("a directory").to_path_buf();
            fs::set_permissions(root, Permissions::from_mode(0o711)).expect("the test owns it");
            fs::set_permissions(scene.place(), Permissions::from_mode(0o777)).expect("the test owns it");
            (server, client) = (server.as_user(*user), client.as_user(*user));
        }
        let server = server.through(masked.clone()).ready();
        for name in ["mario", ".mario.lock"] {
            let mode = fs::metadata(scene.path(name)).expect("the path exists").mode() & 0o7777;
            assert_eq!(mode, 0o600, "the mode of {name} with umask {umask}");
        }
        client.through(masked).arg("hello").run().success().stdout("HELLO\n");
        // The next server can open the lock file that this one leaves.
        server.kill();
        scene.subservers_end(WATCHDOG);
        let mut next = scene.server(paradigm).without_event_log();
        next = user.iter().fold(next, |next, user| next.as_user(*user));
        next.ready();
        scene.end();
    }
}

const NOBODY: u32 = 61_100;

/// The event log reaches a file size limit. SIGXFSZ would end the process.
fn an_event_log_at_its_size_limit_ends_no_process(scene: &Scene, paradigm: Paradigm) {
    let limited = ["prlimit", "--fsize=1000"];
    if !needs(&[Tool::Command("prlimit")]) {
        return;
    }
    let server =
        scene.server(paradigm).without_event_log().args(["--events", "log"]).through(limited).ready();
    for _ in 0..5 {
        let client =
            scene.talking_client().without_event_log().args(["--events", "log", "hello"]).through(limited);
        let client = client.run();
        client.success().stdout("HELLO\n").stderr(contains("the event log has a gap"));
    }
    assert_eq!(fs::metadata(scene.path("log")).expect("the path exists").len(), 1000);
    fs::remove_file(scene.path("log")).expect("the path exists");
    server.shuts_down().stderr(contains("the event log has a gap: the file takes no more now: EFBIG"));
}

/// The children of the shell that the server replaced.
fn inherited_children_are_reaped(scene: &Scene, paradigm: Paradigm) {
    let with_children = ["sh", "-c", "sleep 0.01 & sleep 0.3 & exec \"$0\" \"$@\""];
    let server = scene.server(paradigm).through(with_children).ready();
    let client = scene.served_client("hello");
    until_true("the children of the shell to be reaped", || {
        children_of(server.pid()).iter().all(|child| child.name != "sleep")
    });
    client.leaves();
}

/// A FIFO that no process has opened, and later a full one. The programs count the events that it does not
/// take.
fn an_event_log_without_a_reader_blocks_no_process(scene: &Scene, paradigm: Paradigm) {
    assert!(Command::new("mkfifo").arg(scene.path("log")).status().expect("mkfifo(1)").success());
    let log = ["--events", "log", "--service", "echo"];
    let server = scene.server(paradigm).without_event_log().args(log).ready();
    let lines: String = (0..2000).map(|line| format!("{line}\n")).collect();
    let client = scene.talking_client().without_event_log().args(["--timeout", "20s", "--events", "log"]);
    let client = client.run_with_stdin(lines.clone());
    client
        .success()
        .stdout(lines)
        .stderr(contains("the event log has a gap: the file takes no more now: EAGAIN"));
    // The main server of forking reports only events that it dropped itself.
    scene.serves("unseen", "unseen");
    // A reader that comes now finds whole lines, and the number of missing ones.
    let reader = scene.client_at("cat").arg("log").start();
    until_true("the reader to see the gap", || {
        scene.serves("again", "again");
        reader.printed().contains("events-dropped")
    });
    server.shuts_down();
    reader.ends().success();
    let read = reader.printed();
    assert!(read.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "torn lines");
    fs::remove_file(scene.path("log")).expect("the path exists");
}

/// stderr is a full pipe, as for a service whose log reader has stopped.
fn a_stderr_without_a_reader_blocks_no_process(scene: &Scene, paradigm: Paradigm) {
    assert!(Command::new("mkfifo").arg(scene.path("talk")).status().expect("mkfifo(1)").success());
    let unread = ["sh", "-c", "exec \"$0\" \"$@\" 2<>talk"];
    let server = scene.server(paradigm).args(["-v", "--service", "echo"]).through(unread).ready();
    let lines: String = (0..2000).map(|line| format!("{line}\n")).collect();
    scene.client().run_with_stdin(lines.clone()).success().stdout(lines);
    // Lines that a subserver drops are reported by no process. This session makes the server itself drop
    // lines.
    scene.serves("unheard", "unheard");
    let reader = scene.client_at("timeout").args(["60", "cat", "talk"]).start();
    until_true("the reader to have read the pipe's content", || reader.printed().len() > 60_000);
    scene.serves("again", "again");
    until_true("the reader to see the gap", || {
        reader.printed().contains("lines are missing: stderr was full)")
    });
    server.shuts_down();
    reader.ends().success();
    fs::remove_file(scene.path("talk")).expect("the path exists");
}

/// A cleaner of temporary directories removes the file. Without the file a second server could take the name.
fn a_removed_lock_file_is_created_again(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    fs::remove_file(scene.path(".mario.lock")).expect("the path exists");
    until_true("the lock file to exist again", || scene.path(".mario.lock").exists());
    scene.server(paradigm).run().code(3).stderr(contains("the name is in use"));
    another_client_is_served_soon(scene);
}

/// During a session, basic has no well-known pipe and does not check the lock file. The first server notices
/// the loss after the session.
fn a_name_that_was_taken_during_a_session_ends_the_first_server(scene: &Scene, paradigm: Paradigm) {
    let first = scene.server(paradigm).ready();
    let client = scene.served_client("one");
    fs::remove_file(scene.path(".mario.lock")).expect("the path exists");
    let _second = scene.server(paradigm).ready();
    client.type_line("two");
    client.prints("ONE\nTWO\n");
    client.leaves();
    first.ends().code(3).stderr(contains("another server has made a new one"));
    scene.server(paradigm).run().code(3);
    another_client_is_served_soon(scene);
}
