//! The course's steps 1 to 8 in their order, and the second client's turn.

use std::io::Read;

use handshake_core::event::{Event, Role, What};
use workspace_tests::{Paradigm, Scene, each};

each! {
    the_steps_come_in_the_order_of_their_numbers in basic forking dispatch shared;
    causes_come_before_their_effects in basic forking dispatch shared;
    the_second_client_waits_for_its_turn in basic: row_5;
    the_second_client_does_not_wait in forking dispatch shared;
    a_ready_server_writes_one_newline_and_closes_the_descriptor in basic forking dispatch shared;
}

/// Client and server run at the same time between steps 4 and 7. So the test stops the server in step 2 until
/// the client has reached step 5.
fn the_steps_come_in_the_order_of_their_numbers(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).gated().start();
    server.step_until(What::Waiting);
    let client = scene.client().arg("hello").start();
    scene.event_log().wait_for(What::AwaitingAck, |_| true);
    server.go_on();
    client.ends().success().stdout("HELLO\n");

    if paradigm.has_subservers() {
        // A process logs an event just after the action, so this event may be the last.
        scene.event_log().wait_for(What::SubserverForked, |_| true);
    }
    let mut events = scene.event_log().all(|event| event.step.is_some());
    events.sort_by_key(|event| event.ns);
    let mut steps: Vec<u8> = Vec::new();
    for step in events.iter().filter_map(|event| event.step) {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 8]);
    let role_of = |step| events.iter().find(|event| event.step == Some(step)).map(|event| event.role);
    let acknowledger = if paradigm == Paradigm::Basic { Role::Client } else { Role::Subserver(1) };
    assert_eq!([1, 2, 6, 7].map(role_of), [Some(Role::Server); 4]);
    assert_eq!([3, 4, 5].map(role_of), [Some(Role::Client); 3]);
    assert_eq!(role_of(8), Some(acknowledger));
}

fn causes_come_before_their_effects(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let clients: Vec<_> = (0..20).map(|_| scene.client().arg("hello").start()).collect();
    for client in clients {
        client.ends().success().stdout("HELLO\n");
        let its_own = scene.event_log().all(|event| event.pid == client.pid());
        // The client may have tried again; its last private pipe counts.
        let ack =
            its_own.iter().find(|event| event.what == What::AckReceived).expect("the client was served");
        let (session, pipe) = (ack.session.clone(), ack.pipe.clone());
        // A process logs an event just after the action, perhaps after the action's effect.
        scene.event_log().wait_for(What::ReplySent, |event| event.session == session);
        let about_it = scene
            .event_log()
            .all(|event| event.session == session || (event.pid == client.pid() && event.pipe == pipe));
        let hello =
            its_own.iter().rfind(|event| event.what == What::HelloSent).expect("the client sent HELLO");
        let ns = |what| about_it.iter().find(|event| event.what == what).map_or(0, |event: &Event| event.ns);
        let in_order = [
            ns(What::PrivateCreated),
            hello.ns,
            ns(What::HelloReceived),
            ns(What::AckSent),
            ns(What::AckReceived),
            ns(What::PrivateRemoved),
            ns(What::ReadySent),
            ns(What::ReadyReceived),
            ns(What::RequestReceived),
            ns(What::ReplySent),
            ns(What::ReplyReceived),
            ns(What::ByeSent),
        ];
        assert!(in_order[0] > 0 && in_order.is_sorted(), "{in_order:?} of {about_it:#?}");
    }
}

fn the_second_client_waits_for_its_turn(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let first = scene.served_client("one");
    let second = scene.client().arg("two").start();
    scene.event_log().wait_for(What::PrivateCreated, |event| event.pid == second.pid());
    first.type_line("three");
    first.prints("ONE\nTHREE\n");
    assert!(
        second.is_running() && second.printed().is_empty(),
        "the second client was served before its turn"
    );
    first.leaves();
    second.ends().success().stdout("TWO\n");
    let ns = |what, pid| scene.event_log().wait_for(what, |event| event.pid == pid).ns;
    assert!(ns(What::ByeSent, first.pid()) < ns(What::AckReceived, second.pid()));
}

fn the_second_client_does_not_wait(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let first = scene.served_client("one");
    scene.serves("two", "TWO");
    first.type_line("three");
    first.leaves().stdout("ONE\nTHREE\n");
}

/// The shell makes descriptor 3, a pipe to the test. Descriptor 1 goes to /dev/null.
fn a_ready_server_writes_one_newline_and_closes_the_descriptor(scene: &Scene, paradigm: Paradigm) {
    let launch = scene.server(paradigm).ready_on_3();
    let (server, mut ready) = launch.start_with_reader();
    let mut bytes = Vec::new();
    ready.read_to_end(&mut bytes).expect("the server closes it");
    assert_eq!(bytes, b"\n");
    scene.serves("hello", "HELLO");
    assert!(server.is_running());
}
