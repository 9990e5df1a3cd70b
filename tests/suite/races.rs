//! Clients that come at the same time, too late or too early, and PIDs that were used before.

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::another_client_is_served_soon;
use workspace_tests::wait::until_true;
use workspace_tests::{Barrier, Paradigm, Scene, each, tests};

each! {
    two_names_in_one_pipe_are_two_clients in basic forking dispatch shared: row_1;
    a_late_name_is_not_written in basic forking dispatch: row_2;
    a_late_name_written_against_the_rules_shows_an_error in basic forking dispatch: row_2 row_3;
    a_client_that_comes_before_its_server_waits_and_is_served in basic forking dispatch shared: row_5;
    a_client_between_two_well_known_pipes_ends_at_its_deadline in basic: row_5;
    the_pipes_of_a_dead_process_with_the_same_pid_are_no_obstacle in basic forking dispatch shared: row_34;
}

tests! {
    a_client_without_a_server_ends_at_its_deadline: row_5;
}

/// The server is held until both names are in its pipe. The first client keeps the pipe; the second gets a
/// fresh one.
fn two_names_in_one_pipe_are_two_clients(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).gated().start();
    server.step_until(What::Waiting);
    let clients = [(); 2].map(|()| scene.client().arg("hello").start());
    scene.event_log().wait_for_many(2, What::AwaitingAck, |_| true);
    server.go_on();
    for client in &clients {
        client.ends().success().stdout("HELLO\n").stderr("");
    }
    let step_6 = scene.event_log().all(|event| matches!(event.what, What::WkpRemoved | What::HelloReceived));
    let step_6: Vec<_> = step_6.iter().map(|event| event.what).collect();
    let removed = if paradigm.removes_wkp() { 1 } else { 0 };
    assert_eq!(step_6[removed..], [What::HelloReceived; 2], "both names came through one pipe: {step_6:?}");
    assert_eq!(step_6[..removed], [What::WkpRemoved][..removed]);
    assert_eq!(
        scene.event_log().all(|event| event.what == What::TryingAgain),
        [],
        "a client had to try again"
    );
    let fresh = scene.event_log().all(|event| event.what == What::UpstreamCreated);
    assert_eq!(fresh.len(), removed, "only the second client gets a fresh upstream");
}

/// The client opens the pipe before the server removes its name. The lock and the check of the name tell the
/// client that it is late.
fn a_late_name_is_not_written(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut late = scene.raw_client();
    late.open_wkp();
    another_client_is_served_soon(scene);
    assert!(!late.hello_on_open_pipe(), "a pipe that lost its name took a HELLO");
    late.shake_hands();
    late.request(1, b"one");
    assert_eq!(late.answer().payload, b"ONE");
    late.bye();
}

/// A program that ignores the lock and the check is not taken for a client. It gets an error, and need not
/// wait for ever.
fn a_late_name_written_against_the_rules_shows_an_error(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let mut late = scene.raw_client();
    late.open_wkp();
    // On a busy machine the client may still hold its lock when the server reads HELLO, and then gets a fresh
    // pipe.
    server.signal(Signal::SIGSTOP);
    let client = scene.client().typing().start();
    scene.event_log().wait_for(What::AwaitingAck, |_| true);
    server.signal(Signal::SIGCONT);
    client.type_line("one");
    client.prints("ONE\n");
    late.hello_against_the_rules();
    client.type_line("two");
    client.prints("ONE\nTWO\n");
    assert!(!late.shows_error(), "the other client still uses the pipe");
    client.leaves().stderr("");
    until_true("the late client's pipe to show an error", || late.shows_error());
    let error = late.tries_to_write(b"hello?").expect_err("the pipe has no reader");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(!late.has_answer());
    late.shake_hands();
    late.bye();
    drop(late);
    another_client_is_served_soon(scene);
}

fn a_client_that_comes_before_its_server_waits_and_is_served(scene: &Scene, paradigm: Paradigm) {
    let client = scene.client().args(["--timeout", "60s", "hello"]).start();
    scene.event_log().wait_for(What::PrivateCreated, |_| true);
    assert_eq!(scene.names().len(), 1, "only the private pipe exists");
    let _server = scene.server(paradigm).ready();
    client.ends().success().stdout("HELLO\n").stderr("");
}

fn a_client_between_two_well_known_pipes_ends_at_its_deadline(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let first = scene.served_client("one");
    let message = "client: cannot connect to \"mario\": ENOENT (no such pipe): is a server running";
    let second = scene.client().args(["--timeout", "300ms", "two"]).run();
    second.code(3).stdout("").stderr(predicate::str::starts_with(message));
    first.leaves().stdout("ONE\n");
}

fn a_client_without_a_server_ends_at_its_deadline(scene: &Scene) {
    // First there is no pipe, then a pipe that a dead server left.
    for (stands, obstacle) in [(false, "ENOENT (no such pipe)"), (true, "ENXIO (no reader)")] {
        if stands {
            scene.make_fifo("mario");
        }
        let message = format!("client: cannot connect to \"mario\": {obstacle}: is a server running");
        let client = scene.client().args(["--timeout", "300ms", "hello"]).run();
        client.code(3).stdout("").stderr(predicate::str::starts_with(message));
    }
    assert_eq!(scene.names(), ["mario"], "a private pipe was left");
    std::fs::remove_file(scene.path("mario")).expect("the path exists");
}

/// A barrier holds both programs, so the test knows their PIDs before they begin.
fn the_pipes_of_a_dead_process_with_the_same_pid_are_no_obstacle(scene: &Scene, paradigm: Paradigm) {
    let barrier = Barrier::new();
    let server = scene.server(paradigm).behind(&barrier).start();
    let client = scene.client().arg("hello").behind(&barrier).start();
    let next = format!("mario.new.{}.0123456789abcdef", server.pid());
    let fresh = format!("mario.up.{}.0123456789abcdef", server.pid());
    let private = format!("mario.client.{}.0123456789abcdef", client.pid());
    [&next, &fresh, &private].into_iter().for_each(|name| scene.make_fifo(name));
    barrier.open();
    client.ends().success().stdout("HELLO\n").stderr("");
    until_true("the server to remove the pipes with its own PID", || {
        scene.names().iter().all(|name| *name != next && *name != fresh)
    });
    // The server removes the client's pipe when it ends; the census checks that.
    assert!(scene.path(&private).exists(), "the client removed another process's pipe");
}
