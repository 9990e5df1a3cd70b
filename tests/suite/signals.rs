//! A server asked to end by SIGTERM, SIGINT or SIGHUP, in every state. It finishes running requests, and
//! leaves nothing.

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::HANDSHAKE;
use workspace_tests::{Paradigm, Scene, each};

each! {
    an_idle_server_ends in basic forking dispatch shared: row_32;
    an_idle_client_is_notified in basic forking dispatch shared: row_32;
    a_running_request_is_answered in basic forking dispatch shared: row_32;
    a_signal_to_the_whole_group_lets_a_running_request_be_answered in basic forking dispatch shared:
        row_32 row_47;
    a_client_at_any_step_of_its_handshake_does_not_delay_the_shutdown in basic forking dispatch shared:
        row_32;
    pending_clients_are_served_by_the_next_server in basic forking dispatch shared: row_32;
    a_second_signal_ends_at_once in basic forking dispatch shared: row_32;
    the_same_signal_twice_ends_at_once in forking dispatch shared: row_32;
    a_burst_of_signals_leaves_nothing in basic forking dispatch shared: row_32;
    a_request_longer_than_the_grace_is_cut_off in basic forking dispatch shared: row_32;
}

const SIGNALS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// A service that is slower than any test.
const FOR_EVER: [&str; 2] = ["--service", "sleep:100000"];

fn an_idle_server_ends(scene: &Scene, paradigm: Paradigm) {
    for signal in SIGNALS {
        let server = scene.server(paradigm).ready();
        server.signal(signal);
        server.ends().code(0);
        assert_eq!(scene.names(), [""; 0], "left after {signal}");
    }
}

fn an_idle_client_is_notified(scene: &Scene, paradigm: Paradigm) {
    for signal in SIGNALS {
        let server = scene.server(paradigm).ready();
        let client = scene.served_client("hello");
        server.signal(signal);
        client
            .ends()
            .code(1)
            .stdout("HELLO\n")
            .stderr(predicate::str::contains("the server is shutting down"));
        server.ends().code(0);
        assert_eq!(scene.names(), [""; 0], "left after {signal}");
    }
}

fn a_running_request_is_answered(scene: &Scene, paradigm: Paradigm) {
    for signal in SIGNALS {
        let grace = ["--grace", "30s", "--service", "sleep:300"];
        let server = scene.server(paradigm).args(grace).ready();
        let mark = scene.event_log().mark();
        let client = scene.client().arg("request").start();
        scene.event_log().wait_after(mark, What::RequestReceived, |_| true);
        server.signal(signal);
        client.ends().success().stdout("request\n").stderr("");
        server.ends().code(0);
        assert_eq!(scene.names(), [""; 0], "left after {signal}");
    }
}

/// A terminal sends Ctrl-C to the server and all its subservers. A service manager sends SIGTERM to all, so a
/// subserver gets it twice, from the manager and from its main server.
fn a_signal_to_the_whole_group_lets_a_running_request_be_answered(scene: &Scene, paradigm: Paradigm) {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let options = ["--grace", "30s", "--service", "sleep:300"];
        let server = scene.server(paradigm).args(options).in_own_group().ready();
        let mark = scene.event_log().mark();
        let client = scene.client().arg("request").start();
        scene.event_log().wait_after(mark, What::RequestReceived, |_| true);
        server.signal_group(signal);
        client.ends().success().stdout("request\n").stderr("");
        server.ends().code(0);
    }
}

fn a_client_at_any_step_of_its_handshake_does_not_delay_the_shutdown(scene: &Scene, paradigm: Paradigm) {
    for what in HANDSHAKE {
        // The server must not need its timeout or its grace to end.
        let server = scene.server(paradigm).args(["--handshake-timeout", "50s", "--grace", "50s"]).ready();
        let client = scene.client().args(["--timeout", "300ms", "hello"]).gated().start();
        client.step_until(what);
        server.shuts_down();
        client.go_on();
        // An unconnected client looks for another server until its deadline. Status 3: no server read its
        // HELLO; status 1: a server did.
        let (code, message) = match what {
            What::PrivateCreated | What::WkpOpened => (3, "client: cannot connect to \"mario\""),
            What::ReadySent => (1, "client: the connection is"),
            _ => (1, "client: cannot connect to \"mario\""),
        };
        client.ends().stdout("").code(code).stderr(predicate::str::starts_with(message));
        assert_eq!(scene.names(), [""; 0], "left after {what:?}");
    }
}

fn pending_clients_are_served_by_the_next_server(scene: &Scene, paradigm: Paradigm) {
    let launch = scene.server(paradigm);
    let server =
        if paradigm == Paradigm::Basic { launch } else { launch.args(["--max-clients", "1"]) }.ready();
    let first = scene.served_client("hello");
    let pending: Vec<_> =
        (0..3).map(|_| scene.client().args(["--timeout", "60s", "hello"]).start()).collect();
    let sign = if paradigm == Paradigm::Basic { What::PrivateCreated } else { What::AwaitingAck };
    scene.event_log().wait_for_many(3, sign, |event| event.pid != first.pid());
    server.signal(Signal::SIGTERM);
    first.ends().code(1).stderr(predicate::str::contains("the server is shutting down"));
    server.ends().code(0);
    scene.server(paradigm).ready();
    for client in pending {
        client.ends().success().stdout("HELLO\n").stderr("");
    }
}

/// Two signals of one kind could merge into one, so these are of two kinds. The kernel delivers pending
/// signals in the order of their numbers.
fn a_second_signal_ends_at_once(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(FOR_EVER).args(["--grace", "50s"]).ready();
    let client = scene.client().arg("request").start();
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    server.signal(Signal::SIGINT);
    server.signal(Signal::SIGTERM);
    server.ends_by(Signal::SIGTERM);
    client.ends().code(1).stdout("").stderr(predicate::str::contains("with 1 unanswered"));
}

/// The event shows that the server took the first signal. The basic server logs none: it is in its session
/// then.
fn the_same_signal_twice_ends_at_once(scene: &Scene, paradigm: Paradigm) {
    for signal in SIGNALS {
        let mark = scene.event_log().mark();
        let server = scene.server(paradigm).args(FOR_EVER).args(["--grace", "50s"]).ready();
        let client = scene.client().arg("request").start();
        scene.event_log().wait_after(mark, What::RequestReceived, |_| true);
        server.signal(signal);
        scene.event_log().wait_after(mark, What::AskedToEnd, |_| true);
        server.signal(signal);
        server.ends_by(signal);
        client.ends().code(1).stdout("").stderr(predicate::str::contains("with 1 unanswered"));
        assert_eq!(scene.names(), [""; 0], "left after {signal}");
    }
}

fn a_burst_of_signals_leaves_nothing(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(FOR_EVER).args(["--grace", "50s"]).ready();
    let client = scene.client().arg("request").start();
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    for signal in SIGNALS.into_iter().cycle().take(30) {
        server.try_signal(signal);
    }
    server.ends().interrupted();
    client.ends().code(1).stdout("");
}

fn a_request_longer_than_the_grace_is_cut_off(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(FOR_EVER).args(["--grace", "200ms"]).ready();
    let client = scene.client().arg("request").start();
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    server.shuts_down();
    client.ends().code(1).stdout("").stderr(predicate::str::contains("with 1 unanswered"));
}
