//! Our client with a hostile server. Whatever the server sends, the client ends in time, says why, and leaves
//! nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::time::{Duration, Instant};

use handshake_core::event::What;
use handshake_core::wire::{Ack, HEADER, Kind, PAYLOAD_MAX, Part, VERSION};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::steps::noise;
use workspace_tests::{Program, RawServer, Scene, frame, tests};

tests! {
    an_invalid_ack_is_ignored_until_the_timeout: row_35;
    endless_garbage_does_not_keep_the_client_beyond_its_timeout: row_35;
    a_server_that_never_answers_or_always_leaves_is_given_up: row_35;
    a_malformed_ack_is_reported_as_the_servers_fault: row_35;
    an_ack_in_pieces_and_among_garbage_is_accepted: row_27 row_35;
    a_refusal_is_printed_without_control_characters: row_35;
    an_invalid_upstream_is_not_opened: row_16 row_35;
    extreme_limits_are_respected: row_35;
    answers_that_are_not_due_end_the_session: row_35;
    an_endless_answer_is_cut_off: row_35;
    a_bye_ends_the_session_whatever_follows: row_35;
    garbage_in_a_session_is_skipped_and_counted: row_35;
    a_client_whose_server_leaves_reports_the_reason: row_35;
}

/// Far more than any timeout here, for a busy machine.
const SOON: Duration = Duration::from_secs(30);

const VALUE: &str = "of value";

/// Returns a client that is held after its HELLO, so its timeout does not run. The server has opened its
/// private pipe.
fn waiting_client(scene: &Scene, server: &mut RawServer, timeout: &str) -> Rc<Program> {
    let client = scene.client().args(["--timeout", timeout, "hello"]).gated().start();
    client.step_until(What::AwaitingAck);
    server.receive_hello();
    client
}

/// Returns a client that has sent these requests, in a session with at most 10,000 bytes a message.
fn asking_client(scene: &Scene, server: &mut RawServer, requests: &[&str]) -> Rc<Program> {
    let client = scene.client().args(["--timeout", "60s"]).args(requests).start();
    server.shake_hands();
    for request in requests {
        assert_eq!(server.receive(Kind::Request).payload, request.as_bytes());
    }
    client
}

fn reply(sequence: u32, text: &[u8]) -> Vec<u8> {
    frame(Kind::Reply, RawServer::SESSION, sequence, Part::ONLY, text)
}

/// Each ACK is wrong in another field, and none may be accepted.
fn an_invalid_ack_is_ignored_until_the_timeout(scene: &Scene) {
    let mut server = scene.raw_server();
    for case in 0..10 {
        let client = waiting_client(scene, &mut server, "300ms");
        let nonce = server.nonce();
        let mut ack = server.ack(&RawServer::good_ack());
        match case {
            0 => ack[0] = 1,        // the magic
            1 => ack[10] = 9,       // an unknown kind
            2 => ack[11] = 0x80,    // an unknown flag
            3 => ack[12] = 0xff,    // a length beyond the limit
            4 => ack[13] += 1,      // more bytes than follow
            5 => ack[6] ^= 1,       // the checksum
            6 => ack[40] ^= 1,      // the payload
            7 => ack.truncate(40),  // cut off, then silence
            8 => ack = noise(4096), // noise
            _ => ack = frame(Kind::Ack, nonce ^ 1, 0, Part::ONLY, &RawServer::good_ack().encode()),
        }
        server.write(&ack);
        // A server does not send this frame here.
        server.write(&frame(Kind::Reply, nonce, 1, Part::ONLY, b"reply"));
        client.go_on();
        client
            .ends()
            .code(1)
            .stdout("")
            .stderr(starts_with("client: cannot connect").and(contains("no answer")));
        assert_eq!(scene.names(), ["mario"], "left after case {case}");
    }
    server.end();
}

fn endless_garbage_does_not_keep_the_client_beyond_its_timeout(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = waiting_client(scene, &mut server, "300ms");
    client.go_on();
    // No pause, so the client never finds its pipe empty.
    let (garbage, since) = (noise(4096), Instant::now());
    while client.is_running() {
        server.flood(&garbage);
        assert!(since.elapsed() < SOON, "garbage extends the client's timeout");
    }
    client.ends().code(1).stdout("").stderr(contains("no answer in time"));
    server.end();
}

fn a_server_that_never_answers_or_always_leaves_is_given_up(scene: &Scene) {
    let mut server = scene.raw_server();
    let silent = waiting_client(scene, &mut server, "300ms");
    silent.go_on();
    silent.ends().code(1).stdout("").stderr(contains("no answer in time"));
    let client = scene.client().args(["--timeout", "1s", "hello"]).start();
    let since = Instant::now();
    while client.is_running() {
        // Opening and closing the pipe means: try again.
        if server.may_receive_hello() {
            server.close();
        }
        assert!(since.elapsed() < SOON, "the client tries for ever");
    }
    client.ends().code(1).stdout("").stderr(starts_with("client: cannot connect"));
    assert!(scene.event_log().all(|event| event.what == What::TryingAgain).len() > 1);
    server.end();
}

fn a_malformed_ack_is_reported_as_the_servers_fault(scene: &Scene) {
    let mut server = scene.raw_server();
    let acks = [
        Ack { version: VERSION + 1, ..RawServer::good_ack() }.encode(),
        RawServer::good_ack().encode()[..19].to_vec(),
        [RawServer::good_ack().encode(), vec![b'x'; 256]].concat(),
    ];
    for payload in acks {
        let client = waiting_client(scene, &mut server, "60s");
        server.write(&frame(Kind::Ack, server.nonce(), 0, Part::ONLY, &payload));
        client.go_on();
        client.ends().code(1).stdout("").stderr(contains("broke the protocol"));
        assert_eq!(scene.names(), ["mario"]);
    }
    server.end();
}

fn an_ack_in_pieces_and_among_garbage_is_accepted(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = scene.client().args(["--timeout", "60s", "hello"]).gated().start();
    client.step_until(What::AwaitingAck);
    server.receive_hello();
    client.go_on();
    let foreign = frame(Kind::Ack, server.nonce() ^ 1, 0, Part::ONLY, &RawServer::good_ack().encode());
    let ack = server.ack(&RawServer::good_ack());
    server.write_byte_by_byte(&[b"its-a-me, mario!", &*foreign, &ack].concat());
    server.receive(Kind::Ready);
    assert_eq!(server.receive(Kind::Request).payload, b"hello");
    server.write_byte_by_byte(&reply(1, b"HELLO"));
    client.ends().success().stdout("HELLO\n").stderr("");
    server.end();
}

fn a_refusal_is_printed_without_control_characters(scene: &Scene) {
    let mut server = scene.raw_server();
    let reason = b"\x1b[2Jno, \xff\xfe not \x07you\xc2\x9b2J\xe2\x80\xae\n";
    let shown = || {
        contains("not").and(contains("you")).and(predicate::function(|text: &str| {
            text.trim_end_matches('\n').chars().all(|c| !c.is_control() && c != '\u{202e}')
        }))
    };
    let client = waiting_client(scene, &mut server, "60s");
    server.write(&frame(Kind::Refuse, server.nonce(), 0, Part::ONLY, reason));
    client.go_on();
    client.ends().code(3).stdout("").stderr(starts_with("client: cannot connect").and(shown()));
    let client = asking_client(scene, &mut server, &["hello"]);
    server.say(Kind::Refuse, 1, Part::ONLY, reason);
    client.ends().code(1).stdout("").stderr(contains("refused message 1").and(shown()));
    server.receive(Kind::Bye);
    let client = asking_client(scene, &mut server, &["hello"]);
    server.say(Kind::Bye, 0, Part::ONLY, reason);
    client.ends().code(1).stdout("").stderr(contains("said BYE").and(shown()));
    server.end();
}

/// The client writes only to FIFOs of its own directory, whatever their names are.
fn an_invalid_upstream_is_not_opened(scene: &Scene) {
    let mut server = scene.raw_server();
    let up = |number: u32| format!("mario.up.1.{number:016x}");
    fs::write(scene.path("victim"), VALUE).expect("a file");
    fs::write(scene.path(&up(1)), VALUE).expect("a file");
    symlink("victim", scene.path(&up(2))).expect("a link");
    fs::create_dir(scene.path(&up(3))).expect("a directory");
    let before = scene.names();
    let absolute = scene.path(&up(1)).display().to_string();
    let elsewhere = format!("{}/../victim", up(4));
    let cases: [(&str, i32, &str, &str); 11] = [
        ("../place/victim", 1, "60s", "none of this place"),
        ("victim", 1, "60s", "none of this place"),
        ("mario", 1, "60s", "none of this place"),
        (".", 1, "60s", "none of this place"),
        ("\0", 1, "60s", "none of this place"),
        (&absolute, 1, "60s", "none of this place"),
        (&elsewhere, 1, "60s", "none of this place"),
        (&up(1), 3, "60s", "EINVAL"),
        (&up(2), 3, "60s", "ELOOP"),
        (&up(3), 3, "60s", "EISDIR"),
        // The name does not exist: the server may have removed it. So the client tries again, and gets no
        // more answers.
        (&up(4), 1, "300ms", "no answer"),
    ];
    for (name, status, timeout, words) in cases {
        let client = waiting_client(scene, &mut server, timeout);
        server.write(&server.ack(&Ack { upstream: name.into(), ..RawServer::good_ack() }));
        client.go_on();
        client.ends().code(status).stdout("").stderr(starts_with("client: ").and(contains(words)));
        assert_eq!(scene.names(), before, "names made or left for {name:?}");
        server.forget();
    }
    for file in ["victim", &up(1)] {
        assert_eq!(fs::read_to_string(scene.path(file)).expect("the path exists"), VALUE);
    }
    for name in ["victim", &up(1), &up(2)] {
        fs::remove_file(scene.path(name)).expect("the path exists");
    }
    fs::remove_dir(scene.path(&up(3))).expect("the path exists");
    server.end();
}

fn extreme_limits_are_respected(scene: &Scene) {
    let mut server = scene.raw_server();
    for (window, longest) in [(0, 0), (1, 0), (u16::MAX, 4)] {
        let client = waiting_client(scene, &mut server, "60s");
        server.write(&server.ack(&Ack { window, longest, ..RawServer::good_ack() }));
        client.go_on();
        client
            .ends()
            .code(1)
            .stdout("")
            .stderr(contains("5 bytes").and(contains(format!("at most {longest}"))));
        server.receive(Kind::Ready);
        server.receive(Kind::Bye);
    }
    for (window, longest) in [(0, u64::MAX), (1, u64::MAX), (u16::MAX, 5)] {
        let client = waiting_client(scene, &mut server, "60s");
        server.write(&server.ack(&Ack { window, longest, ..RawServer::good_ack() }));
        client.go_on();
        server.receive(Kind::Ready);
        server.receive(Kind::Request);
        server.write(&reply(1, b"HELLO"));
        client.ends().success().stdout("HELLO\n").stderr("");
        server.receive(Kind::Bye);
    }
    server.end();
}

fn answers_that_are_not_due_end_the_session(scene: &Scene) {
    let mut server = scene.raw_server();
    let mut wrong = reply(1, b"ONE");
    wrong[28] ^= 1;
    let cases: [(Vec<u8>, &str, &str); 5] = [
        ([reply(2, b"TWO"), reply(1, b"ONE")].concat(), "", "request 2, which was not due"),
        ([reply(1, b"ONE"), reply(1, b"ONE")].concat(), "ONE\n", "request 1, which was not due"),
        ([reply(1, b"ONE"), reply(3, b"THREE")].concat(), "ONE\n", "request 3, which was not due"),
        // The first answer is unknown.
        ([wrong, reply(2, b"TWO")].concat(), "", "request 2, which was not due"),
        (frame(Kind::Refuse, RawServer::SESSION, 0, Part::ONLY, b"no"), "", "request 0, which was not due"),
    ];
    for (bytes, printed, words) in cases {
        let client = asking_client(scene, &mut server, &["one", "two"]);
        server.write(&bytes);
        client.ends().code(1).stdout(printed).stderr(contains("broke the protocol").and(contains(words)));
        server.forget();
    }
    server.end();
}

fn an_endless_answer_is_cut_off(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = asking_client(scene, &mut server, &["hello"]);
    for number in 0..3 {
        server.say(Kind::Reply, 1, Part { number, more: true }, &[b'x'; PAYLOAD_MAX]);
    }
    client.ends().code(1).stdout("").stderr(contains("longer than 10000 bytes"));
    server.end();
}

fn a_bye_ends_the_session_whatever_follows(scene: &Scene) {
    let mut server = scene.raw_server();
    let bye = frame(Kind::Bye, RawServer::SESSION, 0, Part::ONLY, b"enough");
    let client = asking_client(scene, &mut server, &["hello"]);
    server.write(&[bye.clone(), reply(1, b"HELLO")].concat());
    client.ends().code(1).stdout("").stderr(contains("1 unanswered").and(contains("said BYE: enough")));
    server.forget();
    // BYE follows the acknowledgement in one write, and the pipe shows nothing more.
    let client = waiting_client(scene, &mut server, "60s");
    server.write(&[server.ack(&RawServer::good_ack()), bye].concat());
    client.go_on();
    client.ends().code(1).stdout("").stderr(contains("said BYE: enough"));
    server.end();
}

fn garbage_in_a_session_is_skipped_and_counted(scene: &Scene) {
    let mut server = scene.raw_server();
    let client = asking_client(scene, &mut server, &["hello"]);
    let mut unknown = reply(1, b"unknown");
    unknown[10] = 0x77;
    let foreign = frame(Kind::Reply, RawServer::SESSION ^ 1, 1, Part::ONLY, b"of another session");
    let text = b"its-a-me, mario!";
    server.write(&[text, unknown.as_slice(), &foreign, &[0; 100]].concat());
    server.write(&reply(1, b"HELLO"));
    client.ends().success().stdout("HELLO\n").stderr("");
    let skipped = scene.event_log().all(|event| event.what == What::Skipped && event.pid == client.pid());
    let bytes: usize = skipped.iter().filter_map(|event| event.bytes).sum();
    assert_eq!(bytes, text.len() + unknown.len() + 100, "a frame of another session was counted as skipped");
    server.end();
}

/// The server leaves after a part of a frame, after a header that claims more, or between frames.
fn a_client_whose_server_leaves_reports_the_reason(scene: &Scene) {
    let mut server = scene.raw_server();
    let whole = reply(1, b"HELLO");
    for part in [&whole[..0], &whole[..3], &whole[..HEADER], &whole[..HEADER + 4]] {
        let client = asking_client(scene, &mut server, &["hello"]);
        server.write(part);
        server.close();
        client.ends().code(1).stdout("").stderr(contains("1 unanswered").and(contains("closed its pipe")));
        server.forget();
    }
    server.end();
}
