//! Our client with a course server that is silent, leaves or speaks another protocol. The client ends in
//! time, says what it saw and what to try, and leaves nothing.

use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use handshake_core::course::{ITS_A_ME, padded};
use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::pipe::open_to_read;
use workspace_tests::steps::HANDSHAKE;
use workspace_tests::steps::course::{client, let_700_ms_pass, serves};
use workspace_tests::{CourseServer, Paradigm, Program, Scene, tests};

tests! {
    a_silent_server_is_given_up_at_the_timeout;
    a_failed_handshake_says_how_far_the_server_came: row_54;
    an_unread_third_step_is_given_up_at_the_timeout;
    a_third_step_that_the_pipe_cannot_take_whole_is_not_written;
    a_client_that_is_sent_away_tries_again;
    a_server_that_always_sends_the_client_away_is_given_up;
    a_server_that_read_the_name_and_left_is_reported;
    a_client_whose_server_leaves_reports_the_reason;
    a_server_that_stops_reading_is_noticed_with_the_next_message;
    a_server_that_leaves_after_the_last_reply_is_no_error;
    a_private_name_that_is_in_use_is_left_unchanged: row_34;
    a_client_whose_pid_is_in_use_takes_another_number: row_34;
    a_client_that_is_asked_to_end_leaves_nothing;
    a_framed_client_reports_what_a_course_server_said;
    a_server_without_the_course_dialect_is_given_up;
    a_course_client_without_a_server_ends_at_its_deadline;
}

/// Far more than any timeout here, for a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Returns a client that is held after its name. Its timeout of 300 ms has not begun.
fn waiting_client(scene: &Scene) -> Rc<Program> {
    let client = scene.client().args(["--dialect", "course", "--timeout", "300ms", "hello"]).gated().start();
    client.step_until(What::AwaitingAck);
    client
}

/// Returns a client that is held after the third step.
fn confirming_client(scene: &Scene, server: &mut CourseServer) -> Rc<Program> {
    let client = client(scene, &["hello"]).gated().start();
    client.step_until(What::AwaitingAck);
    server.acknowledge(b"HOLA\0");
    client.step_until(What::ReadySent);
    client
}

/// Checks that the client ends with status 1, and reports this. Behind it may stand what the server does, as
/// far as the client may see this process.
fn says(client: &Program, seen: &str, hint: &str) {
    let message = starts_with("client: cannot connect to \"mario\": no answer in time (");
    let seen = seen.trim_end_matches(')');
    client.ends().code(1).stdout("").stderr(message.and(contains(seen)).and(contains(hint)));
}

fn a_silent_server_is_given_up_at_the_timeout(scene: &Scene) {
    let mut server = scene.course_server();
    let client = waiting_client(scene);
    let name = client.pid().to_string();
    // The server opens the private pipe, and writes nothing.
    server.receive_name();
    client.go_on();
    let seen = format!("(the server opened the private pipe {name:?} and wrote nothing)");
    says(&client, &seen, "a longer --timeout");
    assert_eq!(scene.names(), ["mario"]);
    server.remove_wkp();
}

/// The client can see which ends of its pipes a server opened, and whether the server read the name.
fn a_failed_handshake_says_how_far_the_server_came(scene: &Scene) {
    let mut server = scene.course_server();
    let client = waiting_client(scene);
    client.go_on();
    let name = client.pid().to_string();
    says(&client, &format!("(the server has not read the name {name:?})"), "a longer --timeout");
    server.receive();
    for opens_to_read in [false, true] {
        let client = waiting_client(scene);
        let name = client.pid().to_string();
        server.receive();
        // The usual mistake is to open the private pipe with O_RDONLY.
        let opened = opens_to_read.then(|| open_to_read(scene.path(&name)));
        client.go_on();
        let seen = format!("(the name {name:?} was read, and nothing opened that pipe for writing)");
        says(&client, &seen, "--private-name");
        drop(opened);
    }
    server.remove_wkp();
}

fn an_unread_third_step_is_given_up_at_the_timeout(scene: &Scene) {
    let mut server = scene.course_server();
    let client = waiting_client(scene);
    server.acknowledge(b"HOLA\0");
    client.go_on();
    says(&client, "(the server said \"HOLA\", and reads no third step)", "try --handshake 2");
}

fn a_third_step_that_the_pipe_cannot_take_whole_is_not_written(scene: &Scene) {
    let mut server = scene.course_server();
    server.shrink_wkp();
    let client = client(scene, &["hello"]).start();
    server.acknowledge(&[b'x'; 4097]);
    client.ends().code(1).stdout("").stderr(contains("at the third step: EMSGSIZE"));
    assert_eq!(server.received(), None, "the client wrote a part of the third step");
}

/// A server sends the client away because it is busy. The client tries again, and prints nothing.
fn a_client_that_is_sent_away_tries_again(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["hello"]).start();
    let name = server.receive_name();
    server.close();
    assert_eq!(server.receive_name(), name, "the client sends the same name again");
    server.remove_wkp();
    // The pipe's reader leaves without an answer.
    server.make_wkp();
    assert_eq!(server.acknowledge(ITS_A_ME), name);
    serves(&mut server, "hello");
    client.ends().success().stdout("HELLO\n").stderr("");
    let again = scene.event_log().all(|event| event.what == What::TryingAgain);
    assert!(again.len() >= 2, "{again:?}");
}

fn a_server_that_always_sends_the_client_away_is_given_up(scene: &Scene) {
    let mut server = scene.course_server();
    let client = waiting_client(scene);
    client.go_on();
    let since = Instant::now();
    while client.is_running() {
        if let Some(name) = server.received() {
            server.may_connect(&name);
            server.close();
        }
        assert!(since.elapsed() < SOON, "the client tries for ever");
    }
    says(&client, "(the server opened the private pipe and closed it again", "--dialect framed");
    assert_eq!(scene.names(), ["mario"]);
    server.remove_wkp();
}

/// At the deadline there is no server, but there was one.
fn a_server_that_read_the_name_and_left_is_reported(scene: &Scene) {
    let mut server = scene.course_server();
    let client = waiting_client(scene);
    server.receive();
    server.remove_wkp();
    server.leave();
    client.go_on();
    says(&client, "(the server closed the well-known pipe)", "try again");
}

/// The client reports at once that the server has left, whenever that happens.
fn a_client_whose_server_leaves_reports_the_reason(scene: &Scene) {
    let lost = |client: &Program, words: &str| {
        client
            .ends()
            .code(1)
            .stdout("")
            .stderr(starts_with("client: the connection is ").and(contains(words)));
    };
    let mut server = scene.course_server();
    // With the third step unread, and with the third step read.
    let confirming = confirming_client(scene, &mut server);
    server.leave();
    confirming.go_on();
    lost(&confirming, "before it read the third step");
    server.make_wkp();
    let confirming = confirming_client(scene, &mut server);
    server.receive();
    server.close();
    confirming.go_on();
    lost(&confirming, "the server has closed its pipe");
    server.make_wkp();
    let confirming = confirming_client(scene, &mut server);
    server.receive();
    server.stop_reading();
    confirming.go_on();
    lost(&confirming, "the server has closed the pipe from us");
    // With an unanswered message.
    server.make_wkp();
    let asking = client(scene, &["hello"]).start();
    server.acknowledge(ITS_A_ME);
    assert_eq!(server.receive(), b"hello\0");
    server.leave();
    lost(&asking, "with 1 unanswered: the server has closed its pipe");
}

/// The server neither reads nor ends. The client must check for the error, or it would wait for ever.
fn a_server_that_stops_reading_is_noticed_with_the_next_message(scene: &Scene) {
    let mut server = scene.course_server();
    let typing = client(scene, &[]).typing().start();
    server.acknowledge(ITS_A_ME);
    typing.type_line("one");
    serves(&mut server, "one");
    typing.prints("ONE\n");
    server.stop_reading();
    typing.type_line("two");
    typing.ends().code(1).stdout("ONE\n").stderr(contains("the connection is over").and(contains("EPIPE")));
}

/// The client has all its answers when the server leaves.
fn a_server_that_leaves_after_the_last_reply_is_no_error(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["hello"]).start();
    server.acknowledge(ITS_A_ME);
    serves(&mut server, "hello");
    server.leave();
    client.ends().success().stdout("HELLO\n").stderr("");
}

fn a_private_name_that_is_in_use_is_left_unchanged(scene: &Scene) {
    let server = scene.course_server();
    fs::write(scene.path("file"), "of value").expect("a file");
    fs::create_dir(scene.path("directory")).expect("a directory");
    std::os::unix::fs::symlink("file", scene.path("link")).expect("a link");
    scene.make_fifo("pipe");
    let before = scene.names();
    for name in ["file", "directory", "link", "pipe"] {
        let message = format!("client: cannot make the private pipe \"./{name}\": EEXIST (");
        let left = contains("it is left as it is").and(contains("another --private-name"));
        client(scene, &["--private-name", name, "hello"])
            .run()
            .code(3)
            .stdout("")
            .stderr(starts_with(message).and(left));
        assert_eq!(scene.names(), before);
    }
    assert_eq!(fs::read_to_string(scene.path("file")).expect("the path exists"), "of value");
    server.remove_wkp();
    // A client with the well-known pipe's name must not connect to itself.
    let message = contains("EINVAL").and(contains("it is the well-known pipe's name"));
    client(scene, &["--private-name", "mario", "hello"]).run().code(3).stdout("").stderr(message);
    for name in ["file", "link", "pipe"] {
        fs::remove_file(scene.path(name)).expect("the path exists");
    }
    fs::remove_dir(scene.path("directory")).expect("the path exists");
}

/// A killed client has left its pipe, and the kernel has used its PID again.
fn a_client_whose_pid_is_in_use_takes_another_number(scene: &Scene) {
    let mut server = scene.course_server();
    // The shell becomes the client.
    let before = ["sh", "-c", "mkfifo $$ $(($$ + 4194304)) && exec \"$0\" \"$@\""];
    let client = client(scene, &["hello"]).through(before).start();
    let next = |times: u32| client.pid() + times * 4_194_304;
    assert_eq!(server.acknowledge(ITS_A_ME), padded(next(2).to_string().as_bytes(), 10));
    serves(&mut server, "hello");
    client.ends().success().stdout("HELLO\n");
    let left = [next(0), next(1)].map(|number| number.to_string());
    for name in &left {
        fs::remove_file(scene.path(name)).expect("the path exists");
    }
}

/// The signal comes at each step.
fn a_client_that_is_asked_to_end_leaves_nothing(scene: &Scene) {
    let mut server = scene.course_server();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        for step in HANDSHAKE.into_iter().chain([What::RequestSent]) {
            let client = client(scene, &["hello"]).gated().start();
            if step == What::PrivateCreated || step == What::WkpOpened {
                client.step_until(step);
            } else {
                client.step_until(What::HelloSent);
                server.receive_name();
                server.say(b"HOLA\0");
                if step == What::RequestSent {
                    client.step_until(What::ReadySent);
                    server.receive();
                }
                if step != What::HelloSent {
                    client.step_until(step);
                }
            }
            client.signal(signal);
            client.go_on();
            client.ends_by(signal).stdout("");
            assert_eq!(scene.names(), ["mario"], "left by {signal} after {step:?}");
            // The next client must not read what this one has written.
            server.remove_wkp();
            server.make_wkp();
        }
    }
    server.remove_wkp();
}

/// A course server does not understand a HELLO. This one finds the private pipe anyway.
fn a_framed_client_reports_what_a_course_server_said(scene: &Scene) {
    let mut server = scene.course_server();
    for (said, seen, hint) in [
        (
            Some(&b"HOLA\0"[..]),
            "(the server said \"HOLA\", which is no frame of this protocol)",
            "try --dialect course",
        ),
        (
            Some(&padded(ITS_A_ME, 100)),
            "(the server said \"its-a-me, mario!\", which",
            "try --dialect course",
        ),
        (None, "(the HELLO was read, and not answered: ", "or with --dialect course"),
    ] {
        let client = scene.client().args(["--timeout", "300ms", "hello"]).gated().start();
        client.step_until(What::AwaitingAck);
        server.receive();
        if let Some(said) = said {
            let names = scene.names();
            server.connect(
                names.iter().find(|name| name.contains(".client.")).expect("the private pipe exists"),
            );
            server.say(said);
        }
        client.go_on();
        says(&client, seen, hint);
        assert_eq!(scene.names(), ["mario"]);
    }
    server.remove_wkp();
}

/// This server serves no client that sends a bare name.
fn a_server_without_the_course_dialect_is_given_up(scene: &Scene) {
    let server = scene.server(Paradigm::Shared).ready();
    let client = scene.client().args(["--dialect", "course", "--timeout", "300ms", "hello"]).start();
    says(&client, "(the server opened the private pipe and closed it again", "--dialect framed");
    assert!(server.is_running());
    scene.serves("hello", "HELLO");
}

/// Without a server the client ends at its deadline with status 3, since no server read the name.
fn a_course_client_without_a_server_ends_at_its_deadline(scene: &Scene) {
    let options = ["--dialect", "course", "--timeout", "300ms", "hello"];
    scene.client().args(options).run().code(3).stderr(contains("ENOENT (no such pipe)"));
    let mut server = scene.course_server();
    server.leave();
    scene.client().args(options).run().code(3).stderr(contains("ENXIO (no reader)"));
    assert_eq!(scene.names(), ["mario"]);
    // The server comes late.
    let client = client(scene, &["hello"]).start();
    scene.event_log().wait_for(What::PrivateCreated, |event| event.pid == client.pid());
    let_700_ms_pass();
    server.open_wkp();
    server.acknowledge(ITS_A_ME);
    serves(&mut server, "hello");
    client.ends().success();
}
