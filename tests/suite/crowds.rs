//! Many clients: all are served, and nothing of them stays behind.

use std::io::ErrorKind;
use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use serde_json::Value;
use workspace_tests::proc::children_of;
use workspace_tests::wait::{until, until_true, within};
use workspace_tests::{Barrier, Launch, Paradigm, Program, Scene, Tool, each, needs};

use crate::held::another_is_served_soon;
use crate::idle::nothing_is_done_for_a_second_by;

each! {
    three_hundred_clients_at_one_instant_are_all_served in basic forking dispatch shared: row_1 row_5;
    a_thousand_clients_at_one_instant_cost_a_thousand_handshakes in basic forking dispatch shared:
        row_22 row_40;
    five_thousand_clients_of_five_processes_are_all_served in basic forking dispatch shared: row_22 row_40;
    ten_thousand_clients_in_a_row_leave_no_descriptor in basic forking dispatch shared: row_21 row_42;
    whoever_finds_the_pipe_full_waits_for_room in basic forking dispatch shared: row_44;
    ten_thousand_who_connect_and_leave_leave_nothing in basic forking dispatch shared: row_7;
    who_opens_and_says_nothing_delays_nobody in basic forking dispatch shared: row_6;
    whoever_finds_the_house_full_waits_and_is_served in forking dispatch shared;
}

/// A server whose handshakes may take as long as a busy machine wants: a crowd's clients are slow to confirm.
fn patient(server: Launch<'_>) -> Launch<'_> {
    server.args(["--handshake-timeout", "120s"])
}

/// They are there before the server, so that they find the name at one instant. On a busy machine it takes a minute to
/// start them all, and the first must wait for so long.
fn three_hundred_clients_at_one_instant_are_all_served(paradigm: Paradigm) {
    let scene = Scene::new();
    let clients: Vec<_> = (0..300)
        .map(|n| scene.client().args(["--timeout", "180s"]).arg(format!("hello {n}")).unrecorded().start())
        .collect();
    within(PATIENCE, "300 private pipes", || (scene.names().len() == 300).then_some(()));
    let _server = patient(scene.server(paradigm)).arg("-q").unrecorded().start();
    for (n, client) in clients.iter().enumerate() {
        client.ends().success().stdout(format!("HELLO {n}\n")).stderr("");
    }
    scene.end();
}

/// More than a thousand connections of one `lab load` take, which has two descriptors for each.
const MANY: Tool = Tool::Descriptors(4096);

/// So long a crowd may take: on a machine that does nothing else it is a tenth of that at most.
const PATIENCE: Duration = Duration::from_secs(180);

/// What `lab load` found, if everybody got through and every answer was right.
pub(crate) fn report(lab: &Program) -> Value {
    within(PATIENCE, format_args!("{} to end", lab.name()), || (!lab.is_running()).then_some(()));
    let end = lab.ends().success();
    let report: Value = serde_json::from_slice(&end.get_output().stdout).expect("one JSON object");
    for count in ["lost", "errors", "mismatches"] {
        assert_eq!(report[count].as_u64(), Some(0), "{count}: {report}");
    }
    report
}

/// `lab load`, about to be started; nobody gives up before the test does.
pub(crate) fn load<'s>(scene: &'s Scene, options: &[&str]) -> Launch<'s> {
    let timeout = format!("{}s", PATIENCE.as_secs());
    scene.lab().args(["load", "--wkp", "mario", "--json", "--timeout", &timeout]).args(options)
}

/// Each of these private pipes was just opened when its client waits for an answer, and may show a hang-up that is none.
fn ten_thousand_clients_in_a_row_leave_no_descriptor(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).arg("-q").unrecorded().ready();
    let before = server.descriptors();
    for _ in 0..2 {
        let report = report(&load(&scene, &["--connect-only", "--requests", "5000"]).start());
        assert_eq!(report["handshake_records"].as_u64(), Some(3 * 5000), "somebody tried again: {report}");
        server.has_descriptors_as(&before);
    }
    scene.serves("hello", "HELLO");
    scene.end();
}

/// A session of one request each: a thousand subservers are forked, and none stays a zombie. Of the records of a
/// handshake there are 3, when nobody has to try again.
fn a_thousand_clients_at_one_instant_cost_a_thousand_handshakes(paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let scene = Scene::new();
    let barrier = Barrier::new();
    let options = ["--connections", "1000", "--requests", "1"];
    let lab = load(&scene, &options).behind(&barrier).start();
    let server = patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).unrecorded().ready();
    barrier.open();
    let report = report(&lab);
    let records = report["handshake_records"].as_u64().expect("a number");
    assert!(records <= 4 * 1000, "{records} records for 1000 handshakes");
    until_true("no zombie", || children_of(server.pid()).is_empty());
    scene.end();
}

/// The load of five processes, so that the clients do not wait for each other. In basic, where nearly all of them wait for
/// their turn, and look for it 50 times a second each, a tenth.
fn five_thousand_clients_of_five_processes_are_all_served(paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let scene = Scene::new();
    let barrier = Barrier::new();
    let each = if paradigm == Paradigm::Basic { 100 } else { 1000 };
    let options = ["--connections", &each.to_string(), "--requests", "1"];
    let labs = [(); 5].map(|()| load(&scene, &options).behind(&barrier).start());
    let server = patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).unrecorded().ready();
    barrier.open();
    let records = labs.iter().map(|lab| report(lab)["handshake_records"].as_u64().expect("a number"));
    let records: u64 = records.sum();
    assert!(records <= 4 * 5 * each, "{records} records for {} handshakes", 5 * each);
    until_true("no zombie", || children_of(server.pid()).is_empty());
    scene.end();
}

/// A pipe of 64 KiB takes about 1,070 names. The others wait for room, and the server need not be there for that.
fn whoever_finds_the_pipe_full_waits_for_room(paradigm: Paradigm) {
    if !needs(&[MANY]) {
        return;
    }
    let scene = Scene::new();
    let server = patient(scene.server(paradigm)).args(["-q", "--service", "echo"]).unrecorded().ready();
    server.signal(Signal::SIGSTOP);
    let lab = load(&scene, &["--connections", "1200", "--requests", "1"]).start();
    until_true("1200 private pipes", || scene.names().len() >= 1200);
    let mut other = scene.raw_client();
    other.open_wkp();
    // Not a record, and never read: one byte more than fits, if the pipe is full.
    until("the pipe to be full", || match other.tries_to_write(&[0; 61]) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(()),
        Err(error) => panic!("cannot write to the well-known pipe: {error}"),
    });
    // Somebody else keeps the time, in another place.
    nothing_is_done_for_a_second_by(&scene, &[lab.pid()]);
    server.signal(Signal::SIGCONT);
    report(&lab);
    other.remove_private_pipe();
    drop(other);
    scene.serves("hello", "hello");
    scene.end();
}

fn ten_thousand_who_connect_and_leave_leave_nothing(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    scene.serves("hello", "HELLO");
    let mut visitor = scene.raw_client();
    visitor.remove_private_pipe();
    for _ in 0..10_000 {
        // It closes the pipe that it had before.
        visitor.open_wkp();
    }
    drop(visitor);
    scene.serves("hello", "HELLO");
    server.has_descriptors_as(&before);
    nothing_is_done_for_a_second_by(&scene, &[server.pid()]);
    scene.end();
}

/// It keeps the pipe open for the others, but from nobody: not even from who waits for the end of a client.
fn who_opens_and_says_nothing_delays_nobody(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    let mut silent = scene.raw_client();
    silent.open_wkp();
    let client = scene.client().typing().start();
    client.type_line("one");
    client.prints("ONE\n");
    client.kill();
    another_is_served_soon(&scene);
    scene.record().wait_for(What::SessionEnded, |_| true);
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
