//! The options of `lab why`: which processes, how often, in which form; and what it may not see.

use std::fs;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::peers::hanging_program;
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, Tool, is_root, needs, path_of};

use crate::hung::{Hung, may_look, says};

/// A prompt waits for its user, and the server for the prompt: that is a session, not a hang.
#[test]
fn a_session_is_not_stuck() {
    if !may_look() {
        return;
    }
    let scene = Scene::new();
    let server = scene.server(Paradigm::Forking).ready();
    let client = scene.client().typing().start();
    client.type_line("hello");
    client.prints("HELLO\n");
    let place = scene.place().to_string_lossy().into_owned();
    scene.lab().args(["why", "--in", &place]).run().code(0).stdout(says("✔ no process is stuck"));
    client.close_stdin();
    client.ends().success();
    assert!(server.is_running());
    scene.end();
}

/// What is hidden is said, with the way to see it.
#[test]
fn another_users_process_is_hidden() {
    if !is_root() {
        return;
    }
    let Some(hung) = Hung::in_c("held-end") else { return };
    let hung = hung.waits(&[("reader", "read"), ("holder", "pause")]);
    let pid = hung.program.pid().to_string();
    let other_user = hung.scene.lab().as_user(61_100).args(["why", &pid]).run();
    other_user
        .code(0)
        .stdout(says("• @reader sleeps; all else of it is hidden."))
        .stdout(says("• no process is seen to be stuck"))
        .stdout(says("• # processes of other users, or not dumpable, hide their pipe ends; root sees them"));
    hung.end();
}

/// To another user, a process that hides its pipes may hold a further end.
#[test]
fn the_only_end_is_the_only_one_that_can_be_seen() {
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !is_root() || !needs(&[Tool::CCompiler]) || !matches!(yama.trim(), "" | "0") {
        return;
    }
    let scene = Scene::new();
    let program = scene.client_at(hanging_program()).arg("own-reader").as_user(61_100).start();
    let hung = Hung { scene, program }.waits(&[("writer", "write")]);
    let pid = hung.program.pid().to_string();
    let end = hung.scene.lab().as_user(61_100).args(["why", &pid]).run().code(1);
    end.stdout(contains("The only read end that can be seen is its own, descriptor 3.\n"))
        .stdout(says("• # processes of other users, or not dumpable, hide their pipe ends; root sees them"));
    hung.end();
}

#[test]
fn a_poll_waits_for_the_first_writer() {
    let Some(hung) = Hung::in_c("poll-alone") else { return };
    let hung = hung.waits(&[("reader", "poll")]);
    hung.why(&[])
        .code(0)
        .stdout(says(
            "• @reader waits in poll(3) on luigi (0 of # bytes in it). No process that can be seen has the \
             write end open.",
        ))
        .stdout(says("• no process is seen to be stuck"));
    hung.end();
}

#[test]
fn the_processes_of_a_directory_and_of_a_shell_are_found() {
    if !needs(&[Tool::CCompiler]) || !may_look() {
        return;
    }
    let scene = Scene::new();
    let (hang, lab) = (hanging_program(), path_of("lab"));
    let script = format!("{hang:?} both-read-first & read line; {lab:?} why --children");
    let shell = scene.client_at("sh").args(["-c", &script]).typing().start();
    let hung = Hung { scene, program: shell };
    let hung = hung.waits(&[("first", "open"), ("second", "open")]);
    hung.program.type_line("");
    hung.program.ends().code(1).stdout(contains("✘ likely deadlock: "));
    let place = hung.scene.place().to_owned();
    hung.scene.lab().args(["why", "--in"]).arg(&place).run().code(1).stdout(contains("✘ likely deadlock: "));
    hung.end();
}

#[test]
fn json_has_the_same_findings() {
    let Some(hung) = Hung::in_c("held-end") else { return };
    let hung = hung.waits(&[("reader", "read"), ("holder", "pause")]);
    let end = hung.why(&["--json"]).code(1);
    let found: serde_json::Value = serde_json::from_slice(&end.get_output().stdout).expect("one JSON object");
    assert_eq!((&found["format"], &found["stuck"]), (&"lab-why".into(), &true.into()));
    let findings = found["findings"].as_array().expect("findings");
    let of = |name: &str| {
        let actor = format!(" ({name}) waits");
        findings.iter().find(|one| one["sentence"].to_string().contains(&actor)).expect("a finding of it")
    };
    let (reader, holder) = (of("reader"), of("holder"));
    assert_eq!((&reader["kind"], &reader["wait"]["call"]), (&"stuck".into(), &"read".into()));
    assert_eq!(reader["wait"]["pipes"][0]["bytes"], 0);
    assert_eq!(reader["needs"][0], holder["pid"]);
    hung.end();
}

/// `--watch` ends with the processes.
#[test]
fn a_watch_tells_each_change_once() {
    let Some(hung) = Hung::in_c("held-end") else { return };
    let hung = hung.waits(&[("reader", "read"), ("holder", "pause")]);
    let pid = hung.program.pid().to_string();
    let watch = hung.scene.lab().args(["why", &pid, "--watch", "10ms"]).start();
    until_true("the first sentence", || watch.printed().contains("likely remedy"));
    hung.program.kill();
    watch.ends();
    assert_eq!(watch.printed().matches("waits in read(3)").count(), 1, "{}", watch.printed());
    hung.end();
}

#[test]
fn a_wrong_command_line_is_refused() {
    let scene = Scene::new();
    for wrong in [
        &["why"] as &[_],
        &["why", "x"],
        &["why", "1", "--children"],
        &["why", "--in", "missing"],
        &["why", "1", "--watch", "0s"],
    ] {
        scene.lab().args(wrong).run().code(2).stdout("");
    }
    // The highest PID of Linux is 4194304.
    let end = scene.lab().args(["why", "4194305"]).run().code(2);
    end.stderr(contains("lab: cannot look at process 4194305: there is none").and(contains("hidepid")));
    scene.end();
}

/// At its timeouts the client says what the server does.
#[test]
fn a_client_that_waited_too_long_says_what_the_server_does() {
    for (paradigm, name) in [(Paradigm::Basic, "basic-server"), (Paradigm::Forking, "forking-server")] {
        let scene = Scene::new();
        let server = scene.server(paradigm).ready();
        let says = contains(format!("; {} ({name}) is stopped by a signal)", server.pid()));
        if paradigm == Paradigm::Basic {
            let client = scene.client().args(["--reply-timeout", "300ms"]).typing().start();
            client.type_line("hello");
            client.prints("HELLO\n");
            server.signal(Signal::SIGSTOP);
            client.type_line("again");
            client.ends().code(1).stderr(says);
        } else {
            server.signal(Signal::SIGSTOP);
            scene.client().args(["--timeout", "300ms", "hello"]).run().code(1).stderr(says);
        }
        server.signal(Signal::SIGCONT);
        scene.end();
    }
}
