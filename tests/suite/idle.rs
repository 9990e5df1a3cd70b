//! An idle server uses no processor time: it has no busy loop.

use handshake_core::event::What;
use workspace_tests::proc::children_of;
use workspace_tests::steps::assert_idle_for_a_second;
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, each};

each! {
    an_idle_server_uses_no_processor_time in basic forking dispatch shared: row_19;
    idle_sessions_use_no_processor_time in basic forking dispatch shared: row_19;
    a_server_at_its_limit_uses_no_processor_time in forking dispatch shared: row_19;
}

fn an_idle_server_uses_no_processor_time(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    // All kinds of clients come and go. Each is the last writer of the pipe except the server itself.
    scene.serves("hello", "HELLO");
    let killed = scene.served_client("hello");
    killed.kill();
    let mut visitor = scene.raw_client();
    visitor.open_wkp();
    drop(visitor);
    scene.serves("hello", "HELLO");
    until_true("the server to have no children", || children_of(server.pid()).is_empty());
    assert_idle_for_a_second(scene, &[server.pid()]);
}

fn idle_sessions_use_no_processor_time(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let clients: Vec<_> = (0..3).map(|_| scene.client().typing().start()).collect();
    let connected = if paradigm == Paradigm::Basic { 1 } else { 3 };
    let ready = scene.event_log().wait_for_many(connected, What::ReadyReceived, |_| true);
    let mut pids: Vec<_> = ready.iter().map(|event| event.pid).collect();
    pids.push(server.pid());
    assert_idle_for_a_second(scene, &pids);
    clients.iter().for_each(|client| client.close_stdin());
    clients.iter().for_each(|client| drop(client.ends().success()));
}

fn a_server_at_its_limit_uses_no_processor_time(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--max-clients", "1"]).ready();
    let clients: Vec<_> = (0..3).map(|_| scene.client().typing().start()).collect();
    scene.event_log().wait_for_many(3, What::AwaitingAck, |_| true);
    let ready = scene.event_log().wait_for(What::ReadyReceived, |_| true);
    assert_idle_for_a_second(scene, &[server.pid(), ready.pid]);
    clients.iter().for_each(|client| client.close_stdin());
    clients.iter().for_each(|client| drop(client.ends().success()));
}
