//! Rare combinations. Each test here is a bug that was found by reading the code.

use handshake_core::wire::Kind;
use nix::sys::signal::Signal;
use workspace_tests::{Paradigm, Scene, each};

each! {
    a_name_removed_under_steady_traffic_is_created_again in forking dispatch shared: row_18;
    a_message_in_small_frames_keeps_to_the_window in basic forking dispatch shared;
    a_client_that_never_reads_its_refusals_costs_no_memory in basic forking dispatch: row_11;
}

each! { own scenes:
    a_signal_is_noticed_at_every_wait in basic: row_32;
}

/// A busy server checks for signals every 10 ms. A signal found by that check must keep the server from
/// sleeping. The server is stopped, and then finds a request and a signal at once. The number of earlier
/// requests decides at which wait.
fn a_signal_is_noticed_at_every_wait(paradigm: Paradigm) {
    for requests in 1..=64 {
        let scene = Scene::new();
        let server = scene.server(paradigm).without_event_log().ready();
        let client = scene.client().arg("--window=1").typing().start();
        let mut printed = String::new();
        for request in 1..=requests {
            client.type_line(&format!("m{request}"));
            printed += &format!("M{request}\n");
            client.prints(&printed);
        }
        server.signal(Signal::SIGSTOP);
        client.type_line("last");
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGCONT);
        server.ends().success();
        client.ends().code(1);
        scene.end();
    }
}

fn a_name_removed_under_steady_traffic_is_created_again(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let client = scene.client().arg("--window=1").typing().start();
    let mut printed = String::new();
    let mut asks = |request: &str| {
        client.type_line(request);
        printed += &format!("{}\n", request.to_uppercase());
        client.prints(&printed);
    };
    asks("first");
    std::fs::remove_file(scene.path("mario")).expect("the path exists");
    // Each request wakes the central process long before its half second is over.
    let mut requests = 0;
    while !scene.path("mario").exists() {
        requests += 1;
        assert!(requests < 1_000_000, "the server did not create the name again");
        asks(&format!("r{requests}"));
    }
    scene.serves("newcomer", "NEWCOMER");
    asks("still here");
    client.leaves();
}

/// The protocol does not require that all frames but the last are full.
fn a_message_in_small_frames_keeps_to_the_window(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.raw_session();
    for sequence in 1..=100 {
        client.request_in_pieces(sequence, [b"he", b"ll"]);
        let answer = client.answer();
        assert_eq!((answer.kind, answer.sequence), (Kind::Reply, sequence));
        assert_eq!(answer.payload, b"HELL");
    }
    client.bye();
}

/// Not with `--shared-wkp`: there the client overruns the window, and is evicted.
fn a_client_that_never_reads_its_refusals_costs_no_memory(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--max-message", "1"]).without_event_log().ready();
    let mut client = scene.raw_session();
    let mut sequence = 0;
    // The pipe is full because the server has stopped reading. Without that, 16 MiB would have gone long
    // before.
    while sequence < 600_000 && client.may_request(sequence + 1, b"xx") {
        sequence += 1;
    }
    assert!(sequence < 600_000, "the server reads without a limit, and has {sequence} refusals waiting");
    drop(client);
}
