//! Course clients that have opened the same well-known pipe. The server serves them one after the other. A
//! faulty client costs the others only time.

use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use workspace_tests::steps::another_client_is_served_soon;
use workspace_tests::steps::course::{acknowledged, is_confirmed};
use workspace_tests::wait::until_true;
use workspace_tests::{CourseClient, Heard, Paradigm, Scene, each};

each! {
    a_name_in_anothers_session_waits_for_its_end in basic forking dispatch: row_2;
    a_name_in_a_framed_session_waits_for_its_end in basic forking dispatch;
    a_name_beside_a_message_harms_neither in basic forking dispatch;
    a_name_that_comes_while_the_server_waits_for_the_first_client_is_next in basic forking dispatch;
    a_name_left_behind_when_a_session_ends_is_next in basic forking dispatch;
    a_name_that_comes_when_the_session_is_over_is_next in basic forking dispatch: row_2;
    names_that_come_together_are_served_in_turn in basic forking dispatch: row_1;
    a_message_left_by_the_last_client_is_not_the_next_clients in basic forking dispatch;
    a_client_that_waits_too_long_is_notified in basic forking dispatch;
    a_client_that_left_the_queue_delays_nobody in basic forking dispatch;
    a_client_killed_in_the_queue_delays_nobody in basic forking dispatch: row_9;
    a_client_that_does_not_open_its_pipe_delays_the_queue_until_the_timeout in basic forking dispatch;
    a_pipe_of_another_session_is_not_acknowledged_again in forking dispatch;
    queued_clients_are_notified_of_the_servers_end in basic forking dispatch;
    queued_clients_are_notified_if_a_session_outlasts_the_grace in basic forking dispatch;
    a_client_that_makes_its_pipe_after_its_name_is_served_in_turn in basic forking dispatch;
    a_client_that_found_the_next_pipe_is_served_too in basic forking dispatch;
    a_number_right_behind_a_name_ends_no_session in basic forking dispatch;
    queued_clients_delay_no_other_session in forking dispatch;
    clients_queued_behind_a_killed_subserver_are_served_or_notified in forking dispatch;
    a_framed_client_beside_a_course_client_is_served in forking dispatch;
    fifty_clients_of_each_kind_are_served in forking dispatch;
    a_client_that_is_silent_after_its_name_delays_nobody in forking dispatch;
    a_client_that_is_silent_after_its_name_delays_the_next_until_the_timeout in basic;
    a_client_that_is_silent_in_its_session_delays_nobody in forking dispatch;
    a_name_that_is_written_twice_is_one_client in basic forking dispatch;
    a_client_that_has_not_opened_its_pipe_is_notified_of_the_servers_end in basic forking dispatch;
    a_name_is_free_again_at_once in forking dispatch;
}

/// The bound for "at once". It is long, for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

fn is_served(scene: &Scene, client: &mut CourseClient) {
    client.says(b"HOLA\0");
    is_confirmed(scene, client);
    assert_eq!(client.asks(b"hello\0\0\0"), b"HELLO\0\0\0");
}

fn gets_eof(client: CourseClient) {
    assert_eq!(client.hears_within(AT_ONCE), Heard::End);
}

/// Waits until the client is in the queue, and opens its private pipe, which must be empty.
fn waits_in_queue(scene: &Scene, client: &mut CourseClient) {
    let name = client.name().to_owned();
    scene.event_log().wait_for(What::Queued, |event| event.pipe.as_deref() == Some(&name));
    client.opens_private_pipe();
    assert!(client.hears_nothing(), "the client got an answer before its turn");
}

fn is_acknowledged(client: &CourseClient) {
    assert_eq!(client.hears_within(AT_ONCE), Heard::Record(b"HOLA\0".to_vec()));
}

/// The client opened the pipe before its name went, and writes into it after that.
fn a_name_in_anothers_session_waits_for_its_end(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    late.says(b"22\0\0\0");
    waits_in_queue(scene, &mut late);
    is_served(scene, &mut first);
    assert!(late.hears_nothing(), "the client got an answer before its turn");
    first.leaves();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

fn a_name_in_a_framed_session_waits_for_its_end(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut late = scene.course_client("22");
    late.open_wkp();
    let mut framed = scene.raw_session();
    late.says(b"22\0\0\0");
    waits_in_queue(scene, &mut late);
    framed.request(1, b"hello");
    assert_eq!(framed.answer().payload, b"HELLO");
    drop(framed);
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

/// The server reads both in one read, in either order.
fn a_name_beside_a_message_harms_neither(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake", "2"]).ready();
    for (name_comes_first, own, other) in [(true, "1", "22"), (false, "2", "33")] {
        let [mut first, mut late] = [own, other].map(|name| scene.course_client(name));
        late.open_wkp();
        first.shakes_hands();
        // The process that reads this pipe is stopped, so that one read returns both.
        let reader = if paradigm == Paradigm::Dispatch { server.pid() } else { acknowledged(scene, own).pid };
        scene.signal_server(reader, Signal::SIGSTOP);
        for turn in [name_comes_first, !name_comes_first] {
            if turn { late.says(format!("{other}\0\0\0").as_bytes()) } else { first.says(b"hello\0\0\0") }
        }
        scene.signal_server(reader, Signal::SIGCONT);
        waits_in_queue(scene, &mut late);
        // The reply is as long as the client's own message. Further bytes would be taken for the next reply.
        assert_eq!(first.record(), b"HELLO\0\0\0");
        assert_eq!(first.asks(b"you\0\0\0"), b"YOU\0\0\0");
        first.leaves();
        is_acknowledged(&late);
        assert_eq!(late.asks(b"me\0"), b"ME\0");
        late.leaves();
    }
}

/// The first client has sent its name, and does not open its pipe: it may have been stopped there.
fn a_name_that_comes_while_the_server_waits_for_the_first_client_is_next(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.connects_saying(b"1\0");
    scene.event_log().wait_for(What::HelloReceived, |_| true);
    late.says(b"22\0");
    waits_in_queue(scene, &mut late);
    first.opens_private_pipe();
    assert_eq!(first.record(), b"HOLA\0");
    is_served(scene, &mut first);
    first.leaves();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

fn a_name_left_behind_when_a_session_ends_is_next(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    let reader = if paradigm == Paradigm::Dispatch { server.pid() } else { acknowledged(scene, "1").pid };
    scene.signal_server(reader, Signal::SIGSTOP);
    first.leaves();
    late.says(b"22\0");
    scene.signal_server(reader, Signal::SIGCONT);
    late.opens_private_pipe();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

/// The client was slow, or stopped, between its open of the well-known pipe and its write.
fn a_name_that_comes_when_the_session_is_over_is_next(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    is_served(scene, &mut first);
    first.leaves();
    scene.event_log().wait_for(What::SessionEnded, |_| true);
    late.says(b"22\0");
    late.opens_private_pipe();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

/// The names come in three forms: text with NULs, text without NULs between the names, and 10 bytes each with
/// garbage after the NUL.
fn names_that_come_together_are_served_in_turn(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let forms = [(["1", "22", "333"], "\0\0"), (["44", "5", "666666"], ""), (["7", "8", "9"], "\0garbage.")];
    for (names, padding) in forms {
        let mut clients = names.map(|name| scene.course_client(name));
        // One write, so that one read returns all of them.
        clients[0].connects_saying(names.map(|name| format!("{name}{padding}")).concat().as_bytes());
        for client in &mut clients[1..] {
            client.opens_private_pipe();
        }
        let mut pipe = None;
        for mut client in clients {
            if let Some(pipe) = pipe.take() {
                client.has_wkp(pipe);
            } else {
                client.opens_private_pipe();
            }
            assert_eq!(client.record(), b"HOLA\0");
            is_served(scene, &mut client);
            pipe = Some(client.hands_wkp_over());
            client.leaves();
        }
    }
}

/// The first client leaves a message and another client's name in the pipe. Only the name counts.
fn a_message_left_by_the_last_client_is_not_the_next_clients(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake", "2"]).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    late.says(b"22\0");
    waits_in_queue(scene, &mut late);
    let reader = if paradigm == Paradigm::Dispatch { server.pid() } else { acknowledged(scene, "1").pid };
    scene.signal_server(reader, Signal::SIGSTOP);
    first.says(b"who will read this?\0");
    first.leaves();
    scene.signal_server(reader, Signal::SIGCONT);
    is_acknowledged(&late);
    assert_eq!(late.asks(b"hello\0"), b"HELLO\0");
    late.leaves();
}

fn a_client_that_waits_too_long_is_notified(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--queue-timeout", "300ms"]).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    late.says(b"22\0");
    late.opens_private_pipe();
    gets_eof(late);
    is_served(scene, &mut first);
    first.leaves();
}

/// The second client leaves, and removes its private pipe.
fn a_client_that_left_the_queue_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let [mut first, mut second, mut third] = ["1", "22", "333"].map(|name| scene.course_client(name));
    second.open_wkp();
    third.open_wkp();
    first.shakes_hands();
    second.says(b"22\0");
    waits_in_queue(scene, &mut second);
    third.says(b"333\0");
    waits_in_queue(scene, &mut third);
    second.leaves();
    first.leaves();
    is_acknowledged(&third);
    is_served(scene, &mut third);
    third.leaves();
}

/// The second client's private pipe still exists, but no process has it open. No process has that PID.
fn a_client_killed_in_the_queue_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let [mut first, mut second, mut third] = ["1", "5000001", "333"].map(|name| scene.course_client(name));
    second.open_wkp();
    third.open_wkp();
    first.shakes_hands();
    second.says(b"5000001\0");
    second.closes_wkp();
    third.says(b"333\0");
    waits_in_queue(scene, &mut third);
    first.leaves();
    is_acknowledged(&third);
    is_served(scene, &mut third);
    third.leaves();
    second.leaves();
}

/// The second client is stopped. Its name is no PID, so the server cannot check the process.
fn a_client_that_does_not_open_its_pipe_delays_the_queue_until_the_timeout(
    scene: &Scene,
    paradigm: Paradigm,
) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let [mut first, mut second, mut third] = ["1", "luigi", "333"].map(|name| scene.course_client(name));
    second.open_wkp();
    third.open_wkp();
    first.shakes_hands();
    second.says(b"luigi\0");
    third.says(b"333\0");
    waits_in_queue(scene, &mut third);
    first.leaves();
    is_acknowledged(&third);
    is_served(scene, &mut third);
    third.leaves();
    // The server notifies the client as soon as it opens its pipe.
    second.opens_private_pipe();
    gets_eof(second);
}

/// One client writes another client's name, whose session goes on.
fn a_pipe_of_another_session_is_not_acknowledged_again(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    // The number of a living process of this user: a server believes that such a client has not left.
    let name = std::process::id().to_string();
    let mut first = scene.course_client(&name);
    first.shakes_hands();
    is_served(scene, &mut first);
    let mut liar = scene.course_client("22");
    liar.shakes_hands();
    is_served(scene, &mut liar);
    liar.says(format!("{name}\0").as_bytes());
    scene.event_log().wait_for(What::Queued, |event| event.pipe.as_deref() == Some(&*name));
    liar.leaves();
    scene.event_log().wait_for(What::ClientDropped, |event| {
        event.text.as_deref().is_some_and(|text| text.contains("another session has the private pipe"))
    });
    assert_eq!(first.asks(b"still here\0"), b"STILL HERE\0");
    first.leaves();
}

fn queued_clients_are_notified_of_the_servers_end(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    is_served(scene, &mut first);
    late.says(b"22\0");
    waits_in_queue(scene, &mut late);
    server.signal(Signal::SIGTERM);
    gets_eof(first);
    gets_eof(late);
    server.ends().code(0);
}

fn queued_clients_are_notified_if_a_session_outlasts_the_grace(scene: &Scene, paradigm: Paradigm) {
    let options = ["--service", "sleep:60000", "--grace", "300ms", "--handshake", "2"];
    let server = scene.server(paradigm).args(options).ready();
    let [mut first, mut late] = ["1", "22"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    first.says(b"a long sleep\0");
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    late.says(b"22\0");
    late.opens_private_pipe();
    server.signal(Signal::SIGTERM);
    gets_eof(first);
    // In basic and forking the pipe is read again only when it is closed.
    gets_eof(late);
    server.ends().code(0);
}

/// Both names come in one read. The process of the second client is about to make its pipe.
fn a_client_that_makes_its_pipe_after_its_name_is_served_in_turn(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let number = std::process::id().to_string();
    let [mut first, mut late] = ["1", "later"].map(|name| scene.course_client(name));
    first.connects_saying(format!("1\0{number}\0").as_bytes());
    late.has_wkp(first.lends_wkp());
    scene.event_log().wait_for(What::Queued, |event| event.pipe.as_ref() == Some(&number));
    late.is_renamed(&number);
    late.opens_private_pipe();
    first.opens_private_pipe();
    is_acknowledged(&first);
    is_served(scene, &mut first);
    first.leaves();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
}

/// The third client has opened the pipe after the old one. The server returns to the old pipe for a late
/// name.
fn a_client_that_found_the_next_pipe_is_served_too(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [mut first, mut late, mut next] = ["1", "22", "333"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    is_served(scene, &mut first);
    first.leaves();
    next.open_wkp();
    late.says(b"22\0");
    late.opens_private_pipe();
    is_acknowledged(&late);
    is_served(scene, &mut late);
    late.leaves();
    next.says(b"333\0");
    next.opens_private_pipe();
    is_acknowledged(&next);
    is_served(scene, &mut next);
    next.leaves();
}

/// The first bytes of the number are zeros, like the bytes behind the name.
fn a_number_right_behind_a_name_ends_no_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake", "2"]).ready();
    let [mut first, text, number] = ["1", "22", "65536"].map(|name| scene.course_client(name));
    first.shakes_hands();
    first.says(b"22\0\0\0\0\x01\0");
    scene.event_log().wait_for_many(2, What::Queued, |_| true);
    assert_eq!(first.asks(b"hello\0"), b"HELLO\0");
    for client in [text, number, first] {
        client.leaves();
    }
}

fn queued_clients_delay_no_other_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [mut first, mut late, mut other] = ["1", "22", "333"].map(|name| scene.course_client(name));
    late.open_wkp();
    first.shakes_hands();
    late.says(b"22\0");
    waits_in_queue(scene, &mut late);
    other.shakes_hands();
    is_served(scene, &mut other);
    another_client_is_served_soon(scene);
    first.leaves();
    is_acknowledged(&late);
    late.leaves();
    other.leaves();
}

/// In forking the pipe is gone with the subserver. The main server notifies the clients whose names it knows.
fn clients_queued_behind_a_killed_subserver_are_served_or_notified(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [mut first, mut second] = ["1", "22"].map(|name| scene.course_client(name));
    // Both have the pipe open: without a writer, a client whose process cannot be seen counts as gone.
    second.open_wkp();
    first.connects_saying(b"1\x0022\0");
    first.opens_private_pipe();
    waits_in_queue(scene, &mut second);
    is_acknowledged(&first);
    scene.signal_server(acknowledged(scene, "1").pid, Signal::SIGKILL);
    gets_eof(first);
    if paradigm == Paradigm::Forking {
        gets_eof(second);
    } else {
        is_acknowledged(&second);
        second.leaves();
    }
}

fn a_framed_client_beside_a_course_client_is_served(scene: &Scene, paradigm: Paradigm) {
    let mut course = scene.course_client("1");
    let server = scene.server(paradigm).ready();
    scene.signal_server(server.pid(), Signal::SIGSTOP);
    let mut framed = scene.raw_client();
    framed.hello();
    course.connects_saying(b"1\0");
    scene.signal_server(server.pid(), Signal::SIGCONT);
    let ack = framed.accept();
    assert!(!ack.upstream.is_empty(), "the framed client has no fresh upstream");
    course.opens_private_pipe();
    course.record();
    is_served(scene, &mut course);
    framed.request(1, b"hello");
    assert_eq!(framed.answer().payload, b"HELLO");
}

/// All clients have written while the server is stopped, or have opened its pipe by then.
fn fifty_clients_of_each_kind_are_served(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["-q"]).ready();
    let mut course: Vec<_> =
        (0..50).map(|number| scene.course_client(&format!("{}", 900 + number))).collect();
    let (early, late) = course.split_at_mut(25);
    late.iter_mut().for_each(CourseClient::open_wkp);
    scene.signal_server(server.pid(), Signal::SIGSTOP);
    let framed: Vec<_> = (0..50).map(|_| scene.client().arg("hello").without_event_log().start()).collect();
    for client in early {
        let record = format!("{}\0\0\0", client.name());
        client.connects_saying(record.as_bytes());
    }
    scene.signal_server(server.pid(), Signal::SIGCONT);
    for client in late {
        let record = format!("{}\0\0\0", client.name());
        client.says(record.as_bytes());
    }
    course.iter_mut().for_each(CourseClient::opens_private_pipe);
    // In any order: clients of one pipe have it one after the other.
    let mut waiting: Vec<_> = course.into_iter().collect();
    until_true("all clients to be served", || {
        let all = std::mem::take(&mut waiting).into_iter();
        let (ready, rest): (Vec<_>, Vec<_>) = all.partition(|client| !client.hears_nothing());
        waiting = rest;
        for mut client in ready {
            // The record that the client has read is the acknowledgement.
            is_served(scene, &mut client);
        }
        waiting.is_empty()
    });
    framed.iter().for_each(|client| drop(client.ends().success().stdout("HELLO\n")));
}

/// No process has the number that is the client's name, so the server can tell that the client has left. It
/// does not wait for the deadline.
fn a_client_that_is_silent_after_its_name_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let mut silent = scene.course_client("5000001");
    silent.connects_saying(b"5000001\0");
    another_client_is_served_soon(scene);
    silent.leaves();
    scene.event_log().wait_for(What::ClientDropped, |_| true);
}

fn a_client_that_is_silent_after_its_name_delays_the_next_until_the_timeout(
    scene: &Scene,
    paradigm: Paradigm,
) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    let mut silent = scene.course_client("1");
    silent.connects_saying(b"1\0");
    scene.serves("hello", "HELLO");
    silent.leaves();
}

fn a_client_that_is_silent_in_its_session_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut silent = scene.course_client("1");
    silent.shakes_hands();
    another_client_is_served_soon(scene);
    is_served(scene, &mut silent);
    silent.leaves();
}

/// The same name may follow the NUL, left from an earlier use of that memory.
fn a_name_that_is_written_twice_is_one_client(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for number in 500..505 {
        let mut client = scene.course_client(&number.to_string());
        client.connects_saying(format!("{number}\0{number}\0{number}").as_bytes());
        client.opens_private_pipe();
        assert_eq!(client.record(), b"HOLA\0");
        is_served(scene, &mut client);
        client.leaves();
    }
}

/// In basic the server waits for the one client, and has the other in its queue. In the others each client
/// has a subserver, or none.
fn a_client_that_has_not_opened_its_pipe_is_notified_of_the_servers_end(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let mut client = scene.course_client("1");
    client.connects_saying(b"1\0");
    scene.event_log().wait_for(What::HelloReceived, |_| true);
    server.signal(Signal::SIGTERM);
    client.opens_private_pipe();
    // The client may have got its acknowledgement or not. A server that ends still tries to notify its
    // clients. A client that opens its pipe later finds no server.
    let mut heard = client.hears_or(|| !server.is_running());
    if heard == Some(Heard::Record(b"HOLA\0".to_vec())) {
        heard = client.hears_or(|| !server.is_running());
    }
    assert!(matches!(heard, None | Some(Heard::End)), "{heard:?}");
    client.leaves();
    server.ends().code(0);
}

/// A client with a fixed name came too late, and has left. The next client with that name is in time.
fn a_name_is_free_again_at_once(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [mut first, mut late] = ["1", "luigi"].map(|name| scene.course_client(name));
    first.connects_saying(b"1\0luigi\0");
    first.opens_private_pipe();
    first.record();
    late.open_wkp();
    late.leaves();
    let mut next = scene.course_client("luigi");
    next.connects_saying(b"luigi\0");
    scene.event_log().wait_for(What::HelloReceived, |event| event.pipe.as_deref() == Some("luigi"));
    next.opens_private_pipe();
    assert_eq!(next.record(), b"HOLA\0");
    is_served(scene, &mut next);
    for client in [first, next] {
        client.leaves();
    }
}
