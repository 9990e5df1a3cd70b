//! A cut frame swallows no other frame, and a lost frame ends its session.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use handshake_core::event::What;
use handshake_core::wire::{HEADER, Kind, MAGIC, PAYLOAD_MAX, Part, pieces};
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::proc::living_in;
use workspace_tests::steps::{another_client_is_served_soon, at_one_pipe, second_in_a_pipe};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Program, RawClient, RawServer, Scene, each, frame, tests};

each! {
    a_cut_frame_before_a_hello_swallows_nothing_of_it in basic forking dispatch shared: row_36;
    cut_frames_between_requests_swallow_no_request in basic forking dispatch shared: row_36;
    cut_frames_within_a_message_leave_it_whole in basic forking dispatch shared: row_36;
    a_header_in_a_fresh_upstream_swallows_no_ready in basic forking dispatch: row_36;
    a_fresh_upstream_that_another_process_closes_ends_no_session in basic forking dispatch: row_36;
    a_request_that_lost_a_frame_is_not_answered in basic forking dispatch shared: row_35;
}

tests! {
    an_answer_that_lost_a_frame_is_not_printed: row_35;
}

/// Frames of which another process writes only the beginning. The payload of the last one ends with a magic.
fn foreign_frames() -> [Vec<u8>; 3] {
    [
        frame(Kind::Ready, 7, 0, Part::ONLY, b""),
        frame(Kind::Hello, 7, 0, Part::ONLY, b"\0\x02nobody"),
        frame(Kind::Request, 7, 1, Part::ONLY, &[b"hello", &MAGIC[..]].concat()),
    ]
}

/// Returns these frames, cut at each length.
fn cut_frames() -> impl Iterator<Item = Vec<u8>> {
    foreign_frames()
        .into_iter()
        .flat_map(|frame| (1..frame.len()).map(move |length| frame[..length].to_vec()))
}

/// Stops the reader while `write` runs, so that one read returns all bytes.
fn in_one_read(scene: &Scene, reader: u32, write: impl FnOnce()) {
    scene.signal_server(reader, Signal::SIGSTOP);
    write();
    scene.signal_server(reader, Signal::SIGCONT);
}

fn a_cut_frame_before_a_hello_swallows_nothing_of_it(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    for cut in cut_frames() {
        let mut client = scene.raw_client();
        client.open_wkp();
        in_one_read(scene, server.pid(), || {
            client.write(&cut);
            assert!(client.hello_on_open_pipe(), "the pipe has lost its name");
        });
        client.accept();
        client.request(1, b"hello");
        assert_eq!(client.reply(1, 5), b"HELLO");
        client.bye();
    }
}

/// Returns a process that has the pipe open, and a client in a session on the same pipe. On a busy machine
/// the client may hold its lock for longer than the server waits. It then gets a fresh pipe, so this tries
/// again.
fn in_one_pipe(scene: &Scene) -> (RawClient, Rc<Program>) {
    loop {
        let mut intruder = scene.raw_client();
        intruder.open_wkp();
        let mark = scene.event_log().mark();
        let client = scene.client().typing().start();
        scene.event_log().wait_after(mark, What::ReadySent, |event| event.pid == client.pid());
        let events = scene.event_log().all(|_| true).split_off(mark);
        if events.iter().all(|event| event.what != What::UpstreamCreated) {
            return (intruder, client);
        }
        client.leaves();
    }
}

/// A real client has the session.
fn cut_frames_between_requests_swallow_no_request(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let (mut intruder, client) = in_one_pipe(scene);
    let reader =
        if paradigm == Paradigm::Forking { scene.event_log().server_of(client.pid()) } else { server.pid() };
    let mut printed = String::new();
    for (number, cut) in (1_u32..).zip(cut_frames()) {
        in_one_read(scene, reader, || {
            intruder.write(&cut);
            client.type_line(&format!("line {number}"));
            scene.event_log().wait_for(What::RequestSent, |event| event.seq == Some(number));
        });
        printed += &format!("LINE {number}\n");
        client.prints(&printed);
    }
    client.leaves().stdout(printed).stderr("");
}

fn cut_frames_within_a_message_leave_it_whole(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--service", "echo"]).ready();
    let (mut intruder, mut client) = at_one_pipe(scene);
    let session = Some(format!("{:016x}", client.session()));
    let ready = scene.event_log().wait_for(What::ReadyReceived, |event| event.session == session);
    let reader = if paradigm == Paradigm::Forking { ready.pid } else { server.pid() };
    let message = [&MAGIC[..], &[b'x'; 2 * PAYLOAD_MAX], &MAGIC].concat();
    for (sequence, cut) in (1..).zip(cut_frames()) {
        in_one_read(scene, reader, || {
            for (payload, part) in pieces(&message) {
                intruder.write(&cut);
                let session = client.session();
                client.say(Kind::Request, session, sequence, part, payload);
            }
        });
        assert!(client.reply(sequence, message.len()) == message, "another message came back");
    }
    assert!(!client.has_answer(), "the client got an answer twice");
    client.bye();
}

/// Another process finds the upstream by its name, before the client has written anything into it.
fn a_header_in_a_fresh_upstream_swallows_no_ready(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let mut client = second_in_a_pipe(scene, &server);
    let upstream = client.acknowledged().upstream;
    let path = scene.path(std::str::from_utf8(&upstream).expect("the server's names are text"));
    let lie = frame(Kind::Request, client.session(), 1, Part::ONLY, &[b'x'; PAYLOAD_MAX]);
    let mut intruder = OpenOptions::new().write(true).open(path).expect("the upstream has its name");
    intruder.write_all(&lie[..HEADER]).expect("the server reads it");
    client.ready();
    client.request(1, b"hello");
    assert_eq!(client.reply(1, 5), b"HELLO");
    client.bye();
}

/// Returns how many descriptors the servers of this scene have of a pipe.
fn ends_of(scene: &Scene, path: &Path) -> usize {
    let servers = living_in(scene.place()).into_iter();
    let fds = servers.filter_map(|server| fs::read_dir(format!("/proc/{}/fd", server.pid)).ok());
    let links = fds.flatten().flatten().map(|fd| fs::read_link(fd.path()));
    links.filter(|link| link.as_ref().is_ok_and(|link| link == path)).count()
}

/// The process closes it before the client has opened it. The server must not take that for the client's end.
/// Nor may it wait for a client that leaves then.
fn a_fresh_upstream_that_another_process_closes_ends_no_session(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    for leaves in [false, true] {
        // In basic there is none during a session.
        until_true("a well-known pipe", || scene.path("mario").exists());
        let mut client = second_in_a_pipe(scene, &server);
        until_true("the acknowledgement", || client.has_answer());
        let upstream = scene.names().into_iter().find(|name| name.starts_with("mario.up."));
        let path = scene.path(&upstream.expect("the upstream has its name"));
        let ends = ends_of(scene, &path);
        drop(OpenOptions::new().write(true).open(&path).expect("the server reads it"));
        until_true("the server to have opened it to write", || ends_of(scene, &path) > ends);
        if !leaves {
            client.accept();
            client.request(1, b"hello");
            assert_eq!(client.reply(1, 5), b"HELLO");
            client.bye();
        }
    }
    another_client_is_served_soon(scene);
}

/// The first, a middle or the last frame of a message is lost, or all of them.
fn a_request_that_lost_a_frame_is_not_answered(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    // All frames are in one write, because the server may close the pipe after the first frame that is not
    // due.
    let sent = |session: u64, lost: &[(u32, u16)]| -> Vec<u8> {
        let frames = [(1, 0), (1, 1), (1, 2), (2, 0)].into_iter().filter(|frame| !lost.contains(frame));
        let bytes = frames.flat_map(|(sequence, number)| {
            let part = Part { number, more: sequence == 1 && number < 2 };
            frame(Kind::Request, session, sequence, part, b"part")
        });
        bytes.collect()
    };
    let cases: [(&[(u32, u16)], &str); 5] = [
        (&[(1, 0)], "part 1 of request 1 came where part 0 of request 1 was due: a frame was lost"),
        (&[(1, 1)], "part 2 of request 1 came where part 1 of request 1 was due: a frame was lost"),
        (&[(1, 2)], "part 0 of request 2 came where part 2 of request 1 was due: a frame was lost"),
        (&[(1, 0), (1, 1)], "part 2 of request 1 came where part 0 of request 1 was due: a frame was lost"),
        (&[(1, 0), (1, 1), (1, 2)], "request 2 came where 1 was due"),
    ];
    for (lost, reason) in cases {
        let mut client = scene.raw_session();
        client.write(&sent(client.session(), lost));
        let answer = client.answer();
        assert_eq!((answer.kind, String::from_utf8_lossy(&answer.payload)), (Kind::Bye, reason.into()));
    }
}

/// Not even the part that came is printed.
fn an_answer_that_lost_a_frame_is_not_printed(scene: &Scene) {
    let mut server = scene.raw_server();
    for (numbers, reason) in [
        (&[1, 2][..], "part 1 of its answer to request 1 came where part 0 was due: a frame was lost"),
        (&[0, 2], "part 2 of its answer to request 1 came where part 1 was due: a frame was lost"),
        (&[0, 0], "part 0 of its answer to request 1 came where part 1 was due: a frame was lost"),
    ] {
        let client = scene.client().args(["--timeout", "60s", "hello"]).start();
        server.shake_hands();
        server.receive(Kind::Request);
        let frames = numbers.iter().map(|number| {
            let part = Part { number: *number, more: *number < 2 };
            frame(Kind::Reply, RawServer::SESSION, 1, part, b"part")
        });
        server.write(&frames.collect::<Vec<_>>().concat());
        client.ends().code(1).stdout("").stderr(contains("broke the protocol").and(contains(reason)));
        server.forget();
    }
    server.end();
}
