//! The course's own server, taken literally: it serves clients that come one after another, and loses a
//! client that comes at the same instant as another.

use std::fs;
use std::rc::Rc;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::peers::Dialect;
use workspace_tests::pipe::open_to_read;
use workspace_tests::wait::until_true;
use workspace_tests::{CourseClient, Program, Scene, Tool, needs, path_of, tests};

tests! {
    clients_one_after_another_are_served;
    the_course_s_own_client_is_served;
    our_client_is_served_in_the_course_dialect;
    of_two_clients_at_one_well_known_pipe_one_is_lost;
    a_client_that_has_gone_does_not_end_the_server;
    the_next_server_refuses_the_pipe_that_a_signal_has_left_behind;
}

/// The size of each record.
const RECORD: usize = 100;

const ACKNOWLEDGEMENT: &str = "its-a-me, mario!";

fn record(text: &str) -> Vec<u8> {
    let mut record = text.as_bytes().to_vec();
    record.resize(RECORD, 0);
    record
}

/// Starts the server, and waits until it has made its well-known pipe.
fn server(scene: &Scene) -> Rc<Program> {
    let server = scene.server_at(path_of("naive-server")).start();
    waits_for_client(scene);
    server
}

fn waits_for_client(scene: &Scene) {
    until_true("the well-known pipe to exist", || scene.path("mario").exists());
}

/// Ends the server while it waits for a connection. Its well-known pipe stays behind, and is removed here.
fn ends(scene: &Scene, server: &Program) {
    waits_for_client(scene);
    server.signal(Signal::SIGTERM);
    server.ends_by(Signal::SIGTERM).stdout("");
    fs::remove_file(scene.path("mario")).expect("the server leaves its pipe behind");
}

/// Reads until so many records have come. One read may return several.
fn records(client: &CourseClient, count: usize) -> Vec<u8> {
    let mut records = Vec::new();
    while records.len() < count * RECORD {
        records.extend(client.record());
    }
    records
}

/// A client is served from its name to its end.
fn is_served(scene: &Scene, name: &str) {
    waits_for_client(scene);
    let mut client = scene.course_client(name);
    client.connects_saying(&record(name));
    client.opens_private_pipe();
    assert_eq!(client.record(), record(ACKNOWLEDGEMENT));
    assert!(!scene.path("mario").exists(), "step 6 removes the name");
    for message in ["hello", "What's up, doc? 100%"] {
        assert_eq!(client.asks(&record(message)), record(message));
    }
    client.leaves();
}

fn clients_one_after_another_are_served(scene: &Scene) {
    let server = server(scene);
    for name in ["1001", "1002", "1003"] {
        is_served(scene, name);
    }
    server.says("<server> waiting for connection\n<server> received [hello]\n");
    ends(scene, &server);
}

fn the_course_s_own_client_is_served(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let server = server(scene);
    // The client expects upper case, and the server echoes.
    let client = scene.client_at(Dialect::named("2way_100").client()).reading("HELLO\n100%\n").start();
    client.ends().success().stdout("HELLO\n100%\n").stderr("");
    ends(scene, &server);
}

fn our_client_is_served_in_the_course_dialect(scene: &Scene) {
    let server = server(scene);
    let client = scene.client().args(["--dialect", "course", "hello", "again"]);
    client.run().success().stdout("hello\nagain\n").stderr("");
    ends(scene, &server);
}

/// Both clients have written their names before the server reads. It reads the first, and takes the second
/// for a message of the first client.
fn of_two_clients_at_one_well_known_pipe_one_is_lost(scene: &Scene) {
    let server = server(scene);
    server.signal(Signal::SIGSTOP);
    // A server that is stopped in open(2) does not count as a reader, so the clients need another one.
    let reader = open_to_read(scene.path("mario"));
    let [mut first, second] = ["1001", "1002"].map(|name| {
        let mut client = scene.course_client(name);
        client.connects_saying(&record(name));
        client.opens_private_pipe();
        client
    });
    drop(reader);
    server.signal(Signal::SIGCONT);
    let wrong = [record(ACKNOWLEDGEMENT), record("1002")].concat();
    assert_eq!(records(&first, 2), wrong, "the first client gets a reply to what it did not send");
    server.says("<server> received [1002]\n");
    // The server has read the second name, and goes on with the first client only.
    assert_eq!(first.asks(&record("hello")), record("hello"));
    assert!(second.hears_nothing(), "the second client got something");
    first.leaves();
    // The second client keeps the well-known pipe open. The server goes on only when that client leaves, too.
    assert!(!scene.path("mario").exists(), "the server does not wait for the second client");
    second.leaves();
    is_served(scene, "1003");
    ends(scene, &server);
}

fn a_client_that_has_gone_does_not_end_the_server(scene: &Scene) {
    let server = server(scene);
    // This client leaves with a request in the pipe: the reply has no reader.
    let mut client = scene.course_client("1001");
    client.connects_saying(&record("1001"));
    client.opens_private_pipe();
    assert_eq!(client.record(), record(ACKNOWLEDGEMENT));
    server.signal(Signal::SIGSTOP);
    client.says(&record("hello"));
    client.leaves();
    server.signal(Signal::SIGCONT);
    waits_for_client(scene);
    // This one sends the name of no pipe.
    let mut client = scene.course_client("1002");
    client.connects_saying(&record("none"));
    client.leaves();
    server.says("received [hello]\n<server> waiting for connection\n<server> waiting for connection\n");
    is_served(scene, "1003");
    ends(scene, &server);
}

fn the_next_server_refuses_the_pipe_that_a_signal_has_left_behind(scene: &Scene) {
    let server = server(scene);
    server.signal(Signal::SIGINT);
    server.ends_by(Signal::SIGINT);
    let next = scene.server_at(path_of("naive-server")).run();
    next.code(3).stdout("").stderr(contains("cannot serve at \"mario\": EEXIST").and(contains("remove it")));
    fs::remove_file(scene.path("mario")).expect("the server leaves its pipe behind");
}
