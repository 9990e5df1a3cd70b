//! An idle server uses no processor time: it has no busy loop.

use std::time::Duration;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use workspace_tests::proc::{children_of, processor_time};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, each};

each! {
    an_idle_server_uses_no_processor_time in basic forking dispatch shared: row_19;
    idle_sessions_use_no_processor_time in basic forking dispatch shared: row_19;
    a_server_at_its_limit_uses_no_processor_time in forking dispatch shared: row_19;
}

/// The processor time of an idle process in a second. An idle server checks twice a second whether the
/// well-known pipe still has its name. A busy loop would use a hundred times as much, even on a busy machine.
const NOTHING: Duration = Duration::from_millis(8);

/// The processor time of a server that retries ten times a second for lack of a resource. A busy loop would
/// use ten times as much.
const LITTLE: Duration = Duration::from_millis(50);

/// Checks for a second that these processes are idle.
pub(crate) fn assert_idle_for_a_second(scene: &Scene, pids: &[u32]) {
    assert_processor_time_below(NOTHING, scene, pids);
}

/// Checks for a second that this process only retries now and then.
pub(crate) fn assert_nearly_idle_for_a_second(scene: &Scene, pid: u32) {
    assert_processor_time_below(LITTLE, scene, &[pid]);
}

fn assert_processor_time_below(most: Duration, scene: &Scene, pids: &[u32]) {
    let before: Vec<_> = pids.iter().map(|pid| processor_time(*pid)).collect();
    let_time_pass(scene, 1000);
    for (pid, before) in pids.iter().zip(before) {
        let used = processor_time(*pid) - before;
        assert!(used < most, "process {pid} used {used:?} of a second, and may use {most:?}");
    }
}

/// Waits for this number of milliseconds: another server takes that long for a reply.
pub(crate) fn let_time_pass(scene: &Scene, milliseconds: u32) {
    let service = format!("sleep:{milliseconds}");
    let clock = scene
        .server(Paradigm::Basic)
        .args(["--wkp", "luigi", "--service", &service])
        .without_event_log()
        .ready();
    scene.client().args(["--wkp", "luigi", "tick"]).without_event_log().run().success().stdout("tick\n");
    clock.signal(Signal::SIGTERM);
    clock.ends().success();
}

fn an_idle_server_uses_no_processor_time(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    // All kinds of clients come and go. Each is the last writer of the pipe except the server itself.
    scene.serves("hello", "HELLO");
    let killed = scene.client().typing().start();
    killed.type_line("hello");
    killed.prints("HELLO\n");
    killed.kill();
    let mut visitor = scene.raw_client();
    visitor.open_wkp();
    visitor.remove_private_pipe();
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
