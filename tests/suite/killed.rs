//! kill -9 of a subserver and of a server in the middle of sessions: their clients notice at once, and the other sessions
//! do not. (At each event: `every_event`.)

use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::{Paradigm, Scene, each};

use crate::held::another_is_served_soon;

each! {
    the_client_of_a_killed_subserver_knows_at_once in forking dispatch shared: row_13;
    the_clients_of_a_killed_server_know_at_once in basic forking dispatch shared: row_12;
}

/// How long subservers may outlive their server.
const A_SECOND_OR_SO: Duration = Duration::from_secs(10);

fn the_client_of_a_killed_subserver_knows_at_once(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    let [one, other] = [(); 2].map(|()| scene.client().typing().start());
    for client in [&one, &other] {
        client.type_line("hello");
        client.prints("HELLO\n");
    }
    scene.signal_subserver(scene.record().server_of(one.pid()), Signal::SIGKILL);
    one.ends().code(1).stdout("HELLO\n").stderr(predicate::str::starts_with("client: the connection is"));
    other.type_line("again");
    other.prints("HELLO\nAGAIN\n");
    another_is_served_soon(&scene);
    other.close_stdin();
    other.ends().success().stderr("");
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
