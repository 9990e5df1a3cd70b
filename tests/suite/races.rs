//! Who comes at which moment: two at once, too late, too early, and with a number that somebody else had before.

use handshake_core::event::What;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use predicates::prelude::*;
use workspace_tests::wait::until_true;
use workspace_tests::{Barrier, Paradigm, Scene, each, stories};

use crate::held::another_is_served_soon;

each! {
    two_names_in_one_pipe_are_two_clients in basic forking dispatch shared: row_1;
    a_late_name_is_not_written in basic forking dispatch: row_2;
    a_late_name_written_against_the_rules_shows_an_error in basic forking dispatch: row_2 row_3;
    whoever_comes_first_waits_and_is_served in basic forking dispatch shared: row_5;
    between_two_well_known_pipes_the_deadline_says_so in basic: row_5;
    what_a_dead_process_of_our_number_left_is_no_obstacle in basic forking dispatch shared: row_34;
}

stories! {
    where_nobody_serves_the_deadline_says_so: row_5;
}

/// The server stands still until both names are in its pipe. The first keeps the pipe; the second gets one of its own.
fn two_names_in_one_pipe_are_two_clients(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).gated().start();
    server.step_until(What::Waiting);
    let clients = [(); 2].map(|()| scene.client().arg("hello").start());
    scene.record().wait_for_many(2, What::AwaitingAck, |_| true);
    server.go_on();
    for client in &clients {
        client.ends().success().stdout("HELLO\n").stderr("");
    }
    let step_6 = scene.record().all(|event| matches!(event.what, What::WkpRemoved | What::HelloReceived));
    let step_6: Vec<_> = step_6.iter().map(|event| event.what).collect();
    let removed = if paradigm.removes_wkp() { 1 } else { 0 };
    assert_eq!(step_6[removed..], [What::HelloReceived; 2], "both came through one pipe: {step_6:?}");
    assert_eq!(step_6[..removed], [What::WkpRemoved][..removed]);
    assert_eq!(scene.record().all(|event| event.what == What::TryingAgain), [], "nobody was lost");
    let fresh = scene.record().all(|event| event.what == What::UpstreamCreated);
    assert_eq!(fresh.len(), removed, "the second one's own pipe");
    scene.end();
}

/// It has the pipe open from before the server took its name. The lock and the look at the name tell it.
fn a_late_name_is_not_written(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).ready();
    let mut late = scene.raw_client();
    late.open_wkp();
    another_is_served_soon(&scene);
    assert!(!late.says_hello_where_it_is(), "a pipe that was the well-known one still has a name");
    late.shake_hands();
    late.request(1, b"one");
    assert_eq!(late.answer().payload, b"ONE");
    late.bye();
    drop(late);
    scene.end();
}

/// As a program would that knows neither lock nor look: nobody takes it for a client, and it need not wait for ever.
fn a_late_name_written_against_the_rules_shows_an_error(paradigm: Paradigm) {
    let scene = Scene::new();
    let server = scene.server(paradigm).ready();
    let mut late = scene.raw_client();
    late.open_wkp();
    // On a busy machine the client may be in the middle of its HELLO for so long that nobody keeps the pipe.
    server.signal(Signal::SIGSTOP);
    let client = scene.client().typing().start();
    scene.record().wait_for(What::AwaitingAck, |_| true);
    server.signal(Signal::SIGCONT);
    client.type_line("one");
    client.prints("ONE\n");
    late.says_hello_come_what_may();
    client.type_line("two");
    client.prints("ONE\nTWO\n");
    assert!(!late.shows_error(), "its pipe is the other client's, who is still there");
    client.close_stdin();
    client.ends().success().stderr("");
    until_true("the error that the late one waits for", || late.shows_error());
    let error = late.tries_to_write(b"hello?").expect_err("nobody reads it");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(!late.has_answer());
    late.shake_hands();
    late.bye();
    drop(late);
    another_is_served_soon(&scene);
    scene.end();
}

fn whoever_comes_first_waits_and_is_served(paradigm: Paradigm) {
    let scene = Scene::new();
    let client = scene.client().args(["--timeout", "60s", "hello"]).start();
    scene.record().wait_for(What::PrivateCreated, |_| true);
    assert_eq!(scene.names().len(), 1, "its private pipe, and no server's");
    let _server = scene.server(paradigm).ready();
    client.ends().success().stdout("HELLO\n").stderr("");
    scene.end();
}

fn between_two_well_known_pipes_the_deadline_says_so(paradigm: Paradigm) {
    let scene = Scene::new();
    let _server = scene.server(paradigm).ready();
    let first = scene.client().typing().start();
    first.type_line("one");
    first.prints("ONE\n");
    let message = "client: cannot connect to \"mario\": ENOENT (no such pipe): is a server running";
    let second = scene.client().args(["--timeout", "300ms", "two"]).run();
    second.code(3).stdout("").stderr(predicate::str::starts_with(message));
    first.close_stdin();
    first.ends().success().stdout("ONE\n");
    scene.end();
}

fn where_nobody_serves_the_deadline_says_so() {
    let scene = Scene::new();
    // Where there is no pipe, and at one that a dead server left.
    for (stands, obstacle) in [(false, "ENOENT (no such pipe)"), (true, "ENXIO (no reader)")] {
        if stands {
            make_fifo(&scene, "mario");
        }
        let message = format!("client: cannot connect to \"mario\": {obstacle}: is a server running");
        let client = scene.client().args(["--timeout", "300ms", "hello"]).run();
        client.code(3).stdout("").stderr(predicate::str::starts_with(message));
    }
    assert_eq!(scene.names(), ["mario"], "a private pipe was left");
    std::fs::remove_file(scene.path("mario")).expect("it is there");
    scene.end();
}

/// Each is behind a barrier, so its number is known before it begins.
fn what_a_dead_process_of_our_number_left_is_no_obstacle(paradigm: Paradigm) {
    let scene = Scene::new();
    let barrier = Barrier::new();
    let server = scene.server(paradigm).behind(&barrier).start();
    let client = scene.client().arg("hello").behind(&barrier).start();
    let next = format!("mario.new.{}.0123456789abcdef", server.pid());
    let fresh = format!("mario.up.{}.0123456789abcdef", server.pid());
    let private = format!("mario.client.{}.0123456789abcdef", client.pid());
    [&next, &fresh, &private].into_iter().for_each(|name| make_fifo(&scene, name));
    barrier.open();
    client.ends().success().stdout("HELLO\n").stderr("");
    until_true("the server's own to be gone, which it knows are nobody's", || {
        scene.names().iter().all(|name| *name != next && *name != fresh)
    });
    // The client's is swept when the server ends, which the census sees.
    assert!(scene.path(&private).exists(), "it is not the client's to remove");
    scene.end();
}

fn make_fifo(scene: &Scene, name: &str) {
    mkfifo(&scene.path(name), Mode::S_IRUSR | Mode::S_IWUSR).expect("a new pipe");
}
