//! Servers and subservers in gdb, as docs/where-it-runs.md says.

use std::fs;
use std::rc::Rc;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use predicates::str::contains;
use workspace_tests::wait::{WATCHDOG, until_true};
use workspace_tests::{Paradigm, Program, Scene, Tool, each, needs};

each! {
    a_debugged_server_serves in basic forking dispatch shared: row_49;
    a_subserver_stops_at_a_breakpoint in forking dispatch shared: row_49;
}

/// gdb follows the server, which goes on when a subserver starts and when it ends. A breakpoint in the
/// subserver's code ends no subserver.
fn a_debugged_server_serves(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("gdb")]) {
        return;
    }
    let debugger = debugged(scene, paradigm, "parent");
    scene.serves("one", "ONE");
    scene.serves("two", "TWO");
    let server = scene.event_log().all(|event| event.what == What::WkpCreated)[0].pid;
    scene.signal_server(server, Signal::SIGTERM);
    // In basic the server itself reaches the breakpoint.
    let stops = if paradigm == Paradigm::Basic { 2 } else { 0 };
    debugger.ends().code(0).stdout(contains("at the breakpoint").count(stops)).stdout(contains(EXITED));
    assert_eq!(scene.names(), [""; 0]);
}

/// gdb follows the first subserver, and detaches from the main server.
fn a_subserver_stops_at_a_breakpoint(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("gdb")]) {
        return;
    }
    let debugger = debugged(scene, paradigm, "child");
    scene.serves("one", "ONE");
    debugger.ends().code(0).stdout(contains("at the breakpoint").count(1)).stdout(contains(EXITED));
    scene.serves("two", "TWO");
    let server = scene.event_log().all(|event| event.what == What::WkpCreated)[0].pid;
    scene.signal_server(server, Signal::SIGTERM);
    // gdb was the server's parent, so the server is awaited like a subserver.
    scene.subservers_end(WATCHDOG);
    assert_eq!(scene.names(), [""; 0]);
}

const EXITED: &str = "exited normally";

/// Starts a server in gdb, as docs/where-it-runs.md says, and waits until it is ready.
fn debugged(scene: &Scene, paradigm: Paradigm, follows: &str) -> Rc<Program> {
    let script = [
        "set debuginfod enabled off",
        "handle SIGTERM SIGPIPE nostop noprint pass",
        &format!("set follow-fork-mode {follows}"),
        "break serve_client",
        "commands",
        "silent",
        r#"printf "at the breakpoint\n""#,
        "continue",
        "end",
        "run",
    ];
    fs::write(scene.path("../log/gdb.script"), script.map(|line| format!("{line}\n")).concat())
        .expect("a file");
    let gdb = ["gdb", "-q", "-nx", "-batch", "-x", "../log/gdb.script", "--args"];
    let debugger = scene.server(paradigm).args(["--handshake-timeout", "0"]).through(gdb).start();
    until_true("the server to be ready", || {
        !scene.event_log().all(|event| event.what == What::Waiting).is_empty()
    });
    debugger
}
