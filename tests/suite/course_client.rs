//! Our client with the programs of the course: `client --dialect course` with a server that the test
//! controls. It sends what such programs send.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use handshake_core::course::{HOLA, ITS_A_ME, RECORD_MAX, padded, text_of};
use handshake_core::event::What;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use workspace_tests::steps::course::{client, let_700_ms_pass, serves};
use workspace_tests::steps::noise;
use workspace_tests::{Barrier, Scene, tests};

tests! {
    each_acknowledgement_has_its_third_step;
    the_handshake_option_overrides_the_guess;
    an_acknowledgement_may_be_anything;
    the_name_is_a_record_of_ten_bytes_or_more;
    the_name_is_sent_in_the_form_of_the_option;
    with_newline_the_client_sends_and_expects_a_newline;
    a_server_may_do_nothing_but_shake_hands;
    course_options_need_the_course_dialect;
    the_steps_have_the_courses_numbers;
    unsolicited_records_are_discarded;
    no_message_is_sent_before_the_third_step_is_read;
    the_client_sends_one_message_at_a_time;
    a_long_message_is_one_write_and_a_longer_one_is_refused;
    a_small_pipe_takes_small_messages;
    a_message_with_a_nul_is_refused;
    raw_is_one_message_of_several_lines;
    clients_at_one_instant_take_turns_at_the_pipe: row_1;
    a_client_writes_no_name_beside_another_name: row_1;
    a_pipe_that_keeps_its_name_serves_several_clients;
}

/// Runs a client with these options. The server sends this acknowledgement, and expects this third step.
fn is_answered_by(scene: &Scene, options: &[&str], ack: impl Fn(&str) -> Vec<u8>, step: Option<Vec<u8>>) {
    let mut server = scene.course_server();
    let client = client(scene, options).arg("hello").start();
    let name = server.receive_name();
    server.remove_wkp();
    let ack = ack(&String::from_utf8_lossy(text_of(&name)));
    server.say(&ack);
    if let Some(step) = step {
        assert_eq!(server.receive(), step, "the third step");
    }
    serves(&mut server, "hello");
    client.ends().success().stdout("HELLO\n").stderr("");
    server.wait_until_client_leaves();
}

/// Acknowledgements of known programs, and some others.
fn each_acknowledgement_has_its_third_step(scene: &Scene) {
    for ack in [padded(HOLA, 5), padded(HOLA, 10), padded(HOLA, 1000), HOLA.to_vec(), b"connected".to_vec()] {
        is_answered_by(scene, &[], |_| ack.clone(), Some(ack.clone()));
    }
    for size in [10, 100] {
        is_answered_by(scene, &[], |name| padded(name.as_bytes(), size), Some(padded(HOLA, size)));
        is_answered_by(scene, &[], |_| padded(b"41", size), Some(padded(b"42", size)));
    }
    let number = 31_337_i32;
    is_answered_by(scene, &[], |_| number.to_ne_bytes().to_vec(), Some((number + 1).to_ne_bytes().to_vec()));
    is_answered_by(scene, &[], |_| padded(ITS_A_ME, 100), None);
}

fn the_handshake_option_overrides_the_guess(scene: &Scene) {
    is_answered_by(scene, &["--handshake", "2"], |_| padded(HOLA, 5), None);
    is_answered_by(scene, &["--handshake", "3"], |_| padded(ITS_A_ME, 100), Some(padded(ITS_A_ME, 100)));
    is_answered_by(scene, &["--handshake", "auto"], |_| padded(HOLA, 10), Some(padded(HOLA, 10)));
}

/// The acknowledgement makes no sense. The client treats it like any other.
fn an_acknowledgement_may_be_anything(scene: &Scene) {
    for ack in [b"\0".to_vec(), vec![0; 100], noise(5), noise(1000), vec![b'x'; 65_536]] {
        is_answered_by(scene, &[], |_| ack.clone(), Some(ack.clone()));
    }
}

fn the_name_is_a_record_of_ten_bytes_or_more(scene: &Scene) {
    let mut server = scene.course_server();
    let anonymous = client(scene, &["hello"]).start();
    assert_eq!(server.acknowledge(ITS_A_ME), padded(anonymous.pid().to_string().as_bytes(), 10));
    serves(&mut server, "hello");
    anonymous.ends().success();
    for (name, size) in [("luigi", 10), ("ten-bytes-", 11), ("the-one-name-that-I-know", 25)] {
        server.make_wkp();
        let named = client(scene, &["--private-name", name, "hello"]).start();
        assert_eq!(server.acknowledge(ITS_A_ME), padded(name.as_bytes(), size));
        serves(&mut server, "hello");
        named.ends().success().stdout("HELLO\n");
    }
}

fn the_name_is_sent_in_the_form_of_the_option(scene: &Scene) {
    let mut server = scene.course_server();
    let here = scene.place().canonicalize().expect("the path exists");
    let wkp = scene.path("mario");
    for (form, named) in [("path", scene.place()), ("absolute", &here)] {
        let client = client(scene, &["--name-form", form]).arg("--wkp").arg(&wkp).arg("hello").start();
        let name = named.join(client.pid().to_string()).into_os_string().into_vec();
        assert_eq!(server.acknowledge(ITS_A_ME), padded(&name, name.len() + 1));
        serves(&mut server, "hello");
        client.ends().success().stdout("HELLO\n");
        server.make_wkp();
    }
    // A server that acknowledges with the name expects HOLA, in whatever form it got the name.
    let client = client(scene, &["--name-form", "absolute", "hello"]).start();
    let name = here.join(client.pid().to_string()).into_os_string().into_vec();
    server.acknowledge(&padded(&name, 200));
    assert_eq!(server.receive(), padded(HOLA, 200));
    serves(&mut server, "hello");
    client.ends().success();
}

fn with_newline_the_client_sends_and_expects_a_newline(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["--newline", "hello"]).start();
    server.acknowledge(ITS_A_ME);
    assert_eq!(server.receive(), b"hello\n\0");
    server.say(&padded(b"HELLO\n", 100));
    client.ends().success().stdout("HELLO\n");
}

/// The server leaves. That is no error for a client without messages.
fn a_server_may_do_nothing_but_shake_hands(scene: &Scene) {
    let mut server = scene.course_server();
    for (messages, status) in [(&[][..], 0), (&["hello"], 1)] {
        let client = client(scene, messages).start();
        server.acknowledge(HOLA);
        assert_eq!(server.receive(), HOLA);
        server.leave();
        client.ends().code(status).stdout("");
        if status == 0 {
            server.make_wkp();
        }
    }
}

fn course_options_need_the_course_dialect(scene: &Scene) {
    for options in [&["--newline"][..], &["--name-form", "path"]] {
        let wrong = contains(format!("{} is for --dialect course", options[0]));
        scene.client().args(options).arg("hello").run().code(2).stderr(wrong);
    }
    let both = ["--name-form", "number", "--private-name", "luigi", "hello"];
    client(scene, &both).run().code(2).stderr(contains("--name-form number is the process number"));
}

/// The steps have the course's numbers, in their order. There is no record that the course does not have.
fn the_steps_have_the_courses_numbers(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["hello"]).start();
    server.acknowledge(b"HOLA\0");
    assert_eq!(server.receive(), b"HOLA\0");
    serves(&mut server, "hello");
    client.ends().success();
    let steps: Vec<_> = client.events().iter().map(|event| (event.step, event.what)).collect();
    let expected = [
        (Some(3), What::PrivateCreated),
        (Some(4), What::WkpOpened),
        (Some(4), What::HelloSent),
        (Some(5), What::AwaitingAck),
        (Some(8), What::AckReceived),
        (Some(8), What::PrivateRemoved),
        (None, What::ReadySent),
        (None, What::RequestSent),
        (None, What::ReplyReceived),
    ];
    assert_eq!(steps, expected);
}

/// A server that knows no third step took it for a message, and answered.
fn unsolicited_records_are_discarded(scene: &Scene) {
    let mut server = scene.course_server();
    let confirming = client(scene, &["hello"]).gated().start();
    confirming.step_until(What::AwaitingAck);
    server.acknowledge(b"HOLA\0");
    confirming.step_until(What::ReadySent);
    assert_eq!(server.receive(), b"HOLA\0");
    server.say(b"hola\0");
    confirming.go_on();
    serves(&mut server, "hello");
    confirming.ends().success().stdout("HELLO\n");
    // The same without a third step.
    server.make_wkp();
    let hasty = client(scene, &["--handshake", "2", "hello"]).gated().start();
    hasty.step_until(What::AwaitingAck);
    server.acknowledge(b"HOLA\0");
    hasty.step_until(What::AckReceived);
    server.say(b"welcome\0");
    hasty.go_on();
    serves(&mut server, "hello");
    hasty.ends().success().stdout("HELLO\n");
    // The same later, while no request is unanswered.
    server.make_wkp();
    let typing = client(scene, &[]).typing().start();
    server.acknowledge(ITS_A_ME);
    typing.type_line("one");
    serves(&mut server, "one");
    typing.prints("ONE\n");
    server.say(b"by the way\0");
    scene.event_log().wait_for(What::Skipped, |event| event.text.as_deref() == Some("by the way"));
    typing.type_line("two");
    serves(&mut server, "two");
    typing.prints("ONE\nTWO\n");
    typing.leaves();
}

/// A server that is stopped there, or slow, would read two records at once, and lose the second.
fn no_message_is_sent_before_the_third_step_is_read(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["hello"]).start();
    server.acknowledge(b"HOLA\0");
    let sent = scene.event_log().wait_for(What::ReadySent, |_| true);
    assert_eq!(sent.text.as_deref(), Some("HOLA"));
    let_700_ms_pass();
    assert!(scene.event_log().all(|event| event.what == What::RequestSent).is_empty());
    assert_eq!(server.receive(), b"HOLA\0", "the server got more than the third step");
    serves(&mut server, "hello");
    client.ends().success().stdout("HELLO\n");
}

fn the_client_sends_one_message_at_a_time(scene: &Scene) {
    let mut server = scene.course_server();
    let client = scene
        .client()
        .args(["--dialect", "course", "--timeout", "300ms", "one", "", "three"])
        .gated()
        .start();
    client.step_until(What::AwaitingAck);
    server.acknowledge(ITS_A_ME);
    client.go_on();
    assert_eq!(server.receive(), b"one\0");
    // The timeout is for the handshake; a reply may take longer.
    let_700_ms_pass();
    assert_eq!(server.received(), None, "the client sent another message before the reply");
    server.say(b"1\0");
    assert_eq!(server.receive(), b"\0", "an empty message is a record as well");
    server.say(b"\0");
    assert_eq!(server.receive(), b"three\0");
    // Without a NUL, as some programs send it.
    server.say(b"3");
    client.ends().success().stdout("1\n\n3\n").stderr("");
}

fn a_long_message_is_one_write_and_a_longer_one_is_refused(scene: &Scene) {
    let mut server = scene.course_server();
    let longest = "x".repeat(RECORD_MAX - 1);
    let lines = format!("{}\n{longest}\n{longest}x\nlast\n", "y".repeat(10_000));
    let client = client(scene, &[]).reading(&lines).start();
    server.acknowledge(ITS_A_ME);
    assert_eq!(server.receive(), padded(&[b'y'; 10_000], 10_001));
    server.say(&[b'Y'; 10_000]);
    assert_eq!(server.receive(), padded(longest.as_bytes(), RECORD_MAX));
    server.say(b"\0");
    serves(&mut server, "last");
    let message = format!("client: cannot send a message of more than {} bytes: EMSGSIZE (", RECORD_MAX - 1);
    client.ends().code(1).stdout(format!("{}\n\nLAST\n", "Y".repeat(10_000))).stderr(starts_with(message));
}

fn a_small_pipe_takes_small_messages(scene: &Scene) {
    let mut server = scene.course_server();
    server.shrink_wkp();
    let fits = "x".repeat(4095);
    let client = client(scene, &[&format!("{fits}x"), &fits]).start();
    server.acknowledge(ITS_A_ME);
    assert_eq!(server.receive(), padded(fits.as_bytes(), 4096));
    server.say(b"yes\0");
    client
        .ends()
        .code(1)
        .stdout("yes\n")
        .stderr(contains("4096 bytes: EMSGSIZE").and(contains("takes 4095")));
}

fn a_message_with_a_nul_is_refused(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &[]).reading("one\0two\nthree\n").start();
    server.acknowledge(ITS_A_ME);
    serves(&mut server, "three");
    let message = "client: cannot send a message of 7 bytes: EINVAL (it contains a NUL, ";
    client.ends().code(1).stdout("THREE\n").stderr(starts_with(message).and(contains("--dialect framed")));
}

fn raw_is_one_message_of_several_lines(scene: &Scene) {
    let mut server = scene.course_server();
    let client = client(scene, &["--raw"]).reading("one\ntwo\n").start();
    server.acknowledge(ITS_A_ME);
    serves(&mut server, "one\ntwo\n");
    client.ends().success().stdout("ONE\nTWO\n").stderr("");
}

/// A server of the course reads once, and takes all bytes for one name.
fn clients_at_one_instant_take_turns_at_the_pipe(scene: &Scene) {
    const CLIENTS: usize = 8;
    let mut server = scene.course_server();
    let barrier = Barrier::new();
    let start = |number| client(scene, &[&format!("hello {number}")]).behind(&barrier).start();
    let clients: Vec<_> = (0..CLIENTS).map(start).collect();
    barrier.open();
    for served in 0..CLIENTS {
        let name = server.receive_name();
        assert_eq!(name.len(), 10, "one name: {:?}", String::from_utf8_lossy(&name));
        // Some clients still find the old pipe's name.
        if served % 2 == 0 {
            server.say(ITS_A_ME);
            server.remove_wkp();
        } else {
            server.remove_wkp();
            server.say(ITS_A_ME);
        }
        let message = server.receive();
        server.say(&message);
        server.wait_until_client_leaves();
        server.make_wkp();
    }
    for (number, client) in clients.iter().enumerate() {
        client.ends().success().stdout(format!("hello {number}\n"));
    }
    server.remove_wkp();
}

/// A program of the course has written its name, and the server has not read it yet.
fn a_client_writes_no_name_beside_another_name(scene: &Scene) {
    let mut server = scene.course_server();
    let wkp = OpenOptions::new().write(true).open(scene.path("mario")).expect("the pipe has a reader");
    (&wkp).write_all(b"first\0").expect("there is room");
    let second = client(scene, &["hello"]).start();
    scene.event_log().wait_for(What::PrivateCreated, |_| true);
    let_700_ms_pass();
    assert_eq!(server.receive(), b"first\0", "the second client wrote its name beside the first");
    drop(wkp);
    server.acknowledge(ITS_A_ME);
    serves(&mut server, "hello");
    second.ends().success();
}

/// One known server never removes its well-known pipe, and serves several clients there.
fn a_pipe_that_keeps_its_name_serves_several_clients(scene: &Scene) {
    let mut server = scene.course_server();
    let typing = client(scene, &[]).typing().start();
    server.receive_name();
    server.say(ITS_A_ME);
    typing.type_line("one");
    serves(&mut server, "one");
    typing.prints("ONE\n");
    let _first = server.hand_over();
    let second = client(scene, &["two"]).start();
    server.receive_name();
    server.say(ITS_A_ME);
    serves(&mut server, "two");
    second.ends().success().stdout("TWO\n");
    server.remove_wkp();
    typing.leaves();
}
