//! A subserver, a server and a client are killed during sessions. Their peers notice at once, and other
//! sessions go on. `every_event` does the same at each event.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::{HANDSHAKE, another_client_is_served_soon};
use workspace_tests::wait::until;
use workspace_tests::{Paradigm, Scene, each};

each! {
    the_client_of_a_killed_subserver_notices_at_once in forking dispatch shared: row_13 row_33;
    the_clients_of_a_killed_server_notice_at_once in basic forking dispatch shared: row_12;
    a_client_whose_server_is_killed_at_any_step_says_so in basic forking dispatch shared: row_12;
    a_subserver_that_ends_removes_no_name_of_the_server in forking dispatch shared: row_33;
    a_client_gone_before_its_answer_ends_only_its_own_session in basic forking dispatch shared: row_26;
}

/// How long subservers may run after their server was killed.
const SUBSERVER_END_LIMIT: Duration = Duration::from_secs(10);

fn the_client_of_a_killed_subserver_notices_at_once(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [one, other] = [(); 2].map(|()| scene.client().typing().start());
    for client in [&one, &other] {
        client.type_line("hello");
        client.prints("HELLO\n");
    }
    scene.signal_server(scene.event_log().server_of(one.pid()), Signal::SIGKILL);
    one.ends().code(1).stdout("HELLO\n").stderr(predicate::str::starts_with("client: the connection is"));
    other.type_line("again");
    other.prints("HELLO\nAGAIN\n");
    another_client_is_served_soon(scene);
    other.leaves().stderr("");
}

fn the_clients_of_a_killed_server_notice_at_once(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--service", "sleep:100000"]).ready();
    let mut clients = vec![scene.client().arg("request").start()];
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    if paradigm.has_subservers() {
        clients.push(scene.client().typing().start());
        scene.event_log().wait_for_many(2, What::ReadyReceived, |_| true);
    }
    server.kill();
    for client in &clients {
        client.ends().code(1).stdout("").stderr(predicate::str::starts_with("client: the connection is"));
    }
    scene.subservers_end(SUBSERVER_END_LIMIT);
    let mut names = vec![".mario.lock", "mario"];
    names.retain(|name| paradigm != Paradigm::Basic || *name != "mario");
    assert_eq!(scene.names(), names, "only the names that a killed server cannot remove");
    scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
}

/// The server is killed while the client is held. The client removes its own pipe. Its status says whether a
/// server read its HELLO.
fn a_client_whose_server_is_killed_at_any_step_says_so(scene: &Scene, paradigm: Paradigm) {
    for what in HANDSHAKE {
        let server = scene.server(paradigm).ready();
        let client = scene.client().args(["--timeout", "300ms", "hello"]).gated().start();
        client.step_until(what);
        server.kill();
        scene.subservers_end(SUBSERVER_END_LIMIT);
        client.go_on();
        let (code, message) = match what {
            What::PrivateCreated | What::WkpOpened => (3, "client: cannot connect to \"mario\""),
            What::ReadySent => (1, "client: the connection is"),
            _ => (1, "client: cannot connect to \"mario\""),
        };
        client.ends().code(code).stdout("").stderr(predicate::str::starts_with(message));
        let private: Vec<_> = scene.names().into_iter().filter(|name| name.contains(".client.")).collect();
        assert_eq!(private, [""; 0], "left after {what:?}");
    }
    // The next server takes over the names that the last one left.
    scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
}

/// A subserver's memory holds the values whose destructors would remove the main server's names.
fn a_subserver_that_ends_removes_no_name_of_the_server(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let client = scene.served_client("hello");
        let subserver = scene.event_log().server_of(client.pid());
        let look = || (scene.names(), fs::metadata(scene.path("mario")).expect("the path exists").ino());
        let before = look();
        scene.signal_server(subserver, signal);
        client.ends().code(1);
        scene.event_log().wait_for(What::SubserverReaped, |event| event.peer == Some(subserver));
        assert_eq!(look(), before, "after {signal}");
        another_client_is_served_soon(scene);
    }
}

/// The server reads the request when the client has gone. Its write must fail with EPIPE, without a death by
/// SIGPIPE. A program that another test starts at this moment has a copy of the client's pipe. So more than
/// one try may be needed.
fn a_client_gone_before_its_answer_ends_only_its_own_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    until("a reply to a client that has gone", || {
        let error = answered_when_gone(scene, paradigm)?;
        assert!(error.contains("EPIPE"), "the session did not end by EPIPE: {error}");
        Some(())
    });
    let reaped = scene.event_log().all(|event| event.what == What::SubserverReaped);
    assert!(
        reaped.iter().all(|event| event.text.as_deref().is_some_and(|how| how.starts_with("exit status")))
    );
    another_client_is_served_soon(scene);
}

/// Returns the error of the reply's write, if the write failed.
fn answered_when_gone(scene: &Scene, paradigm: Paradigm) -> Option<String> {
    let mark = scene.event_log().mark();
    let mut client = scene.raw_session();
    let answerer = scene.event_log().wait_after(mark, What::ReadyReceived, |_| true).pid;
    scene.signal_server(answerer, Signal::SIGSTOP);
    // In basic one process answers all clients.
    let ends = |what| matches!(what, What::ClientDropped | What::SessionEnded);
    let before = scene.event_log().all(|event| event.pid == answerer && ends(event.what)).len();
    let stopped = scene.event_log().mark();
    client.request(1, b"one");
    if matches!(paradigm, Paradigm::Dispatch | Paradigm::Shared) {
        scene.event_log().wait_after(stopped, What::Routed, |_| true);
    }
    drop(client);
    scene.signal_server(answerer, Signal::SIGCONT);
    let end = until("the end of the session", || {
        scene.event_log().all(|event| event.pid == answerer && ends(event.what)).get(before).cloned()
    });
    (end.what == What::ClientDropped).then(|| end.text.unwrap_or_default())
}
