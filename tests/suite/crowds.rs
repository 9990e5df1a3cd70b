//! Many clients: all are served, and nothing is left of them.

use std::io::ErrorKind;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use workspace_tests::proc::children_of;
use workspace_tests::steps::{PATIENCE, assert_idle_for_a_second, load, report};
use workspace_tests::wait::{until, until_true, within};
use workspace_tests::{Barrier, Launch, Paradigm, Scene, Tool, each, needs};

each! {
    three_hundred_clients_at_one_instant_are_all_served in basic forking dispatch shared: row_1 row_5;
    a_thousand_clients_at_one_instant_cost_a_thousand_handshakes in basic forking dispatch shared:
        row_22 row_40;
    five_thousand_clients_of_five_processes_are_all_served in basic forking dispatch shared: row_22 row_40;
    ten_thousand_clients_in_a_row_leave_no_descriptor in basic forking dispatch shared: row_21 row_42;
    a_client_that_finds_the_pipe_full_waits_for_room in basic forking dispatch shared: row_44;
    ten_thousand_clients_that_connect_and_leave_leave_nothing in basic forking dispatch shared: row_7;
    a_client_beyond_the_limit_waits_and_is_served in forking dispatch shared;
}

/// A server with a long handshake timeout: on a busy machine the clients of a crowd are slow to send READY.
fn patient(server: Launch<'_>) -> Launch<'_> {
    server.args(["--handshake-timeout", "120s"])
}

/// The clients start before the server, so all find its name at one instant. A busy machine needs a minute to
/// start them, so the first clients must wait that long.
fn three_hundred_clients_at_one_instant_are_all_served(scene: &Scene, paradigm: Paradigm) {
    let clients: Vec<_> = (0..300)
        .map(|n| {
            scene.client().args(["--timeout", "180s"]).arg(format!("hello {n}")).without_event_log().start()
        })
        .collect();
    within(PATIENCE, "300 private pipes", || (scene.names().len() == 300).then_some(()));
    let _server = patient(scene.server(paradigm)).arg("-q").without_event_log().start();
    for (n, client) in clients.iter().enumerate() {
        client.ends().success().stdout(format!("HELLO {n}\n")).stderr("");
    }
}

/// `lab load` needs two descriptors for each of more than a thousand connections.
const MANY: Tool = Tool::Descriptors(4096);

/// Each client waits for its answer on a private pipe that it has just opened. Such a pipe may show a false
/// hang-up.
fn ten_thousand_clients_in_a_row_leave_no_descriptor(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).arg("-q").without_event_log().ready();
    for _ in 0..2 {
        let report = report(&load(scene, &["--connect-only", "--requests", "5000"]).start());
        assert_eq!(report["handshake_records"].as_u64(), Some(3 * 5000), "a client tried again: {report}");
        server.has_descriptors_as_at_start();
    }
    scene.serves("hello", "HELLO");
}

/// Each session has one request. A thousand subservers are forked, and none stays a zombie. A handshake has 3
/// frames if no client has to try again.
fn a_thousand_clients_at_one_instant_cost_a_thousand_handshakes(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let barrier = Barrier::new();
    let options = ["--connections", "1000", "--requests", "1"];
    let lab = load(scene, &options).behind(&barrier).start();
    let server =
        patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).without_event_log().ready();
    barrier.open();
    let report = report(&lab);
    let frames = report["handshake_records"].as_u64().expect("a number");
    assert!(frames <= 4 * 1000, "{frames} frames for 1000 handshakes");
    until_true("the server to have no zombie", || children_of(server.pid()).is_empty());
}

/// Five processes make the load, so that the clients do not wait for each other. In basic nearly all clients
/// wait for their turn, and look for the pipe 50 times a second each. So basic has a tenth of them.
fn five_thousand_clients_of_five_processes_are_all_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let barrier = Barrier::new();
    let each = if paradigm == Paradigm::Basic { 100 } else { 1000 };
    let options = ["--connections", &each.to_string(), "--requests", "1"];
    let labs = [(); 5].map(|()| load(scene, &options).behind(&barrier).start());
    let server =
        patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).without_event_log().ready();
    barrier.open();
    let frames = labs.iter().map(|lab| report(lab)["handshake_records"].as_u64().expect("a number"));
    let frames: u64 = frames.sum();
    assert!(frames <= 4 * 5 * each, "{frames} frames for {} handshakes", 5 * each);
    until_true("the server to have no zombie", || children_of(server.pid()).is_empty());
}

/// A pipe of 64 KiB holds about 1,070 names. The other clients wait for room, even while the server is
/// stopped.
fn a_client_that_finds_the_pipe_full_waits_for_room(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let server =
        patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).without_event_log().ready();
    server.signal(Signal::SIGSTOP);
    let lab = load(scene, &["--connections", "1200", "--requests", "1"]).start();
    until_true("1200 private pipes", || scene.names().len() >= 1200);
    let mut other = scene.raw_client();
    other.open_wkp();
    // 61 bytes that are no frame and are never read: they do not fit if the pipe is full.
    until("the pipe to be full", || match other.tries_to_write(&[0; 61]) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(()),
        Err(error) => panic!("cannot write to the well-known pipe: {error}"),
    });
    // Another server in another place measures the time.
    assert_idle_for_a_second(scene, &[lab.pid()]);
    server.signal(Signal::SIGCONT);
    report(&lab);
    drop(other);
    scene.serves("hello", "hello");
}

fn ten_thousand_clients_that_connect_and_leave_leave_nothing(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
    let mut visitor = scene.raw_client();
    for _ in 0..10_000 {
        // This closes the pipe that the client had open.
        visitor.open_wkp();
    }
    drop(visitor);
    scene.serves("hello", "HELLO");
    server.has_descriptors_as_at_start();
    assert_idle_for_a_second(scene, &[server.pid()]);
}

fn a_client_beyond_the_limit_waits_and_is_served(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--max-clients", "2"]).ready();
    let clients: Vec<_> =
        (0..5).map(|_| scene.client().args(["--timeout", "60s"]).typing().start()).collect();
    let mut served = Vec::new();
    for round in 0..5 {
        let connected = (round + 2).min(5);
        let acknowledged = scene.event_log().wait_for_many(connected, What::AckReceived, |_| true);
        let pid = acknowledged
            .iter()
            .map(|event| event.pid)
            .find(|pid| !served.contains(pid))
            .expect("one client is new");
        // By now all the other clients wait, and two clients have a session.
        scene.event_log().wait_for_many(5, What::AwaitingAck, |_| true);
        assert_eq!(scene.event_log().all(|event| event.what == What::AckReceived).len(), connected);
        let client = clients.iter().find(|client| client.pid() == pid).expect("the test started it");
        client.type_line("hello");
        client.prints("HELLO\n");
        client.leaves();
        served.push(pid);
    }
}
