//! Many clients: all are served, and nothing of them stays behind.

use handshake_core::event::What;
use serde_json::Value;
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, each};

each! {
    three_hundred_clients_at_one_instant_are_all_served in basic forking dispatch shared;
    two_thousand_clients_in_a_row_leave_no_descriptor in basic forking dispatch shared;
    a_thousand_who_connect_and_leave_leave_nothing in basic forking dispatch shared;
    whoever_finds_the_house_full_waits_and_is_served in forking dispatch shared;
}

/// They are there before the server, so that they find the name at one instant.
fn three_hundred_clients_at_one_instant_are_all_served(paradigm: Paradigm) {
    let scene = Scene::new();
    let clients: Vec<_> = (0..300)
        .map(|n| scene.client().args(["--timeout", "60s"]).arg(format!("hello {n}")).unrecorded().start())
        .collect();
    until_true("300 private pipes", || scene.names().len() == 300);
    let _server = scene.server(paradigm).arg("-q").unrecorded().start();
    for (n, client) in clients.iter().enumerate() {
        client.ends().success().stdout(format!("HELLO {n}\n")).stderr("");
    }
    scene.end();
}

fn two_thousand_clients_in_a_row_leave_no_descriptor(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).arg("-q").ready();
    let before = server.descriptors();
    scene.serves("hello", "HELLO");
    let load = scene.lab().args(["load", "--wkp", "mario", "--json", "--connect-only"]);
    let end = load.args(["--connections", "1", "--requests", "2000"]).run().success();
    let report: Value = serde_json::from_slice(&end.get_output().stdout).expect("one JSON object");
    assert_eq!((report["lost"].as_u64(), report["errors"].as_u64()), (Some(0), Some(0)), "{report}");
    server.has_descriptors_as(&before);
    scene.serves("hello", "HELLO");
    scene.end();
}

fn a_thousand_who_connect_and_leave_leave_nothing(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    scene.serves("hello", "HELLO");
    for _ in 0..1000 {
        let mut visitor = scene.raw_client();
        visitor.open_wkp();
        visitor.remove_private_pipe();
    }
    scene.serves("hello", "HELLO");
    server.has_descriptors_as(&before);
    // One who says nothing for long keeps the pipe open for the others, but from nobody.
    let mut silent = scene.raw_client();
    silent.open_wkp();
    let client = scene.client().typing().start();
    client.type_line("one");
    client.prints("ONE\n");
    client.kill();
    scene.serves("two", "TWO");
    silent.remove_private_pipe();
    drop(silent);
    server.has_descriptors_as(&before);
    scene.end();
}

fn whoever_finds_the_house_full_waits_and_is_served(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).args(["--max-clients", "2"]).ready();
    let clients: Vec<_> =
        (0..5).map(|_| scene.client().args(["--timeout", "60s"]).typing().start()).collect();
    let mut served = Vec::new();
    for round in 0..5 {
        let guests = (round + 2).min(5);
        let acknowledged = scene.record().wait_for_many(guests, What::AckReceived, |_| true);
        let guest = acknowledged
            .iter()
            .map(|event| event.pid)
            .find(|pid| !served.contains(pid))
            .expect("one of them is new");
        // Everybody else has been there for a while by now, and two are in.
        scene.record().wait_for_many(5, What::AwaitingAck, |_| true);
        assert_eq!(scene.record().all(|event| event.what == What::AckReceived).len(), guests);
        let client = clients.iter().find(|client| client.pid() == guest).expect("one of ours");
        client.type_line("hello");
        client.prints("HELLO\n");
        client.close_stdin();
        client.ends().success();
        served.push(guest);
    }
    scene.end();
}
