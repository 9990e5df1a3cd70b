//! A server that has a request and does not reply: the client reports what it saw, and ends in time.

use std::io::Read;

use handshake_core::course::ITS_A_ME;
use handshake_core::wire::{Kind, Part};
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::pipe::open_to_read;
use workspace_tests::wait::until;
use workspace_tests::{Launch, Paradigm, Program, Scene, tests};

tests! {
    a_server_that_does_not_reply_is_given_up: row_54;
    a_server_of_the_course_that_does_not_reply_is_given_up: row_54;
    a_request_that_another_program_read_is_given_up: row_54;
    every_reply_restarts_the_reply_timeout: row_54;
    the_reply_timeout_does_not_run_at_the_prompt: row_54;
    after_three_seconds_the_client_says_that_it_waits: row_54;
}

/// The client's words when the server has read nothing, and when all was read.
const UNREAD: &str = "the server has not read all that was sent";
const READ: &str = "all that was sent has been read, by the server or by another program that reads its pipe";

fn client<'s>(scene: &'s Scene, patience: &str) -> Launch<'s> {
    scene.client().args(["--timeout", "60s", "--reply-timeout", patience])
}

/// Checks that the client ends with status 1, and reports what it saw.
fn gives_up(client: &Program, seen: &str) {
    let message = starts_with("client: cannot wait any longer for a reply: ETIMEDOUT (nothing came for ");
    let hint = "try a longer --reply-timeout, or 0 to wait for ever";
    client.ends().code(1).stderr(message.and(contains(seen)).and(contains(hint)));
}

fn a_server_that_does_not_reply_is_given_up(scene: &Scene) {
    let mut server = scene.raw_server();
    // READY is a frame of 24 bytes, so the request stays in the pipe.
    server.reads_at_most(24);
    let asking = client(scene, "300ms").arg("hello").start();
    server.shake_hands();
    gives_up(&asking, UNREAD);
    server.reads_at_most(65_536);
    server.forget();
    let asking = client(scene, "300ms").args(["one", "two"]).start();
    server.shake_hands();
    server.receive(Kind::Request);
    server.receive(Kind::Request);
    gives_up(&asking, READ);
    server.end();
}

fn a_server_of_the_course_that_does_not_reply_is_given_up(scene: &Scene) {
    let mut server = scene.course_server();
    for reads in [false, true] {
        let asking = client(scene, "300ms").args(["--dialect", "course", "hello"]).start();
        server.acknowledge(ITS_A_ME);
        if reads {
            server.receive();
        }
        gives_up(&asking, if reads { READ } else { UNREAD });
        if !reads {
            server.make_wkp();
        }
    }
}

/// Like `cat mario`: the shared well-known pipe keeps its name, and another program of the same user may read
/// it.
fn a_request_that_another_program_read_is_given_up(scene: &Scene) {
    let server = scene.server(Paradigm::Shared).ready();
    let typing = client(scene, "2s").typing().start();
    typing.type_line("one");
    typing.prints("ONE\n");
    server.signal(Signal::SIGSTOP);
    typing.type_line("two");
    let mut cat = open_to_read(scene.path("mario"));
    until("the request", || cat.read(&mut [0; 4096]).ok().filter(|count| *count > 0));
    drop(cat);
    server.signal(Signal::SIGCONT);
    gives_up(&typing, READ);
}

/// All replies together take longer than the reply timeout.
fn every_reply_restarts_the_reply_timeout(scene: &Scene) {
    let _server = scene.server(Paradigm::Basic).args(["--service", "sleep:1500"]).ready();
    client(scene, "5s").args(["a", "b", "c", "d"]).run().success().stdout("a\nb\nc\nd\n").stderr("");
}

fn the_reply_timeout_does_not_run_at_the_prompt(scene: &Scene) {
    let _server = scene.server(Paradigm::Basic).ready();
    let typing = client(scene, "5s").typing().start();
    typing.type_line("one");
    typing.prints("ONE\n");
    // A client that cannot connect serves as a clock.
    scene.client().args(["--wkp", "none", "--timeout", "6s", "x"]).run().code(3);
    typing.type_line("two");
    typing.prints("ONE\nTWO\n");
    typing.leaves().stderr("");
}

fn after_three_seconds_the_client_says_that_it_waits(scene: &Scene) {
    let mut server = scene.raw_server();
    let patience = ["--timeout", "60s", "--reply-timeout", "60s"];
    let asking = scene.talking_client().args(patience).args(["one", "two"]).start();
    server.shake_hands();
    server.receive(Kind::Request);
    server.receive(Kind::Request);
    asking.says("client: waiting for a reply: all that was sent has been read\n");
    server.say(Kind::Reply, 1, Part::ONLY, b"ONE");
    server.say(Kind::Reply, 2, Part::ONLY, b"TWO");
    asking.ends().success().stdout("ONE\nTWO\n").stderr(contains("waiting").count(1));
    server.receive(Kind::Bye);
    let quiet = client(scene, "60s").arg("one").start();
    server.shake_hands();
    server.receive(Kind::Request);
    scene.client().args(["--wkp", "none", "--timeout", "4s", "x"]).run().code(3);
    server.say(Kind::Reply, 1, Part::ONLY, b"ONE");
    quiet.ends().success().stdout("ONE\n").stderr("");
    server.end();
}
