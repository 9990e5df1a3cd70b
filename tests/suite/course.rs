//! Clients of the course dialect that the test controls: the forms that they may send, and the answers that
//! they get.

use handshake_core::event::{Event, What};
use handshake_core::wire::PAYLOAD_MAX;
use nix::sys::signal::Signal;
use predicates::str::contains;
use workspace_tests::steps::course::is_confirmed;
use workspace_tests::{CourseClient, Heard, Paradigm, Scene, each};

each! {
    a_name_in_any_form_is_understood in basic forking dispatch;
    a_number_in_four_bytes_names_the_pipe_of_that_number in basic forking dispatch;
    a_number_that_reads_as_another_clients_pid_is_served in basic forking dispatch: row_1;
    a_living_process_may_make_its_pipe_later in basic forking dispatch;
    a_named_object_that_is_no_private_pipe_stays_untouched in basic forking dispatch;
    the_server_detects_a_third_step in basic forking dispatch;
    records_in_one_read_are_separated in basic forking dispatch;
    with_two_steps_the_first_record_is_a_message in basic forking dispatch;
    with_three_steps_the_first_record_is_never_a_message in basic forking dispatch;
    the_number_plus_one_is_a_third_step in basic forking dispatch;
    a_reply_is_as_large_as_its_request in basic forking dispatch;
    the_acknowledgement_can_be_chosen in basic forking dispatch;
    a_client_that_closes_the_well_known_pipe_is_acknowledged in basic forking dispatch;
    skipped_bytes_are_reported_once_a_session in basic forking dispatch;
    a_request_that_has_come_is_answered_when_the_server_ends in basic forking dispatch;
    the_client_of_a_dead_server_gets_eof in basic forking dispatch;
    a_silent_session_ends_at_the_idle_timeout in basic forking dispatch;
    our_client_speaks_the_course_dialect_with_our_servers in basic forking dispatch;
    a_client_that_leaves_leaves_no_descriptor in basic forking dispatch;
    a_shared_well_known_pipe_is_not_for_course_clients in shared;
}

const ORIGINAL: &[u8] = b"its-a-me, mario!";

/// Waits until the server takes the next record for a message.
fn wait_for_third_step_timeout(scene: &Scene, sessions: usize) {
    scene.event_log().wait_for_many(sessions, What::NoConfirmation, |_| true);
}

fn zero_padded(text: &[u8], size: usize) -> Vec<u8> {
    let mut record = text.to_vec();
    record.resize(size, 0);
    record
}

fn a_name_in_any_form_is_understood(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let here = scene.place().to_str().expect("the path is UTF-8").to_owned();
    let mut sessions = 0;
    let mut acknowledged = |name: &str, record: &[u8], ack: &[u8]| {
        let mut client = scene.course_client(name);
        client.connects_saying(record);
        client.opens_private_pipe();
        assert_eq!(client.record(), ack, "after {:?}", String::from_utf8_lossy(record));
        sessions += 1;
        // A name in 100 zero-padded bytes means no third step; the server knows it at once.
        wait_for_third_step_timeout(scene, sessions);
        assert_eq!(client.asks(&zero_padded(b"hello\n", 20)), zero_padded(b"HELLO\n", 20));
    };
    acknowledged("123", &zero_padded(b"123", 10), b"HOLA\0");
    acknowledged("123", b"123", b"HOLA\0");
    acknowledged("123", b"123\0", b"HOLA\0");
    acknowledged("123", b"123\n", b"HOLA\0");
    acknowledged("123", b"123\0\x07\xff\x01abc", b"HOLA\0");
    acknowledged("123", b"./123\0", b"HOLA\0");
    acknowledged("123", format!("{here}/123").as_bytes(), b"HOLA\0");
    acknowledged("secret123", &zero_padded(b"secret123", 256), b"HOLA\0");
    acknowledged("luigi", &zero_padded(b"luigi", 1000), b"HOLA\0");
    acknowledged("a name", &zero_padded(b"a name", 4000), b"HOLA\0");
    acknowledged("123", &zero_padded(b"123", 100), &zero_padded(ORIGINAL, 100));
    acknowledged("1234", b"1234", b"HOLA\0");
}

fn a_number_in_four_bytes_names_the_pipe_of_that_number(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    // 0x00000100 begins with a NUL; 0x3131 reads as "11"; 49 reads as "1", the PID of a process that always
    // exists.
    let numbers = [(12_345_u32, "12345"), (256, "256"), (0x3131, "12593"), (49, "49"), (77, "77.fifo")];
    for (number, name) in numbers {
        let mut client = scene.course_client(name);
        let _other = scene.course_client(&format!("{number}9"));
        client.connects_saying(&number.to_ne_bytes());
        client.opens_private_pipe();
        let ack: [u8; 4] = client.record().try_into().expect("a number in 4 bytes");
        // The third step of such a client.
        client.says(&(u32::from_ne_bytes(ack) + 1).to_ne_bytes());
        is_confirmed(scene, &client);
        assert_eq!(client.asks(b"hello\0"), b"HELLO\0");
    }
}

/// The 4 bytes of 49 are the text "1", and process 1 lives on every machine. The server reads them together
/// with another client's name.
fn a_number_that_reads_as_another_clients_pid_is_served(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let [mut number, mut text] = ["49", "luigi"].map(|name| scene.course_client(name));
    for client in [&mut number, &mut text] {
        client.open_wkp();
    }
    scene.signal_server(server.pid(), Signal::SIGSTOP);
    number.says(&49_u32.to_ne_bytes());
    text.says(b"luigi\0");
    scene.signal_server(server.pid(), Signal::SIGCONT);
    number.opens_private_pipe();
    let ack: [u8; 4] = number.record().try_into().expect("a number in 4 bytes");
    number.says(&(u32::from_ne_bytes(ack) + 1).to_ne_bytes());
    is_confirmed(scene, &number);
    number.leaves();
    text.opens_private_pipe();
    assert_eq!(text.record(), b"HOLA\0");
}

/// A client's PID is a valid name even before the pipe exists.
fn a_living_process_may_make_its_pipe_later(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let own = std::process::id().to_string();
    let mut early = scene.course_client("aside");
    early.connects_saying(&zero_padded(own.as_bytes(), 10));
    scene.event_log().wait_for(What::HelloReceived, |_| true);
    early.is_renamed(&own);
    early.opens_private_pipe();
    assert_eq!(early.record(), b"HOLA\0");
}

/// P6: the server writes only to a pipe of its own user, in the well-known pipe's directory.
fn a_named_object_that_is_no_private_pipe_stays_untouched(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let aside = scene.place().parent().expect("the scene's own directory").join("log");
    std::fs::write(scene.path("file"), "precious").expect("a new file");
    let elsewhere = CourseClient::elsewhere(&aside, "elsewhere");
    std::os::unix::fs::symlink(aside.join("elsewhere"), scene.path("link")).expect("a new link");
    let framed = scene.raw_client();
    let absolute = aside.join("elsewhere");
    let names = [
        "file",
        "link",
        "../log/elsewhere",
        absolute.to_str().expect("the path is UTF-8"),
        "mario",
        framed.name(),
    ];
    for (number, name) in names.into_iter().enumerate() {
        let mut liar = scene.course_client(&format!("liar{number}"));
        liar.connects_saying(&zero_padded(name.as_bytes(), 200));
        scene.event_log().wait_for_many(number + 1, What::Skipped, |_| true);
    }
    assert_eq!(std::fs::read_to_string(scene.path("file")).expect("the path exists"), "precious");
    assert!(elsewhere.hears_nothing(), "a pipe in another directory was opened");
    for name in ["file", "link"] {
        std::fs::remove_file(scene.path(name)).expect("the path exists");
    }
    drop((elsewhere, framed));
    scene.serves("hello", "HELLO");
}

fn the_server_detects_a_third_step(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    // A record that comes at once and is as long as the name is a third step, whatever its text.
    let mut quick = scene.course_client("1");
    quick.shakes_hands();
    quick.says(&zero_padded(b"whatever", 10));
    scene.event_log().wait_for(What::ReadyReceived, |event| event.text.as_deref() == Some("whatever"));
    scene.event_log().wait_for(What::InDoubt, |event| is_said(event, "--handshake 2"));
    assert_eq!(quick.asks(&zero_padded(b"hello", 1000)), zero_padded(b"HELLO", 1000));
    assert_eq!(quick.asks(&zero_padded(b"HOLA", 1000)), zero_padded(b"HOLA", 1000), "HOLA is a message now");
    drop(quick);
    // Any other record is a message. If the server took it for a third step, the client would get no reply.
    let mut doubtful = scene.course_client("4");
    doubtful.shakes_hands();
    assert_eq!(doubtful.asks(&zero_padded(b"hello", 1000)), zero_padded(b"HELLO", 1000));
    drop(doubtful);
    // A late record is a third step only if its text leaves no doubt.
    let mut slow = scene.course_client("2");
    slow.shakes_hands();
    wait_for_third_step_timeout(scene, 2);
    slow.says(&zero_padded(b"HOLA", 10));
    scene.event_log().wait_for(What::ReadyReceived, |event| event.text.as_deref() == Some("HOLA"));
    assert_eq!(slow.asks(b"hello\0"), b"HELLO\0");
    drop(slow);
    let mut two_way = scene.course_client("3");
    two_way.shakes_hands();
    wait_for_third_step_timeout(scene, 3);
    assert_eq!(two_way.asks(b"hello\0"), b"HELLO\0");
}

fn is_said(event: &Event, words: &str) -> bool {
    event.text.as_ref().is_some_and(|text| text.contains(words))
}

/// Records that are written without a pause are read in one read.
fn records_in_one_read_are_separated(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let kinds: [(&[u8], usize); 4] =
        [(b"HOLA\0\0\0\0\0\0", 1000), (b"HOLA\0", 6), (b"IOLA", 200), (b"ready\0\0\0\0\0", 10)];
    for (number, (third_step, size)) in (1..).zip(kinds) {
        let mut client = scene.course_client(&format!("{number}"));
        client.shakes_hands();
        client.says(&[third_step, &zero_padded(b"hello", size)].concat());
        assert_eq!(client.record(), zero_padded(b"HELLO", size));
        // Text with a NUL, or records of one size.
        let size = if size == 6 { 4 } else { size };
        let two =
            |first: &[u8], second: &[u8]| [zero_padded(first, size), zero_padded(second, size)].concat();
        client.says(&two(b"one", b"two"));
        let mut replies = client.record();
        if replies.len() < 2 * size {
            replies.extend(client.record());
        }
        assert_eq!(replies, two(b"ONE", b"TWO"), "of kind {number}");
    }
    scene.event_log().wait_for(What::InDoubt, |event| is_said(event, "--ack-size 4"));
}

fn with_two_steps_the_first_record_is_a_message(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake", "2"]).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    assert_eq!(client.asks(b"HOLA\0"), b"HOLA\0");
}

fn with_three_steps_the_first_record_is_never_a_message(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake", "3", "--handshake-timeout", "60s"]).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    client.says(b"any\0");
    is_confirmed(scene, &client);
    assert_eq!(client.asks(b"hello\0"), b"HELLO\0");
    drop(client);
    server.shuts_down();
    // A client without a third step is sent away at the deadline.
    let _server = scene.server(paradigm).args(["--handshake", "3", "--handshake-timeout", "300ms"]).ready();
    let mut client = scene.course_client("124");
    client.shakes_hands();
    assert_eq!(client.hears(), Heard::End);
}

fn the_number_plus_one_is_a_third_step(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--ack", "41", "--ack-size", "16"]).ready();
    let mut client = scene.course_client("123");
    assert_eq!(client.shakes_hands(), zero_padded(b"41", 16));
    wait_for_third_step_timeout(scene, 1);
    client.says(&zero_padded(b"42", 16));
    is_confirmed(scene, &client);
    assert_eq!(client.asks(b"43\0"), b"43\0");
}

/// One read of the client takes a record as long as its request. Further bytes would be taken for the next
/// reply.
fn a_reply_is_as_large_as_its_request(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--service", "count", "--handshake", "2"]).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    for number in 1..=9 {
        assert_eq!(client.asks(b"\n"), [b'0' + number]);
    }
    assert_eq!(client.asks(b"\n"), b"1", "the part of 10 that fits");
    assert_eq!(client.asks(b"xyz"), zero_padded(b"11", 3));
    for size in [PAYLOAD_MAX, PAYLOAD_MAX + 1, 10_000, 60_000] {
        let reply = client.asks(&zero_padded(b"x", size));
        assert_eq!(reply.len(), size);
    }
}

fn the_acknowledgement_can_be_chosen(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--ack", "hi", "--ack-size", "1000"]).ready();
    let mut client = scene.course_client("123");
    assert_eq!(client.shakes_hands(), zero_padded(b"hi", 1000));
    drop(client);
    server.shuts_down();
    let server = scene.server(paradigm).args(["--ack", "hi @name"]).ready();
    let mut client = scene.course_client("124");
    assert_eq!(client.shakes_hands(), b"hi 124\0");
    drop(client);
    server.shuts_down();
    scene.server(paradigm).args(["--ack-size", "0"]).run().code(2).stderr(contains("from 1 to 65536"));
    scene.server(paradigm).args(["--handshake", "4"]).run().code(2).stderr(contains("one of 2, 3, auto"));
}

/// The name is the PID of a live process.
fn a_client_that_closes_the_well_known_pipe_is_acknowledged(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.course_client(&std::process::id().to_string());
    let name = zero_padded(client.name().as_bytes(), 10);
    client.connects_saying(&name);
    client.closes_wkp();
    scene.event_log().wait_for(What::HelloReceived, |_| true);
    client.opens_private_pipe();
    assert_eq!(client.record(), b"HOLA\0");
    assert_eq!(client.hears(), Heard::End);
    drop(client);
    // The server does not wait for the pipe of a process that does not exist.
    let mut gone = scene.course_client("gone");
    gone.connects_saying(&zero_padded(b"gone", 10));
    gone.closes_wkp();
    let is_gone = |event: &Event| is_said(event, "left before the acknowledgement");
    scene.event_log().wait_for(What::ClientDropped, is_gone);
}

fn skipped_bytes_are_reported_once_a_session(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let mut client = scene.raw_session();
    for number in 1..=3 {
        client.write(b"no record");
        client.request(number, b"hello");
        assert_eq!(client.reply(number, 5), b"HELLO");
    }
    client.bye();
    scene.event_log().wait_for(What::SessionEnded, |_| true);
    drop(client);
    server.signal(Signal::SIGTERM);
    let message = "skipped 9 bytes that are no frame";
    let once = |stderr: &str| stderr.matches(message).count() == 1;
    server.ends().code(0).stderr(predicates::function::function(once));
}

fn a_request_that_has_come_is_answered_when_the_server_ends(scene: &Scene, paradigm: Paradigm) {
    let server =
        scene.server(paradigm).args(["--handshake", "2", "--service", "sleep:200", "--grace", "60s"]).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    client.says(b"hello\0");
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    server.signal(Signal::SIGTERM);
    assert_eq!(client.record(), b"hello\0");
    assert_eq!(client.hears(), Heard::End);
    drop(client);
    server.ends().code(0);
}

/// P10.
fn the_client_of_a_dead_server_gets_eof(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    wait_for_third_step_timeout(scene, 1);
    server.signal(Signal::SIGKILL);
    assert_eq!(client.hears(), Heard::End);
    drop(client);
    server.ends_by(Signal::SIGKILL);
    let _next = scene.server(paradigm).ready();
    scene.serves("hello", "HELLO");
}

fn a_silent_session_ends_at_the_idle_timeout(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake", "2", "--idle-timeout", "200ms"]).ready();
    let mut client = scene.course_client("123");
    client.shakes_hands();
    assert_eq!(client.hears(), Heard::End);
}

fn our_client_speaks_the_course_dialect_with_our_servers(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for ways in ["2", "3", "auto"] {
        let client = scene.client().args(["--dialect", "course", "--handshake", ways, "one", "two", "three"]);
        client.run().success().stdout("ONE\nTWO\nTHREE\n");
    }
    let longest = "x".repeat(60_000);
    let client = scene.client().args(["--dialect", "course", "--raw"]);
    client.run_with_stdin(longest.clone().into_bytes()).success().stdout(longest.to_uppercase());
}

fn a_client_that_leaves_leaves_no_descriptor(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for _ in 0..3 {
        let mut client = scene.course_client("123");
        client.shakes_hands();
        client.closes_wkp();
        assert_eq!(client.hears(), Heard::End);
    }
}

fn a_shared_well_known_pipe_is_not_for_course_clients(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let mut client = scene.course_client("123");
    client.connects_saying(&zero_padded(b"123", 10));
    client.opens_private_pipe();
    assert_eq!(client.hears(), Heard::End);
    drop(client);
    let event = scene.event_log().wait_for(What::ClientDropped, |event| event.pipe.as_deref() == Some("123"));
    assert!(event.text.is_some_and(|text| text.contains("course dialect")));
    scene.serves("hello", "HELLO");
    server.shuts_down().stderr(contains("speaks the course dialect"));
}
