//! Bytes that no correct client sends. They end their sender's session at most, and change no file.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use handshake_core::event::What;
use handshake_core::wire::Kind;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::another_client_is_served_soon;
use workspace_tests::{Paradigm, RawClient, Scene, each};

each! {
    a_hello_with_an_invalid_name_is_dropped in basic forking dispatch shared: row_16 row_17;
    a_private_pipes_name_on_another_object_is_dropped in basic forking dispatch shared: row_8 row_16;
    a_client_that_names_anothers_private_pipe_gets_no_session in basic forking dispatch shared: row_17;
    a_client_that_names_its_pipe_twice_is_served_once in basic forking dispatch shared: row_17;
    a_message_too_long_is_not_sent in basic forking dispatch shared;
    a_message_too_long_is_refused in basic forking dispatch shared;
    a_request_that_is_not_due_ends_only_its_session in basic forking dispatch shared: row_35;
}

const VALUE: &str = "of value";

fn a_hello_with_an_invalid_name_is_dropped(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let outside = scene.path("../victim");
    let inside = scene.path("victim");
    [&outside, &inside].into_iter().for_each(|victim| fs::write(victim, VALUE).expect("a file"));
    let absolute = outside.display().to_string();
    let long = "x".repeat(255);
    let names: [&[u8]; 13] = [
        b"../victim",
        absolute.as_bytes(),
        b"/etc/x",
        b"victim",
        b"mario",
        b".mario.lock",
        b".",
        b"mario.client.1.0123456789abcdef/../victim",
        b"mario.client.1.0123456789ABCDEF",
        b"mario.client.-1.0123456789abcdef",
        b"mario.client.1.0123456789abcdef\0",
        b"mario.up.1.0123456789abcdef",
        long.as_bytes(),
    ];
    for name in names {
        let mark = scene.event_log().mark();
        let mut client = scene.raw_client();
        client.hello_naming(name);
        scene.event_log().wait_after(mark, What::ClientDropped, |_| true);
        another_client_is_served_soon(scene);
        assert!(!client.has_answer(), "the server wrote into a pipe that it must not trust");
    }
    for victim in [outside, inside] {
        assert_eq!(fs::read_to_string(&victim).expect("the path exists"), VALUE);
        fs::remove_file(victim).expect("the path exists");
    }
}

/// The name is valid, but it belongs to an object that cannot take an answer. The objects are: a file; links
/// to a file, a pipe and a device; a socket; a directory; no object; a pipe without a reader. The server
/// does not wait, not even until its timeout.
fn a_private_pipes_name_on_another_object_is_dropped(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let [file, link, to_pipe, to_device, socket, directory, nothing, unread] =
        [(); 8].map(|()| RawClient::new_name());
    let mut reader = scene.raw_client();
    fs::write(scene.path(&file), VALUE).expect("a file");
    symlink(&file, scene.path(&link)).expect("a link");
    symlink(reader.name(), scene.path(&to_pipe)).expect("a link");
    symlink("/dev/full", scene.path(&to_device)).expect("a link");
    let _socket = UnixListener::bind(scene.path(&socket)).expect("a socket");
    fs::create_dir(scene.path(&directory)).expect("a directory");
    scene.make_fifo(&unread);
    for name in [&file, &link, &to_pipe, &to_device, &socket, &directory, &nothing, &unread] {
        let mark = scene.event_log().mark();
        let mut client = scene.raw_client();
        client.hello_naming(name.as_bytes());
        scene.event_log().wait_after(mark, What::ClientDropped, |_| true);
        another_client_is_served_soon(scene);
    }
    assert_eq!(fs::read_to_string(scene.path(&file)).expect("the path exists"), VALUE);
    assert!(!reader.has_answer(), "a link was followed");
    [&file, &link, &to_pipe, &to_device, &socket, &unread]
        .into_iter()
        .for_each(|name| fs::remove_file(scene.path(name)).expect("the path exists"));
    fs::remove_dir(scene.path(&directory)).expect("the path exists");
}

/// The client whose pipe was named cannot use the answer: it has another nonce and another session.
fn a_client_that_names_anothers_private_pipe_gets_no_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let victim = scene.client().arg("mine").gated().start();
    let made = victim.step_until(What::PrivateCreated);
    let mut intruder = scene.raw_client();
    // In basic each HELLO waits for the end of the one before: for its handshake timeout.
    for n in 1..=3 {
        intruder.hello_naming(made.pipe.as_deref().expect("the event has the pipe's name").as_bytes());
        scene.event_log().wait_for_many(n, What::HelloReceived, |_| true);
    }
    victim.go_on();
    victim.ends().success().stdout("MINE\n").stderr("");
    assert!(!intruder.has_answer());
    drop(intruder);
    another_client_is_served_soon(scene);
}

/// A client that names its own pipe twice gets two answers there, and may take one. The other one waits for
/// READY until its timeout, and is dropped. In basic the next client waits for that.
fn a_client_that_names_its_pipe_twice_is_served_once(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let mut client = scene.raw_client();
    // Both come through one pipe, which the client may keep or not.
    server.signal(Signal::SIGSTOP);
    client.hello();
    client.hello();
    server.signal(Signal::SIGCONT);
    client.accept();
    client.request(1, b"one");
    let mut answer = client.answer();
    while answer.kind != Kind::Reply {
        assert!(matches!(answer.kind, Kind::Ack | Kind::Bye), "{answer:?}");
        answer = client.answer();
    }
    assert_eq!((answer.sequence, answer.payload), (1, b"ONE".to_vec()));
    client.bye();
    scene.event_log().wait_for(What::ClientDropped, |_| true);
    drop(client);
    another_client_is_served_soon(scene);
}

fn a_message_too_long_is_not_sent(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--max-message", "1000"]).ready();
    let [fits, too_long] = [1000, 1001].map(|length| "x".repeat(length));
    let end = scene.client().args(["before", &fits, &too_long, "after"]).run();
    end.code(1)
        .stdout(format!("BEFORE\n{}\nAFTER\n", "X".repeat(1000)))
        .stderr(predicate::str::contains("1001 bytes").and(predicate::str::contains("at most 1000")));
}

/// The client ignores the limit in its ACK.
fn a_message_too_long_is_refused(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--max-message", "1000"]).ready();
    let mut client = scene.raw_client();
    assert_eq!(client.shake_hands().longest, 1000);
    for (sequence, length) in (1..).zip([1000, 1001, 10_000, 0]) {
        client.request(sequence, &vec![b'x'; length]);
        let answer = client.answer();
        assert_eq!(answer.sequence, sequence);
        if length > 1000 {
            assert_eq!(answer.kind, Kind::Refuse);
            let reason = String::from_utf8_lossy(&answer.payload).into_owned();
            assert!(reason.contains(&length.to_string()) && reason.contains("1000"), "{reason}");
        } else {
            assert_eq!((answer.kind, answer.payload), (Kind::Reply, vec![b'X'; length]));
        }
    }
    client.bye();
    drop(client);
    another_client_is_served_soon(scene);
}

fn a_request_that_is_not_due_ends_only_its_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.raw_session();
    client.request(1, b"one");
    assert_eq!(client.answer().payload, b"ONE");
    client.request(3, b"three");
    let answer = client.answer();
    assert_eq!((answer.kind, answer.sequence), (Kind::Bye, 0));
    assert!(!answer.payload.is_empty(), "BYE has no reason");
    another_client_is_served_soon(scene);
}
