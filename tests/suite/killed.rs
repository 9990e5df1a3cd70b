//! kill -9 of clients, subservers and servers, at each of their events: their peers notice at once, and nothing needs to
//! be done by hand.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::wait::until;
use workspace_tests::{Paradigm, Program, Scene, each};

use crate::held::{HANDSHAKE, another_is_served_soon};

each! {
    a_client_killed_at_any_event_delays_nobody in basic forking dispatch shared: row_8 row_9;
    the_client_of_a_killed_subserver_knows_at_once in forking dispatch shared: row_13 row_33;
    the_client_of_a_subserver_killed_before_its_ack_tries_again in forking: row_13;
    a_client_whose_subserver_never_came_to_its_ack_tries_again in dispatch shared: row_13;
    the_clients_of_a_killed_server_know_at_once in basic forking dispatch shared: row_12;
    a_client_left_alone_at_any_step_says_so in basic forking dispatch shared: row_12;
    a_subserver_that_ends_removes_nothing_of_the_servers in forking dispatch shared: row_33;
    a_client_gone_before_its_answer_costs_its_own_session in basic forking dispatch shared: row_26;
    whoever_waits_for_a_killed_server_is_served_by_the_next in basic forking dispatch shared: row_4 row_12;
}

/// How long subservers may outlive their server.
const A_SECOND_OR_SO: Duration = Duration::from_secs(10);

/// No timeout helps the server here.
fn a_client_killed_at_any_event_delays_nobody(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let before = server.descriptors();
    for what in HANDSHAKE.into_iter().chain([What::RequestSent, What::ReplyReceived, What::ByeSent]) {
        let client = scene.client().arg("hello").gated().start();
        client.step_until(what);
        client.kill();
        another_is_served_soon(&scene);
    }
    server.has_descriptors_as(&before);
    // Some of them left their private pipes, which the server sweeps when it ends.
    assert!(scene.names().iter().any(|name| name.contains(".client.")));
    scene.end();
}

fn the_client_of_a_killed_subserver_knows_at_once(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    let [one, other] = [(); 2].map(|()| scene.client().typing().start());
    for client in [&one, &other] {
        client.type_line("hello");
        client.prints("HELLO\n");
    }
    scene.kill_subserver(scene.record().server_of(one.pid()));
    one.ends().code(1).stdout("HELLO\n").stderr(predicate::str::starts_with("client: the connection is"));
    other.type_line("again");
    other.prints("HELLO\nAGAIN\n");
    another_is_served_soon(&scene);
    other.close_stdin();
    other.ends().success().stderr("");
    server.has_descriptors_as(&before);
    scene.end();
}

/// A client that stands still with the lock makes its subserver make a fresh upstream, which is its first event.
fn the_client_of_a_subserver_killed_before_its_ack_tries_again(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).gated().start();
    server.step_until(What::Waiting);
    let holder = scene.client().arg("holder").gated().start();
    holder.step_until(What::WkpOpened);
    let client = scene.client().arg("hello").start();
    scene.record().wait_for(What::AwaitingAck, |event| event.pid == client.pid());
    let forked = server.step_until(What::SubserverForked);
    let subserver = forked.peer.expect("the subserver's number");
    scene.record().wait_for(What::UpstreamCreated, |event| event.pid == subserver);
    scene.kill_subserver(subserver);
    server.go_on();
    scene.record().wait_for(What::TryingAgain, |event| event.pid == client.pid());
    client.ends().success().stdout("HELLO\n").stderr("");
    holder.go_on();
    holder.ends().success().stdout("HOLDER\n");
    scene.end();
}

/// Here a subserver's first event is its ACK. So one is killed as soon as it shows, until one was killed in time.
fn a_client_whose_subserver_never_came_to_its_ack_tries_again(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    until("a subserver to be killed before its ACK", || {
        let client = scene.client().arg("hello").start();
        let killed = server.kill_next_child(&client);
        let end = client.ends();
        let did = |pid, what| !scene.record().all(|event| event.pid == pid && event.what == what).is_empty();
        if did(client.pid(), What::TryingAgain) && killed.is_some_and(|pid| !did(pid, What::AckSent)) {
            end.success().stdout("HELLO\n").stderr("");
            return Some(());
        }
        // Too late: it knows that its connection is lost, or has had its answer.
        let served = end.get_output().status.success();
        end.stdout(if served { "HELLO\n" } else { "" });
        server.has_descriptors_as(&before);
        None
    });
    server.has_descriptors_as(&before);
    scene.end();
}

fn the_clients_of_a_killed_server_know_at_once(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--service", "sleep:100000"]).ready();
    let mut clients = vec![scene.client().arg("request").start()];
    scene.record().wait_for(What::RequestReceived, |_| true);
    if paradigm.has_subservers() {
        clients.push(scene.client().typing().start());
        scene.record().wait_for_many(2, What::ReadyReceived, |_| true);
    }
    server.kill();
    for client in &clients {
        client.ends().code(1).stdout("").stderr(predicate::str::starts_with("client: the connection is"));
    }
    scene.subservers_end(A_SECOND_OR_SO);
    let mut names = vec![".mario.lock", "mario"];
    names.retain(|name| paradigm != Paradigm::Basic || *name != "mario");
    assert_eq!(scene.names(), names, "just what the server could not remove");
    scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
    scene.end();
}

/// Its server is killed while it stands still. It removes its own pipe, and its status says whether a HELLO was taken.
fn a_client_left_alone_at_any_step_says_so(paradigm: Paradigm) {
    let scene = Scene::new();
    for what in HANDSHAKE {
        let server = scene.server(paradigm).ready();
        let client = scene.client().args(["--timeout", "300ms", "hello"]).gated().start();
        client.step_until(what);
        server.kill();
        scene.subservers_end(A_SECOND_OR_SO);
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
    // The next start takes over what the last of them left.
    scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
    scene.end();
}

/// A subserver has in its memory whatever its main server would remove at its end.
fn a_subserver_that_ends_removes_nothing_of_the_servers(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).ready();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let client = scene.client().typing().start();
        client.type_line("hello");
        client.prints("HELLO\n");
        let subserver = scene.record().server_of(client.pid());
        let look = || (scene.names(), fs::metadata(scene.path("mario")).expect("it is there").ino());
        let before = look();
        scene.signal_subserver(subserver, signal);
        client.ends().code(1);
        scene.record().wait_for(What::SubserverReaped, |event| event.peer == Some(subserver));
        assert_eq!(look(), before, "after {signal}");
        another_is_served_soon(&scene);
    }
    scene.end();
}

/// Its request is read when it has gone. Whoever answers finds out by the error, and not by a signal's death. Another test
/// of this process may just be starting a program, which then has a copy of the client's pipe for a moment: so more than one
/// try may be needed.
fn a_client_gone_before_its_answer_costs_its_own_session(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    until("an answer to a client that has gone", || {
        let error = answered_when_gone(&scene, paradigm, &server)?;
        assert!(error.contains("EPIPE"), "not by the error, but: {error}");
        Some(())
    });
    let reaped = scene.record().all(|event| event.what == What::SubserverReaped);
    assert!(
        reaped.iter().all(|event| event.text.as_deref().is_some_and(|how| how.starts_with("exit status")))
    );
    another_is_served_soon(&scene);
    scene.end();
}

/// The error that the answer met, if it met one.
fn answered_when_gone(scene: &Scene, paradigm: Paradigm, server: &Program) -> Option<String> {
    let mark = scene.record().mark();
    let mut client = scene.raw_client();
    client.shake_hands();
    let answerer = scene.record().wait_after(mark, What::ReadyReceived, |_| true).pid;
    let signal = |signal| match paradigm.has_subservers() {
        true => scene.signal_subserver(answerer, signal),
        false => server.signal(signal),
    };
    signal(Signal::SIGSTOP);
    // In basic one process answers all of them.
    let ends = |what| matches!(what, What::ClientDropped | What::SessionEnded);
    let before = scene.record().all(|event| event.pid == answerer && ends(event.what)).len();
    let stopped = scene.record().mark();
    client.request(1, b"one");
    if matches!(paradigm, Paradigm::Dispatch | Paradigm::Shared) {
        scene.record().wait_after(stopped, What::Routed, |_| true);
    }
    drop(client);
    signal(Signal::SIGCONT);
    let end = until("the end of the session", || {
        scene.record().all(|event| event.pid == answerer && ends(event.what)).get(before).cloned()
    });
    (end.what == What::ClientDropped).then(|| end.text.unwrap_or_default())
}

/// The events of the server, up to the end of a short session.
fn events_of_server(paradigm: Paradigm) -> Vec<What> {
    let mut events = vec![What::WkpCreated, What::Waiting];
    events.extend(paradigm.removes_wkp().then_some(What::WkpRemoved));
    events.push(What::HelloReceived);
    events.extend(paradigm.has_subservers().then_some(What::SubserverForked));
    events.extend([What::AckSent, What::ReadyReceived, What::RequestReceived, What::ReplySent]);
    events
}

/// A client that has no ACK yet is served by the next server. One that has knows that its connection is lost, unless it
/// has its answer.
fn whoever_waits_for_a_killed_server_is_served_by_the_next(paradigm: Paradigm) {
    let scene = Scene::new();
    for what in events_of_server(paradigm) {
        let server = scene.server(paradigm).gated().start();
        let client = scene.client().args(["--timeout", "60s", "hello"]).start();
        server.step_until(what);
        server.signal(Signal::SIGKILL);
        server.ends_by(Signal::SIGKILL);
        // Its subservers stand at the same gate.
        server.go_on();
        scene.subservers_end(A_SECOND_OR_SO);
        let next = scene.server(paradigm).ready();
        let end = client.ends();
        let was_acknowledged = client.events().iter().any(|event| event.what == What::AckReceived);
        if end.get_output().status.success() {
            end.stdout("HELLO\n");
        } else {
            assert!(was_acknowledged, "it was never connected, and yet it was not served, after {what:?}");
            end.code(1).stdout("").stderr(predicate::str::starts_with("client: the connection is"));
        }
        next.signal(Signal::SIGTERM);
        next.ends().code(0);
        assert_eq!(scene.names(), [""; 0], "left after {what:?}");
    }
    scene.end();
}
