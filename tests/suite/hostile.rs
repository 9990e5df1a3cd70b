//! Hostile clients. What they write ends their own session at most. All other sessions go on, and no other
//! client gets a byte of it.

use std::time::{Duration, Instant};

use handshake_core::event::What;
use handshake_core::wire::{HEADER, Kind, PAYLOAD_MAX, Part};
use nix::sys::signal::Signal;
use workspace_tests::proc::memory;
use workspace_tests::steps::{another_client_is_served_soon, at_one_pipe, noise};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, RawClient, Scene, each, frame};

each! {
    a_client_that_only_opens_the_pipe_delays_nobody in basic forking dispatch shared: row_6;
    a_frame_wrong_in_any_field_is_skipped in basic forking dispatch shared: row_35;
    garbage_on_the_shared_pipe_harms_no_session in shared: row_35 row_36;
    garbage_between_any_two_steps_is_skipped in basic forking dispatch shared: row_35;
    endless_garbage_does_not_extend_the_handshake_timeout in basic forking dispatch shared: row_8 row_35;
    a_bye_with_a_reason_ends_only_its_session in basic forking dispatch shared: row_35;
    frames_that_only_a_server_may_send_are_ignored in basic forking dispatch shared: row_35;
    a_false_header_swallows_nothing_of_another_client in basic forking dispatch shared: row_35 row_36;
    guessed_session_numbers_reach_no_session in basic forking dispatch shared: row_35 row_36;
    a_flood_beyond_the_window_costs_no_memory in shared: row_37;
}

/// The most memory that a server may keep for a client that floods it. P5 allows twice the longest message
/// here, and 256 KiB. The allocator and the event log may take as much again.
const KEPT: usize = 1 << 20;

/// Checks that a client gets the answer to its request, and no other byte.
fn is_served(client: &mut RawClient, sequence: u32, text: &[u8]) {
    client.request(sequence, text);
    let answer = client.answer();
    assert_eq!((answer.kind, answer.sequence), (Kind::Reply, sequence));
    assert_eq!(answer.payload, text.to_ascii_uppercase());
    assert!(!client.has_answer(), "the client got another client's answer");
}

/// The client opens the pipe first, and keeps it open to the end.
fn a_client_that_only_opens_the_pipe_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let mut silent = scene.raw_client();
    silent.open_wkp();
    for _ in 0..3 {
        another_client_is_served_soon(scene);
    }
    // The open pipe does not hide the end of a session without BYE on the same pipe.
    let mut client = scene.raw_session();
    is_served(&mut client, 1, b"one");
    drop(client);
    another_client_is_served_soon(scene);
}

/// Sends requests with one wrong byte in the header or the payload, then a correct request.
fn a_frame_wrong_in_any_field_is_skipped(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.raw_session();
    let right = frame(Kind::Request, client.session(), 1, Part::ONLY, b"wrong");
    for at in 0..right.len() {
        for value in [right[at] ^ 1, right[at] ^ 0x80, !right[at]] {
            let mut wrong = right.clone();
            wrong[at] = value;
            client.write(&wrong);
        }
    }
    for cut in 1..right.len() {
        client.write(&right[..cut]);
    }
    is_served(&mut client, 1, b"right");
    // The server skipped all wrong bytes, and nothing else.
    let written: usize = 3 * right.len() * right.len() + (1..right.len()).sum::<usize>();
    until_true("all skipped bytes to be counted", || skipped(scene) == written);
    client.bye();
}

/// The number of bytes skipped so far.
fn skipped(scene: &Scene) -> usize {
    let events = scene.event_log().all(|event| event.what == What::Skipped);
    events.iter().filter_map(|event| event.bytes).sum()
}

/// At most 4,096 bytes each, since a hostile client would keep its writes whole, too.
fn garbage() -> Vec<Vec<u8>> {
    // A header that claims more bytes than ever come, and a header of an unknown kind.
    let lie = [b"\0WKP\x04\x00\x0f\xe8".as_slice(), &[0; 16]].concat();
    let kind = [b"\0WKP\x09\x00\x00\x00".as_slice(), &[0; 16]].concat();
    let magics = b"\0WKP".repeat(1024);
    let text = b"its-a-me, mario!".to_vec();
    // A correct header without its payload.
    let header = frame(Kind::Request, 7, 1, Part::ONLY, &[b'x'; PAYLOAD_MAX])[..HEADER].to_vec();
    vec![noise(4096), noise(1), lie, kind, header, magics, text, vec![0; 4096], b"\0WK".to_vec()]
}

/// A client sends garbage before its HELLO and after each of its frames.
fn garbage_between_any_two_steps_is_skipped(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut written = 0;
    for bytes in garbage() {
        let mut client = scene.raw_client();
        client.open_wkp();
        client.write(&bytes);
        until_true("all skipped bytes to be counted", || skipped(scene) == written + bytes.len());
        another_client_is_served_soon(scene);
        client.hello();
        client.write(&bytes);
        client.acknowledged();
        client.write(&bytes);
        client.ready();
        client.write(&bytes);
        is_served(&mut client, 1, b"one");
        client.write(&bytes);
        is_served(&mut client, 2, b"two");
        client.bye();
        written += 5 * bytes.len();
    }
}

fn garbage_on_the_shared_pipe_harms_no_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let client = scene.client().typing().start();
    let mut vandal = scene.raw_client();
    vandal.open_wkp();
    let mut printed = String::new();
    for (n, bytes) in garbage().into_iter().cycle().take(40).enumerate() {
        vandal.write(&bytes);
        client.type_line(&format!("line {n}"));
        vandal.write(&bytes);
        printed += &format!("LINE {n}\n");
    }
    client.leaves().stdout(printed).stderr("");
}

/// A client that sends garbage instead of READY is dropped at the deadline, like a silent client.
fn endless_garbage_does_not_extend_the_handshake_timeout(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let mut client = scene.raw_client();
    client.hello();
    client.acknowledged();
    let (garbage, since, mut written) = (noise(4096), Instant::now(), 0);
    while !client.server_has_closed() {
        if paradigm.removes_wkp() {
            // No pause, so the server never finds the pipe empty.
            client.flood(&garbage);
        } else {
            // As fast as the server reads. While a shared pipe is full, the server drops no client.
            client.write(&garbage);
            written += garbage.len();
            until_true("the garbage to be read", || skipped(scene) >= written || client.server_has_closed());
        }
        assert!(since.elapsed() < Duration::from_secs(30), "garbage extends the server's timeout");
    }
    let dropped = scene.event_log().wait_for(What::ClientDropped, |_| true);
    assert!(dropped.text.is_some_and(|text| text.contains("the handshake timeout")));
    drop(client);
    another_client_is_served_soon(scene);
}

/// Bytes that are not UTF-8 grow when they are converted to text, beyond the size of a frame. A client may
/// not give a reason in BYE.
fn a_bye_with_a_reason_ends_only_its_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for confirms in [true, false] {
        let mut client = scene.raw_client();
        client.hello();
        client.acknowledged();
        if confirms {
            client.ready();
            is_served(&mut client, 1, b"one");
        }
        let session = client.session();
        client.say(Kind::Bye, session, 0, Part::ONLY, &[0xff; PAYLOAD_MAX]);
        until_true("the server to close its pipe", || client.server_has_closed());
        another_client_is_served_soon(scene);
    }
    let reaped = scene.event_log().all(|event| event.what == What::SubserverReaped);
    assert!(reaped.iter().all(|event| event.text.as_deref() != Some("exit status 101")), "{reaped:?}");
}

/// In dispatch, such a REFUSE from the central process would mean that the client is silent.
fn frames_that_only_a_server_may_send_are_ignored(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.raw_session();
    let session = client.session();
    for kind in [Kind::Hello, Kind::Ack, Kind::Reply, Kind::Refuse, Kind::Ready] {
        for more in [false, true] {
            client.say(kind, session, 1, Part { number: 0, more }, b"not a client's to say");
        }
    }
    is_served(&mut client, 1, b"one");
    client.bye();
    drop(client);
    another_client_is_served_soon(scene);
}

/// The server is stopped, so one read returns all of this: a header that claims a whole frame, the
/// neighbour's request, and as many bytes as were claimed.
fn a_false_header_swallows_nothing_of_another_client(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let (mut liar, mut neighbour) = at_one_pipe(scene);
    if !paradigm.removes_wkp() {
        liar.shake_hands();
    }
    // The process that reads the shared pipe.
    let session = Some(format!("{:016x}", neighbour.session()));
    let ready = scene.event_log().wait_for(What::ReadyReceived, |event| event.session == session);
    let reader = if paradigm == Paradigm::Forking { ready.pid } else { server.pid() };
    let lie = frame(Kind::Request, liar.session(), 1, Part::ONLY, &[b'x'; PAYLOAD_MAX]);
    for (sequence, header) in (1..).zip([HEADER, HEADER + 1, 8, 4]) {
        scene.signal_server(reader, Signal::SIGSTOP);
        liar.write(&lie[..header]);
        neighbour.request(sequence, b"private");
        liar.write(&[b'x'; 3000]);
        liar.write(&[b'x'; 3000]);
        scene.signal_server(reader, Signal::SIGCONT);
        let answer = neighbour.answer();
        assert_eq!(
            (answer.kind, answer.sequence, &*answer.payload),
            (Kind::Reply, sequence, &b"PRIVATE"[..])
        );
    }
    assert!(!liar.has_answer(), "the liar got a byte of its neighbour");
    assert!(!neighbour.has_answer());
    neighbour.bye();
    if paradigm.removes_wkp() {
    } else {
        liar.bye();
    }
    drop((neighbour, liar));
    another_client_is_served_soon(scene);
}

/// Frames of all kinds, valid except for the session's number, in the pipe of another client's session.
fn guessed_session_numbers_reach_no_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let (mut vandal, mut victim) = at_one_pipe(scene);
    is_served(&mut victim, 1, b"one");
    let session = victim.session();
    let near = (0..64).map(|bit| session ^ (1 << bit));
    let far = [0, 1, u64::MAX, session.swap_bytes(), !session];
    for guess in near.chain(far) {
        for kind in [Kind::Request, Kind::Bye, Kind::Ready, Kind::Refuse, Kind::Reply] {
            vandal.say(kind, guess, 2, Part::ONLY, b"guess");
        }
    }
    is_served(&mut victim, 2, b"two");
    assert!(!vandal.has_answer());
    victim.bye();
    drop((victim, vandal));
    another_client_is_served_soon(scene);
}

fn a_flood_beyond_the_window_costs_no_memory(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--service", "sleep:300", "--grace", "200ms"]).ready();
    let neighbour = scene.client().typing().start();
    neighbour.type_line("one");
    neighbour.prints("one\n");
    let mut client = scene.raw_client();
    assert_eq!(client.shake_hands().window, 16);
    let kept = memory(server.pid());
    // 16 MiB in total.
    for sequence in 1..=4096 {
        client.request(sequence, &[b'x'; PAYLOAD_MAX]);
    }
    scene.event_log().wait_for(What::ClientDropped, |event| {
        event.text.as_ref().is_some_and(|text| text.contains("window"))
    });
    neighbour.type_line("two");
    neighbour.prints("one\ntwo\n");
    let grown = memory(server.pid()).saturating_sub(kept);
    assert!(grown < KEPT, "{grown} bytes more for a client that floods");
    neighbour.leaves();
}
