//! Subservers that end: each is reaped, even if the kernel could queue no signal for its end.

use std::process::Command;

use handshake_core::event::What;
use nix::libc;
use nix::sys::signal::Signal;
use workspace_tests::proc::children_of;
use workspace_tests::steps::{another_client_is_served_soon, load, report};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Program, Scene, Tool, each, needs};

each! {
    thirty_subservers_killed_at_one_instant_are_all_reaped in forking dispatch shared: row_13 row_22;
    no_subserver_stays_a_zombie_if_no_signal_can_be_queued in forking dispatch shared: row_13 row_22;
    exit_signals_without_an_exit_change_nothing in forking dispatch shared: row_22 row_32;
}

fn no_zombie(server: &Program) {
    until_true("the server to have no zombie", || children_of(server.pid()).is_empty());
}

/// The server is stopped while its subservers are killed.
fn thirty_subservers_killed_at_one_instant_are_all_reaped(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["-q", "--service", "echo"]).ready();
    let lab = load(scene, &["--connections", "30", "--requests", "1", "--hold"]).typing().start();
    scene.event_log().wait_for_many(30, What::ReplySent, |_| true);
    server.signal(Signal::SIGSTOP);
    let subservers = children_of(server.pid());
    for subserver in &subservers {
        scene.signal_server(subserver.pid, Signal::SIGKILL);
    }
    server.signal(Signal::SIGCONT);
    scene
        .event_log()
        .wait_for_many(30, What::SubserverReaped, |event| event.text.as_deref() == Some("SIGKILL"));
    assert_eq!(subservers.len(), 30);
    no_zombie(&server);
    lab.close_stdin();
    report(&lab);
    scene.serves("another", "another");
}

fn no_subserver_stays_a_zombie_if_no_signal_can_be_queued(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("prlimit")]) {
        return;
    }
    let server = scene.server(paradigm).args(["--service", "upper"]).through(["prlimit", "--sigpending=0"]);
    let server = server.ready();
    let client = scene.served_client("hello");
    another_client_is_served_soon(scene);
    scene.signal_server(scene.event_log().server_of(client.pid()), Signal::SIGKILL);
    client.ends().code(1);
    no_zombie(&server);
    scene.event_log().wait_for_many(2, What::SubserverReaped, |_| true);
    // The server must end this subserver, and must notice its end.
    let last = scene.served_client("last");
    server.shuts_down();
    last.ends().code(1);
}

/// Sends the signal that reports a child's exit, without an exit, and SIGCHLD. Stops and continues a child,
/// which also raises SIGCHLD.
fn exit_signals_without_an_exit_change_nothing(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let client = scene.served_client("hello");
    let subserver = scene.event_log().server_of(client.pid());
    for pid in [server.pid(), subserver] {
        let of_end = format!("-{}", libc::SIGRTMIN());
        assert!(
            Command::new("kill")
                .args([of_end, pid.to_string()])
                .status()
                .expect("the command starts")
                .success()
        );
        scene.signal_server(pid, Signal::SIGCHLD);
    }
    scene.signal_server(subserver, Signal::SIGSTOP);
    another_client_is_served_soon(scene);
    scene.signal_server(subserver, Signal::SIGCONT);
    client.type_line("again");
    client.prints("HELLO\nAGAIN\n");
    client.leaves().stderr("");
    no_zombie(&server);
}
