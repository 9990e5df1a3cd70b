//! A client that its gate holds at a step of its handshake delays no other.

use std::time::Duration;

use handshake_core::event::What;
use workspace_tests::steps::another_client_is_served_soon;
use workspace_tests::{Paradigm, Scene, each};

each! {
    a_client_held_after_its_hello_delays_the_next_until_the_timeout in basic: row_8;
    a_client_held_with_the_lock_costs_the_others_a_fresh_pipe in basic forking dispatch: row_3 row_45;
    a_client_held_at_the_shared_pipe_costs_nothing in shared: row_45;
}

/// The server waits for READY until its timeout. When the held client goes on, its handshake is over, and it
/// starts again.
fn a_client_held_after_its_hello_delays_the_next_until_the_timeout(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "300ms"]).ready();
    for what in [What::HelloSent, What::AwaitingAck, What::AckReceived, What::PrivateRemoved] {
        let mark = scene.event_log().mark();
        let held = scene.client().arg("held").gated().start();
        held.step_until(what);
        let acknowledged = scene.event_log().wait_after(mark, What::AckSent, |_| true);
        let mark = scene.event_log().mark();
        another_client_is_served_soon(scene);
        let next = scene.event_log().wait_after(mark, What::AckSent, |_| true);
        let waited = Duration::from_nanos(next.ns - acknowledged.ns);
        assert!(waited >= Duration::from_millis(300), "the next client was served after {waited:?}");
        held.go_on();
        held.ends().success().stdout("HELD\n");
    }
}

/// The client is held between its check of the name and its HELLO. The server does not wait for the lock, and
/// gives each client a fresh pipe.
fn a_client_held_with_the_lock_costs_the_others_a_fresh_pipe(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let held = scene.client().arg("held").gated().start();
    held.step_until(What::WkpOpened);
    let mark = scene.event_log().mark();
    another_client_is_served_soon(scene);
    scene.event_log().wait_after(mark, What::UpstreamCreated, |_| true);
    scene.event_log().wait_after(mark, What::UpstreamRemoved, |_| true);
    another_client_is_served_soon(scene);
    held.go_on();
    held.ends().success().stdout("HELD\n");
    let opened = held.events().iter().filter(|event| event.what == What::WkpOpened).count();
    assert!(opened >= 2, "the held client did not try the next well-known pipe");
    // If the server still reads the pipe, it tells the client to try again. If the pipe has no reader, the
    // write fails (EPIPE).
    let said = held.events().iter().filter(|event| event.what == What::HelloSent).count();
    assert!((1..=2).contains(&said), "the held client sent HELLO {said} times");
}

fn a_client_held_at_the_shared_pipe_costs_nothing(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let held = scene.client().arg("held").gated().start();
    held.step_until(What::WkpOpened);
    another_client_is_served_soon(scene);
    held.go_on();
    held.ends().success().stdout("HELD\n");
    let opened = held.events().iter().filter(|event| event.what == What::WkpOpened).count();
    assert_eq!(opened, 1, "the pipe never loses its name");
    assert_eq!(scene.event_log().all(|event| event.what == What::UpstreamCreated), []);
}
