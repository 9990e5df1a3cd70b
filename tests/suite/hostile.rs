//! Clients that mean harm. What they write costs them their own session at most: every other one goes on, and not a byte
//! of it reaches anybody else.

use std::fs;
use std::time::{Duration, Instant};

use handshake_core::event::What;
use handshake_core::wire::{HEADER, Kind, PAYLOAD_MAX, Part};
use nix::sys::signal::Signal;
use workspace_tests::proc::memory;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, RawClient, Scene, each, record};

use crate::held::another_is_served_soon;
use crate::streams::noise;

each! {
    a_silent_opener_delays_nobody in basic forking dispatch shared: row_6;
    a_client_that_never_opened_its_pipe_is_dropped in basic forking dispatch shared: row_8;
    who_never_reads_its_replies_is_read_no_more in basic forking dispatch: row_11;
    taking_ones_own_pipe_twice_harms_nobody in basic forking dispatch shared: row_17;
    a_record_wrong_in_any_field_does_not_count in basic forking dispatch shared: row_35;
    garbage_between_any_two_steps_is_skipped in basic forking dispatch shared: row_35;
    garbage_without_end_gains_no_time in basic forking dispatch shared: row_8 row_35;
    a_bye_with_words_ends_its_session_alone in basic forking dispatch shared: row_35;
    what_only_a_server_may_say_is_passed_over in basic forking dispatch shared: row_35;
    a_liar_swallows_nothing_of_its_neighbour in basic forking dispatch shared: row_35 row_36;
    guesses_at_anothers_session_reach_nobody in basic forking dispatch shared: row_36;
    a_flood_beyond_the_window_costs_no_memory in shared: row_37;
}

/// What a server may keep for a client that floods it, and for the tests' own events: P5, twice the longest message that
/// is asked of it here, and 256 KiB; and as much again for the allocator.
const KEPT: usize = 1 << 20;

/// A raw client in a session.
fn in_session(scene: &Scene) -> RawClient {
    let mut client = scene.raw_client();
    client.shake_hands();
    client
}

/// A client that has the pipe of a session open, and the client of that session. A server gives the client a
/// fresh upstream instead if it reads HELLO while the client still holds its lock, as it may on a busy
/// machine.
pub(crate) fn at_one_pipe(scene: &Scene) -> (RawClient, RawClient) {
    until("a client that keeps the well-known pipe", || {
        let mut stranger = scene.raw_client();
        stranger.open_wkp();
        let mut client = scene.raw_client();
        if client.shake_hands().upstream.is_empty() {
            return Some((stranger, client));
        }
        client.bye();
        stranger.remove_private_pipe();
        None
    })
}

/// Asks and gets its answer, and no byte else.
fn is_served(client: &mut RawClient, sequence: u32, text: &[u8]) {
    client.request(sequence, text);
    let answer = client.answer();
    assert_eq!((answer.kind, answer.sequence), (Kind::Reply, sequence));
    assert_eq!(answer.payload, text.to_ascii_uppercase());
    assert!(!client.has_answer(), "somebody else's answer");
}

/// It has opened the pipe first, and holds it to the end.
fn a_silent_opener_delays_nobody(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let before = server.descriptors();
    let mut silent = scene.raw_client();
    silent.open_wkp();
    for _ in 0..3 {
        another_is_served_soon(&scene);
    }
    // Nor does it hide the end of a session that ends without BYE on the very pipe that it holds.
    let mut client = in_session(&scene);
    is_served(&mut client, 1, b"one");
    drop(client);
    another_is_served_soon(&scene);
    silent.remove_private_pipe();
    drop(silent);
    server.has_descriptors_as(&before);
    scene.end();
}

/// Its pipe is there, and has no reader: nobody waits for it, not even for its own timeout.
fn a_client_that_never_opened_its_pipe_is_dropped(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let before = server.descriptors();
    let mut client = scene.raw_client();
    let unread = scene.raw_client();
    let name = unread.name().to_owned();
    drop(unread);
    client.hello_naming(name.as_bytes());
    scene.record().wait_for(What::ClientDropped, |_| true);
    another_is_served_soon(&scene);
    fs::remove_file(scene.path(&name)).expect("nobody else removes it");
    client.remove_private_pipe();
    drop(client);
    server.has_descriptors_as(&before);
    scene.end();
}

/// Back-pressure: its server stops reading, and keeps little. (`--shared-wkp` evicts it: its window says when.)
fn who_never_reads_its_replies_is_read_no_more(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).args(["--service", "echo"]).ready();
    let mut client = in_session(&scene);
    let ready = scene.record().wait_for(What::ReadyReceived, |_| true);
    let kept = memory(ready.pid);
    let mut sequence = 0;
    while sequence < 16_384 && client.may_request(sequence + 1, &[b'x'; PAYLOAD_MAX]) {
        sequence += 1;
    }
    assert!(sequence < 16_384, "the server takes whatever comes, and {sequence} answers go nowhere");
    let grown = memory(ready.pid).saturating_sub(kept);
    assert!(grown < KEPT, "{grown} bytes more for a client that does not read");
    if paradigm.has_subservers() {
        scene.serves("another", "another");
    }
    // It reads after all, and has lost nothing.
    for due in 1..=sequence {
        let answer = client.answer();
        assert_eq!((answer.kind, answer.sequence, answer.payload.len()), (Kind::Reply, due, PAYLOAD_MAX));
    }
    client.bye();
    drop(client);
    scene.serves("another", "another");
    scene.end();
}

/// Two HELLOs, one pipe: each gets its ACK, in whatever order, and the one that is confirmed is served.
fn taking_ones_own_pipe_twice_harms_nobody(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let before = server.descriptors();
    let mut client = scene.raw_client();
    client.hello();
    client.hello();
    scene.record().wait_for_many(2, What::AckSent, |_| true);
    // It confirms none: both are dropped, and it is told so.
    scene.record().wait_for_many(2, What::ClientDropped, |_| true);
    another_is_served_soon(&scene);
    client.remove_private_pipe();
    drop(client);
    server.has_descriptors_as(&before);
    scene.end();
}

/// A request that is wrong in one byte of its header or payload, then one that is right.
fn a_record_wrong_in_any_field_does_not_count(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    let mut client = in_session(&scene);
    let right = record(Kind::Request, client.session(), 1, Part::ONLY, b"wrong");
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
    // Each of them was skipped, and nothing else.
    let written: usize = 3 * right.len() * right.len() + (1..right.len()).sum::<usize>();
    until_true("all to be counted", || skipped(&scene) == written);
    client.bye();
    drop(client);
    server.has_descriptors_as(&before);
    scene.end();
}

/// Bytes that were skipped so far.
fn skipped(scene: &Scene) -> usize {
    let events = scene.record().all(|event| event.what == What::Skipped);
    events.iter().filter_map(|event| event.bytes).sum()
}

fn garbage_between_any_two_steps_is_skipped(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
    let liar = record(Kind::Request, 7, 1, Part::ONLY, &[b'x'; PAYLOAD_MAX]);
    let garbage: [&[u8]; 4] = [b"its-a-me, mario!", &liar[..HEADER], b"\0WKP", &[0; 512]];
    for bytes in garbage {
        let mut client = scene.raw_client();
        client.open_wkp();
        client.write(bytes);
        client.hello();
        client.write(bytes);
        client.acknowledged();
        client.write(bytes);
        client.ready();
        client.write(bytes);
        is_served(&mut client, 1, b"one");
        client.write(bytes);
        is_served(&mut client, 2, b"two");
        client.bye();
    }
    server.has_descriptors_as(&before);
    scene.end();
}

/// Somebody who goes on sending what is no READY is dropped when its time is over, as if it were silent.
fn garbage_without_end_gains_no_time(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let before = server.descriptors();
    let mut client = scene.raw_client();
    client.hello();
    client.acknowledged();
    let (garbage, since, mut written) = (noise(4096), Instant::now(), 0);
    while !client.is_left() {
        if paradigm.removes_wkp() {
            // Without a pause: the server never finds the pipe empty.
            client.flood(&garbage);
        } else {
            // As fast as it is read. As long as a pipe that is everybody's is full, nobody is blamed.
            client.write(&garbage);
            written += garbage.len();
            until_true("the garbage to be read", || skipped(&scene) >= written || client.is_left());
        }
        assert!(since.elapsed() < Duration::from_secs(30), "the server listens as long as somebody talks");
    }
    let dropped = scene.record().wait_for(What::ClientDropped, |_| true);
    assert!(dropped.text.is_some_and(|text| text.contains("--handshake-timeout")));
    drop(client);
    another_is_served_soon(&scene);
    server.has_descriptors_as(&before);
    scene.end();
}

/// What is no text grows when it is made one, beyond what a record holds; and a client has no reason to give.
fn a_bye_with_words_ends_its_session_alone(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let before = server.descriptors();
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
        until_true("the server to close its pipe", || client.is_left());
        another_is_served_soon(&scene);
    }
    let reaped = scene.record().all(|event| event.what == What::SubserverReaped);
    assert!(reaped.iter().all(|event| event.text.as_deref() != Some("exit status 101")), "{reaped:?}");
    server.has_descriptors_as(&before);
    scene.end();
}

/// In dispatch such a REFUSE would be the central process's word that the client is silent.
fn what_only_a_server_may_say_is_passed_over(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).ready();
    let mut client = in_session(&scene);
    let session = client.session();
    for kind in [Kind::Hello, Kind::Ack, Kind::Reply, Kind::Refuse, Kind::Ready] {
        for more in [false, true] {
            client.say(kind, session, 1, Part { number: 0, more }, b"not a client's to say");
        }
    }
    is_served(&mut client, 1, b"one");
    client.bye();
    drop(client);
    another_is_served_soon(&scene);
    scene.end();
}

/// The server is stopped, so that one read of it brings a header that promises a whole record, its neighbour's request,
/// and as much as was promised.
fn a_liar_swallows_nothing_of_its_neighbour(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let (mut liar, mut neighbour) = at_one_pipe(&scene);
    if !paradigm.removes_wkp() {
        liar.shake_hands();
    }
    // Who reads the pipe that they share.
    let session = Some(format!("{:016x}", neighbour.session()));
    let ready = scene.record().wait_for(What::ReadyReceived, |event| event.session == session);
    let reader = if paradigm == Paradigm::Forking { ready.pid } else { server.pid() };
    let lie = record(Kind::Request, liar.session(), 1, Part::ONLY, &[b'x'; PAYLOAD_MAX]);
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
    assert!(!liar.has_answer(), "a byte of its neighbour's");
    assert!(!neighbour.has_answer());
    neighbour.bye();
    if paradigm.removes_wkp() {
        liar.remove_private_pipe();
    } else {
        liar.bye();
    }
    drop((neighbour, liar));
    another_is_served_soon(&scene);
    scene.end();
}

/// Records of all kinds, sound but for the session's number, into the pipe that the other's session goes through.
fn guesses_at_anothers_session_reach_nobody(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).ready();
    let (mut vandal, mut victim) = at_one_pipe(&scene);
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
    vandal.remove_private_pipe();
    drop((victim, vandal));
    another_is_served_soon(&scene);
    scene.end();
}

fn a_flood_beyond_the_window_costs_no_memory(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).args(["--service", "sleep:300", "--grace", "200ms"]).ready();
    let neighbour = scene.client().typing().start();
    neighbour.type_line("one");
    neighbour.prints("one\n");
    let mut client = in_session(&scene);
    let kept = memory(server.pid());
    // 16 MiB.
    for sequence in 1..=4096 {
        client.request(sequence, &[b'x'; PAYLOAD_MAX]);
    }
    scene.record().wait_for(What::ClientDropped, |event| {
        event.text.as_ref().is_some_and(|text| text.contains("window"))
    });
    neighbour.type_line("two");
    neighbour.prints("one\ntwo\n");
    let grown = memory(server.pid()).saturating_sub(kept);
    assert!(grown < KEPT, "{grown} bytes more for a client that floods");
    neighbour.close_stdin();
    neighbour.ends().success();
    drop(client);
    scene.end();
}
