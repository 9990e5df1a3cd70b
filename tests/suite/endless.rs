//! A client with endless input: it keeps no more of a message than the longest message has.

use handshake_core::wire::{Ack, Kind, PAYLOAD_MAX, Part};
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::proc::memory;
use workspace_tests::{Paradigm, Program, RawServer, Scene, tests};

tests! {
    an_endless_line_is_refused_once_and_skipped: row_53;
    an_endless_raw_message_ends_the_client: row_53;
    a_line_that_is_too_long_does_not_harm_the_next: row_53;
    the_course_dialect_has_the_limit_of_one_write: row_53;
    a_server_that_allows_more_does_not_make_the_client_grow: row_53;
    a_reply_longer_than_the_clients_limit_ends_the_session: row_53;
    a_client_without_a_connection_reads_nothing: row_53;
}

/// More memory than an idle client needs.
const IDLE: usize = 4 << 20;

/// Prepares a client whose stdin has neither an end nor a newline.
fn fed<'s>(scene: &'s Scene, options: &[&str]) -> workspace_tests::Launch<'s> {
    scene.client().args(["--timeout", "60s"]).args(options).reading_file("/dev/zero")
}

/// Checks that the client has refused a message of more than a mebibyte, and has grown by no more than that.
fn has_refused_a_mebibyte(client: &Program) {
    client.says("cannot send a message of more than 1048576 bytes: EMSGSIZE (this ");
    let size = memory(client.pid());
    assert!(size < IDLE + (1 << 20), "the client has {size} bytes");
}

fn an_endless_line_is_refused_once_and_skipped(scene: &Scene) {
    let server = scene.server(Paradigm::Forking).args(["--max-message", "1M"]).ready();
    let by_server = fed(scene, &[]).start();
    has_refused_a_mebibyte(&by_server);
    by_server.signal(Signal::SIGTERM);
    by_server
        .ends_by(Signal::SIGTERM)
        .stdout("")
        .stderr(contains("(this server takes at most 1048576)").count(1));
    let by_itself = fed(scene, &["--max-message", "64K"]).start();
    by_itself.says("more than 65536 bytes: EMSGSIZE (this client takes at most 65536)");
    by_itself.signal(Signal::SIGTERM);
    by_itself.ends_by(Signal::SIGTERM);
    assert!(server.is_running());
}

fn an_endless_raw_message_ends_the_client(scene: &Scene) {
    let _server = scene.server(Paradigm::Basic).args(["--max-message", "1M"]).ready();
    fed(scene, &["--raw"]).run().code(1).stdout("").stderr(
        starts_with("client: cannot send a message of more than 1048576 bytes: EMSGSIZE (")
            .and(contains("\n").count(1)),
    );
}

/// One line is as long as a message may be, others are longer by one byte and more.
fn a_line_that_is_too_long_does_not_harm_the_next(scene: &Scene) {
    let _server = scene.server(Paradigm::Dispatch).args(["--max-message", "100000"]).ready();
    let longest = "x".repeat(100_000);
    let lines = format!("one\n{longest}\n{longest}y\n{longest}{longest}\nlast");
    let end =
        scene.client().reading(&lines).run().code(1).stderr(contains("more than 100000 bytes").count(2));
    let expected = format!("ONE\n{}\nLAST\n", longest.to_uppercase());
    assert!(end.get_output().stdout == expected.as_bytes(), "other lines came back");
}

fn the_course_dialect_has_the_limit_of_one_write(scene: &Scene) {
    let _server = scene.server(Paradigm::Forking).ready();
    let client = fed(scene, &["--dialect", "course"]).start();
    client.says("more than 65535 bytes: EMSGSIZE (it must be one write");
    client.signal(Signal::SIGTERM);
    client.ends_by(Signal::SIGTERM);
    scene
        .client()
        .args(["--dialect", "course", "--max-message", "3"])
        .reading("abc\nabcd\n")
        .run()
        .code(1)
        .stdout("ABC\n")
        .stderr(contains("more than 3 bytes: EMSGSIZE (this client takes at most 3)"));
}

/// Waits for READY of a client. The server's ACK allows messages of any length.
fn granted_all(server: &mut RawServer) {
    server.receive_hello();
    server.write(&server.ack(&Ack { longest: 1 << 62, ..RawServer::good_ack() }));
    server.receive(Kind::Ready);
}

fn a_server_that_allows_more_does_not_make_the_client_grow(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = fed(scene, &["--max-message", "1M"]).start();
    granted_all(&mut server);
    has_refused_a_mebibyte(&client);
    client.signal(Signal::SIGTERM);
    client.ends_by(Signal::SIGTERM).stderr(contains("(this client takes at most 1048576)"));
    server.forget();
    // The client has a limit without the option, too.
    let client = fed(scene, &["--raw"]).start();
    granted_all(&mut server);
    client.ends().code(1).stderr(contains("more than 16777216 bytes"));
    server.end();
}

fn a_reply_longer_than_the_clients_limit_ends_the_session(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = scene.client().args(["--timeout", "60s", "--max-message", "5000", "hello"]).start();
    granted_all(&mut server);
    server.receive(Kind::Request);
    for number in 0..2 {
        server.say(Kind::Reply, 1, Part { number, more: true }, &[b'x'; PAYLOAD_MAX]);
    }
    client.ends().code(1).stdout("").stderr(
        contains("broke the protocol")
            .and(contains("longer than 5000 bytes, the limit of this client (--max-message)")),
    );
    server.end();
}

/// When no server came, stdin still has all its bytes.
fn a_client_without_a_connection_reads_nothing(scene: &Scene) {
    scene
        .client()
        .args(["--timeout", "50ms"])
        .through(["sh", "-c", "\"$0\" \"$@\"; cat"])
        .reading("still here")
        .run()
        .success()
        .stdout("still here")
        .stderr(contains("ENOENT"));
}
