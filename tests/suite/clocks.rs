//! Clocks that jump, and servers that are stopped for longer than their deadlines: no client is dropped for
//! that.

use std::process::Command;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use workspace_tests::peers::preload;
use workspace_tests::steps::let_time_pass;
use workspace_tests::{Paradigm, Program, Scene, Tool, each, needs};

each! {
    a_clock_that_jumps_ends_no_session in basic forking dispatch shared: row_39;
    a_server_stopped_before_ready_drops_no_client in basic forking dispatch shared: row_39 row_46;
    a_server_stopped_in_a_session_drops_no_client in basic forking dispatch shared: row_39 row_46;
    a_central_process_stopped_alone_drops_no_client in dispatch shared: row_46;
}

/// All deadlines are set, and long enough for a busy machine. A jump is at least a day.
fn a_clock_that_jumps_ends_no_session(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let Some(preload) = preload("jumping_clock", scene.place().parent().expect("a temporary directory"))
    else {
        return;
    };
    let jumping = ["env", &preload];
    let date = || {
        let output = Command::new("env").args([&preload, "date", "+%s"]).output().expect("date(1)");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("seconds")
    };
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    assert!(date().abs_diff(now) > 80_000, "the clock does not jump");
    let deadlines = ["--handshake-timeout", "40s", "--idle-timeout", "40s", "--grace", "40s"];
    let service = ["--service", "sleep:100"];
    let server = scene.server(paradigm).through(jumping).args(deadlines).args(service).ready();
    for _ in 0..3 {
        let client = scene.client().through(jumping).args(["--timeout", "40s", "one", "two", "three"]);
        client.run().success().stdout("one\ntwo\nthree\n");
    }
    // A request that runs when the server is asked to end gets its grace.
    let mark = scene.event_log().mark();
    let client = scene.client().through(jumping).args(["--timeout", "40s", "four"]).start();
    scene.event_log().wait_after(mark, What::RequestReceived, |_| true);
    server.signal(Signal::SIGTERM);
    client.ends().success().stdout("four\n");
    server.ends().success();
    assert_eq!(scene.event_log().all(|event| event.what == What::ClientDropped), []);
}

/// The deadlines are three seconds; the test waits for four.
const DEADLINES: [&str; 4] = ["--handshake-timeout", "3s", "--idle-timeout", "3s"];
const LONGER: u32 = 4000;

/// Sends a signal to the main server and to its subserver, if it has one.
fn signal_all(scene: &Scene, server: &Program, subserver: Option<u32>, signal: Signal) {
    server.signal(signal);
    subserver.into_iter().for_each(|pid| scene.signal_server(pid, signal));
}

fn no_client_was_dropped(scene: &Scene) {
    let blamed = |what| matches!(what, What::ClientDropped | What::TryingAgain);
    assert_eq!(scene.event_log().all(|event| blamed(event.what)), []);
}

/// READY comes while the server is stopped, and is older than the deadline when the server goes on.
fn a_server_stopped_before_ready_drops_no_client(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(DEADLINES).ready();
    let client = scene.client().args(["--timeout", "60s", "hello"]).gated().start();
    client.step_until(What::AckReceived);
    let answerer = paradigm.has_subservers().then(|| scene.event_log().server_of(client.pid()));
    signal_all(scene, &server, answerer, Signal::SIGSTOP);
    client.go_on();
    scene.event_log().wait_for(What::RequestSent, |_| true);
    let_time_pass(scene, LONGER);
    signal_all(scene, &server, answerer, Signal::SIGCONT);
    client.ends().success().stdout("HELLO\n").stderr("");
    no_client_was_dropped(scene);
}

fn a_server_stopped_in_a_session_drops_no_client(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(DEADLINES).ready();
    let client = scene.served_client("one");
    let answerer = paradigm.has_subservers().then(|| scene.event_log().server_of(client.pid()));
    signal_all(scene, &server, answerer, Signal::SIGSTOP);
    client.type_line("two");
    scene.event_log().wait_for_many(2, What::RequestSent, |_| true);
    let_time_pass(scene, LONGER);
    signal_all(scene, &server, answerer, Signal::SIGCONT);
    client.prints("ONE\nTWO\n");
    client.leaves().stderr("");
    no_client_was_dropped(scene);
}

/// The subserver's clock goes on. The subserver asks the central process, which reads the pipe before it
/// answers.
fn a_central_process_stopped_alone_drops_no_client(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(DEADLINES).ready();
    let client = scene.served_client("one");
    server.signal(Signal::SIGSTOP);
    client.type_line("two");
    scene.event_log().wait_for_many(2, What::RequestSent, |_| true);
    let_time_pass(scene, LONGER);
    server.signal(Signal::SIGCONT);
    client.prints("ONE\nTWO\n");
    client.leaves().stderr("");
    no_client_was_dropped(scene);
}
