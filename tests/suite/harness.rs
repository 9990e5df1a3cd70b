//! Tests of the harness itself: what it guarantees for the programs that it starts.

use std::env;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use workspace_tests::{Refusal, Scene, Tool, needs, tests};

tests! {
    a_program_has_the_default_signals;
    a_refused_call_fails_in_a_program_and_in_what_it_starts;
}

fn a_program_has_the_default_signals(scene: &Scene) {
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE] {
        let program = scene.client_at("cat").typing().start();
        program.type_line("here");
        program.prints("here\n");
        program.signal(signal);
        program.ends_by(signal);
    }
}

/// Runs the test above in a shell that ignores signals, as nohup(1) or a script's background job does.
#[test]
fn a_program_has_the_default_signals_whatever_the_test_ignores() {
    let again =
        "trap '' HUP INT QUIT TERM; exec \"$0\" --exact harness::a_program_has_the_default_signals::once";
    let test = env::current_exe().expect("a test runs in a program");
    let output = Command::new("sh").args(["-c", again]).arg(test).output().expect("sh(1)");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 1 passed"), "{said}");
}

/// Runs a test that needs Python, with an empty PATH.
#[test]
fn a_missing_tool_is_reported_and_fails_in_ci() {
    let test = env::current_exe().expect("a test runs in a program");
    let run = |ci: &str| {
        let mut run = Command::new(&test);
        run.args(["--exact", "page_clients::a_client_in_python_is_served::basic"]);
        run.env("PATH", "").env("CI", ci).output().expect("the test program starts")
    };
    let why = "there is no python3 here: apt-get install python3";
    let (home, ci) = (run(""), run("true"));
    let said = String::from_utf8_lossy(&home.stderr);
    assert!(home.status.success() && said.starts_with("NOT RUN: page_clients::"), "{said}");
    assert!(said.ends_with(&format!(": {why}\n")), "{said}");
    let said = String::from_utf8_lossy(&ci.stdout);
    assert!(!ci.status.success() && said.contains(why), "{said}");
}

fn a_refused_call_fails_in_a_program_and_in_what_it_starts(scene: &Scene) {
    if !needs(&[Tool::Seccomp]) {
        return;
    }
    // chown -h calls fchownat(2) with AT_SYMLINK_NOFOLLOW (0x100) in its flags.
    let refusals = || [Refusal::of("fchownat", Errno::EUCLEAN).when(4, 0x100, 0x100)];
    for program in [vec!["chown", "-h"], vec!["sh", "-c", "chown -h \"$0\" \"$1\"; exit $?"]] {
        let client =
            scene.client_at(program[0]).args(&program[1..]).args([&owner(), "."]).refusing(refusals());
        let client = client.through(["env", "LC_ALL=C"]);
        let end = client.run().failure();
        let said = String::from_utf8_lossy(&end.get_output().stderr).into_owned();
        assert!(said.contains("Structure needs cleaning"), "{said}");
    }
    scene.client_at("chown").args([&owner(), "."]).refusing(refusals()).run().success();
}

/// This user's number.
fn owner() -> String {
    nix::unistd::geteuid().to_string()
}
