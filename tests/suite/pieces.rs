//! Frames in pieces, many frames at once, and pipes with little room: the same messages come out.

use handshake_core::event::What;
use handshake_core::wire::{Ack, Kind, PAYLOAD_MAX, pieces};
use workspace_tests::proc::{Target, shrink_pipe};
use workspace_tests::steps::{noise, second_in_a_pipe};
use workspace_tests::{Paradigm, RawServer, Scene, each, frame, tests};

each! {
    a_message_in_single_bytes_is_the_same_message in basic forking dispatch: row_27;
    many_messages_in_one_write_are_many_messages in basic forking dispatch shared: row_27;
    replies_wait_while_the_pipe_has_no_free_page in basic forking dispatch shared: row_29;
    pipes_smaller_than_the_window_cause_no_deadlock in basic forking dispatch shared: row_41;
}

tests! {
    a_slow_server_receives_and_sends_the_same_bytes: row_27 row_29;
}

/// This needs a fresh upstream, where frames may come in pieces.
fn a_message_in_single_bytes_is_the_same_message(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--service", "reverse"]).without_event_log().ready();
    let mut slow = second_in_a_pipe(scene, &server);
    slow.writes_at_most(1);
    slow.reads_at_most(1);
    assert!(!slow.accept().upstream.is_empty(), "the client has no fresh upstream");
    for (sequence, length) in (1..).zip([5, 0, PAYLOAD_MAX, 10_000]) {
        let message = noise(length);
        slow.request(sequence, &message);
        let reply = if length == 0 { slow.answer().payload } else { slow.reply(sequence, length) };
        assert!(reply.iter().eq(message.iter().rev()), "another message came back, of {length} bytes");
    }
    slow.bye();
}

/// One write of at most PIPE_BUF is read in one read.
fn many_messages_in_one_write_are_many_messages(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).without_event_log().ready();
    let mut client = scene.raw_client();
    let window = client.shake_hands().window;
    let most = if window == 0 { 120 } else { u32::from(window) };
    let messages: Vec<_> = (1..=most).map(|number| format!("message {number}").into_bytes()).collect();
    client.requests_at_once(&messages[..most.min(100) as usize]);
    for (sequence, message) in (1..).zip(&messages[..most.min(100) as usize]) {
        assert_eq!(client.reply(sequence, message.len()), message.to_ascii_uppercase());
    }
    client.bye();
}

/// The pipe has one page. While the page holds a byte, nothing can be written. No byte may be dropped.
fn replies_wait_while_the_pipe_has_no_free_page(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--service", "echo"]).without_event_log().ready();
    let mut client = scene.raw_session();
    client.shrink_private_pipe();
    let message = noise(if paradigm == Paradigm::Shared { 16 * PAYLOAD_MAX } else { 300_000 });
    client.request(1, &message);
    client.reads_at_most(1);
    let mut reply = client.reply(1, 20_000);
    client.reads_at_most(4097);
    reply.extend(client.reply(1, message.len() - reply.len()));
    assert!(reply == message, "another message came back");
    client.bye();
}

/// Each pipe holds 4 KiB. 64 KiB of requests are under way, and as many of replies.
fn pipes_smaller_than_the_window_cause_no_deadlock(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["-q", "--service", "echo"]).ready();
    let messages: Vec<_> = (0..200).map(|number| format!("{number:04}").repeat(1000)).collect();
    let client = scene.client().args(["--window", "16"]).args(&messages).gated().start();
    client.step_until(What::ReadySent);
    scene.event_log().wait_for(What::ReadyReceived, |_| true);
    for pid in [client.pid(), scene.event_log().server_of(client.pid()), server.pid()] {
        for descriptor in scene.event_log().descriptors(pid) {
            if !matches!(descriptor.target, Target::Other(_)) {
                shrink_pipe(pid, &descriptor);
            }
        }
    }
    client.go_on();
    let end = client.ends().success();
    let expected: String = messages.iter().map(|message| format!("{message}\n")).collect();
    assert!(end.get_output().stdout == expected.as_bytes(), "other messages came back");
}

/// The other direction, with a server that the test controls. Its pipe has one page, and its answers come in
/// single bytes.
fn a_slow_server_receives_and_sends_the_same_bytes(scene: &Scene) {
    let mut server = scene.raw_server();
    server.shrink_wkp();
    let message = "0123456789".repeat(5000);
    let client = scene.client().args(["--raw", "--timeout", "60s"]).reading(&message).start();
    server.receive_hello();
    server.write(&server.ack(&Ack { longest: 1 << 20, ..RawServer::good_ack() }));
    server.receive(Kind::Ready);
    server.reads_at_most(1);
    let request = server.receive_request();
    assert!(request.payload == message.as_bytes(), "another message came");
    for (payload, part) in pieces(&request.payload) {
        let session = RawServer::SESSION;
        server.write_byte_by_byte(&frame(Kind::Reply, session, request.sequence, part, payload));
    }
    client.ends().success().stdout(message).stderr("");
    server.end();
}
