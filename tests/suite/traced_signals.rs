//! Signals to `lab trace`: they end the program, unless they are ignored.

use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pipe_watch::event::Call;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::proc::living_in;
use workspace_tests::wait::until_true;
use workspace_tests::{Program, Scene, Terminal, tests};

use crate::tracing::{Trace, assert_consistent, of};

tests! {
    a_signal_to_the_lab_reaches_the_program;
    a_program_that_ignores_signals_is_killed;
    two_signals_at_once_are_one;
    a_key_of_the_terminal_reaches_other_groups;
    an_ignored_signal_ends_no_trace;
}

/// The program says that it runs, and waits.
fn waiting(scene: &Scene, script: &str) -> (Trace, Rc<Program>) {
    let trace = Trace::new();
    let lab = trace.launch(scene, &[], ["sh", "-c", script]).start();
    until_true("the program to run", || lab.printed().contains("runs"));
    (trace, lab)
}

/// It reacts, and the trace has it.
fn a_signal_to_the_lab_reaches_the_program(scene: &Scene) {
    let script = "trap 'echo ends | cat; exit 0' TERM; echo runs; mkfifo p; while :; do cat p; done";
    let (trace, lab) = waiting(scene, script);
    until_true("cat to wait in open(2)", || {
        let wchan = |pid: u32| fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        living_in(scene.place()).iter().any(|process| wchan(process.pid) == "wait_for_partner")
    });
    lab.signal(Signal::SIGTERM);
    lab.ends_by(Signal::SIGTERM).stdout("runs\nends\n");
    let events = trace.events();
    assert_consistent(&events);
    let signals: Vec<_> = of(&events, Call::Signal).into_iter().map(|event| event.signal.clone()).collect();
    assert!(signals.contains(&Some("SIGTERM".to_owned())), "{signals:?}");
    // Its open of the pipe has no result.
    let open = of(&events, Call::Open).into_iter().find(|event| event.path.as_deref() == Some("p"));
    let open = open.expect("the open that waited");
    assert!(open.took.is_none() && open.pipe.is_some());
    fs::remove_file(scene.path("p")).expect("the pipe is left");
}

fn a_program_that_ignores_signals_is_killed(scene: &Scene) {
    let (trace, lab) = waiting(scene, "trap '' TERM; echo runs; while :; do :; done");
    let begin = Instant::now();
    lab.signal(Signal::SIGTERM);
    lab.ends_by(Signal::SIGTERM);
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(of(&trace.events(), Call::Exit)[0].signal.as_deref(), Some("SIGKILL"));
    // The second signal kills at once.
    let (_trace, lab) = waiting(scene, "trap '' TERM INT; echo runs; while :; do :; done");
    let begin = Instant::now();
    lab.signal(Signal::SIGINT);
    until_true("250 ms to pass", || begin.elapsed() >= Duration::from_millis(250));
    lab.signal(Signal::SIGTERM);
    lab.ends_by(Signal::SIGINT);
    assert!(begin.elapsed() < Duration::from_secs(2));
}

/// timeout(1) sends its signal twice: to its child, and to its process group.
fn two_signals_at_once_are_one(scene: &Scene) {
    let script = "trap 'sleep 0.3; echo ends; exit 0' TERM; echo runs; while :; do sleep 0.01; done";
    let (_trace, lab) = waiting(scene, script);
    lab.signal(Signal::SIGTERM);
    lab.signal(Signal::SIGTERM);
    lab.ends_by(Signal::SIGTERM).stdout("runs\nends\n");
}

/// The terminal sends SIGINT to the group of the lab only.
fn a_key_of_the_terminal_reaches_other_groups(scene: &Scene) {
    let (trace, terminal) = (Trace::new(), Terminal::new());
    let other = "trap 'echo other; exit 0' INT; echo runs; while :; do sleep 0.05; done";
    let script = format!("trap 'echo own' INT; setsid sh -c \"{other}\"; true");
    let lab = trace.launch(scene, &[], ["sh", "-c", &script]).at_terminal_but_stdout(&terminal).start();
    until_true("the program to run", || lab.printed().contains("runs"));
    terminal.types("\x03");
    lab.ends_by(Signal::SIGINT).stdout("runs\nother\nown\n");
}

/// As with nohup(1).
fn an_ignored_signal_ends_no_trace(scene: &Scene) {
    let trace = Trace::new();
    let lab = trace.launch(scene, &[], ["sh", "-c", "echo runs; read line; echo $line"]).typing();
    let lab = lab.through(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]).start();
    until_true("the program to run", || lab.printed().contains("runs"));
    lab.signal(Signal::SIGHUP);
    lab.type_line("goes on");
    lab.ends().success().stdout("runs\ngoes on\n");
    // The program has the mask and the actions that the lab was started with.
    let signals = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let odd = ["env", "--block-signal=INT,CHLD", "--ignore-signal=CHLD,QUIT"];
    let end = trace.launch(scene, &[], signals).through(odd).run().success();
    end.stdout(contains("SigBlk:\t0000000000010002\n").and(contains("10004\n")));
}
