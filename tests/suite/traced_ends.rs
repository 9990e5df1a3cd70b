//! The ends of a trace: limits, SIGKILL, errors, and programs that are not to be traced.

use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use pipe_watch::event::{Call, Source};
use pipe_watch::look::Access;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::proc::living_in;
use workspace_tests::traced::traced_program;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Launch, Refusal, Scene, Tool, needs, not_run, tests};

use crate::tracing::{Trace, of, traced};

tests! {
    descendants_are_traced_to_their_end;
    descendants_that_stay_are_ended;
    a_child_from_before_does_not_delay_the_end;
    a_killed_lab_leaves_no_process;
    a_program_that_forks_without_end_is_killed;
    a_program_that_starts_programs_without_end_is_killed;
    further_events_are_counted;
    a_full_disk_is_reported;
    a_program_that_is_missing_is_reported;
    a_missing_pipe_is_seen_and_a_missing_library_is_not;
    a_refusal_names_the_way_out;
    a_program_with_another_user_s_rights_is_reported;
}

const COMPILER: &[Tool] = &[Tool::CCompiler];

/// One ends by itself after the first process.
fn descendants_are_traced_to_their_end(scene: &Scene) {
    if !needs(COMPILER) {
        return;
    }
    let trace = Trace::new();
    let program = traced_program();
    let command = [program.as_os_str(), "orphans".as_ref(), "1".as_ref()];
    trace.launch(scene, &["--linger", "60s"], command).run().success().stderr("");
    let events = trace.events();
    assert_eq!((of(&events, Call::Exit).len(), of(&events, Call::Unlink).len()), (2, 1));
}

fn descendants_that_stay_are_ended(scene: &Scene) {
    if !needs(COMPILER) {
        return;
    }
    let trace = Trace::new();
    let program = traced_program();
    let command = [program.as_os_str(), "orphans".as_ref(), "0".as_ref()];
    let begin = Instant::now();
    trace.launch(scene, &["--linger", "100ms"], command).run().success();
    assert!(begin.elapsed() >= Duration::from_millis(100));
    let events = trace.events();
    assert_eq!(of(&events, Call::Exit).last().and_then(|exit| exit.signal.as_deref()), Some("SIGTERM"));
}

/// The shell becomes the lab, which has its child then.
fn a_child_from_before_does_not_delay_the_end(scene: &Scene) {
    let begin = Instant::now();
    let trace = Trace::new();
    let lab = trace.launch(scene, &[], ["true"]);
    lab.through(["sh", "-c", "(cd /; exec sleep 40) >/dev/null 2>&1 & exec \"$@\"", "sh"]).run().success();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

/// At 100 moments from before its first system call until processes come and go.
fn a_killed_lab_leaves_no_process(scene: &Scene) {
    if !needs(COMPILER) {
        return;
    }
    let program = traced_program();
    let script = "while :; do \"$0\" messages 20; done";
    let words: Vec<OsString> =
        ["sh", "-c", script].map(Into::into).into_iter().chain([program.into()]).collect();
    for round in 0..100_u64 {
        let lab = Trace::new().launch(scene, &[], &words).start();
        // Spread over 40 ms, in no order.
        let moment = Duration::from_micros(round * round * 7919 % 40_000);
        let begin = Instant::now();
        until_true("the moment", || begin.elapsed() >= moment);
        lab.try_signal(Signal::SIGKILL);
        lab.ends();
        until(format_args!("round {round}: no process to be left"), || {
            living_in(scene.place()).is_empty().then_some(())
        });
    }
}

/// Runs a program that starts others without end, in a PID namespace with a limit.
fn storm(scene: &Scene, name: &str) {
    if !needs(&[Tool::CCompiler, Tool::Command("unshare"), Tool::Command("prlimit")]) {
        return;
    }
    let cage = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let tried = Command::new(cage[0]).args(&cage[1..]).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        not_run("unshare(1) may make no PID namespace here");
        return;
    }
    let trace = Trace::new();
    let program = traced_program();
    let lab = trace.launch(
        scene,
        &["--max-events", "100", "--max-processes", "1000"],
        [program.as_os_str(), name.as_ref()],
    );
    let begin = Instant::now();
    lab.through(cage)
        .through(["prlimit", "--nproc=3000"])
        .run()
        .stderr(contains("the program was killed: it started more than 1000 processes and programs"));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(trace.events().len(), 100);
}

fn a_program_that_forks_without_end_is_killed(scene: &Scene) {
    storm(scene, "fork-storm");
}

fn a_program_that_starts_programs_without_end_is_killed(scene: &Scene) {
    storm(scene, "exec-storm");
}

fn further_events_are_counted(scene: &Scene) {
    if !needs(COMPILER) {
        return;
    }
    let trace = Trace::new();
    let program = traced_program();
    let command = [program.as_os_str(), "messages".as_ref(), "1000".as_ref()];
    let end = trace.launch(scene, &["--max-events", "50", "--data", "0"], command).run().success();
    end.stderr(contains("more events were left out: --max-events has the limit"));
    let events = trace.events();
    assert!(events.len() == 50 && events.iter().all(|event| event.data.is_none()));
}

fn a_full_disk_is_reported(scene: &Scene) {
    std::os::unix::fs::symlink("/dev/full", scene.path("full.jsonl")).expect("a link of the scene");
    let lab = scene.lab().args(["trace", "-o", "full.jsonl", "--", "sh", "-c", "echo hi | cat"]);
    lab.run().code(3).stdout("hi\n").stderr(contains("ENOSPC"));
    fs::remove_file(scene.path("full.jsonl")).expect("the link of the scene");
}

fn a_program_that_is_missing_is_reported(scene: &Scene) {
    let trace = Trace::new();
    trace
        .launch(scene, &[], ["./missing"])
        .run()
        .code(3)
        .stderr(contains("cannot run ./missing: No such file"));
    trace.launch(scene, &[], ["/"]).run().code(3).stderr(contains("cannot run /: Permission denied"));
}

/// A student's first mistake: the server has not made its pipe.
fn a_missing_pipe_is_seen_and_a_missing_library_is_not(scene: &Scene) {
    let open = |script: &str| {
        let trace = Trace::new();
        trace.launch(scene, &[], ["sh", "-c", script]).run();
        let events = trace.events();
        of(&events, Call::Open).into_iter().cloned().collect::<Vec<_>>()
    };
    for script in ["exec 3<mario", "cat ./mario; mkfifo mario; rm mario"] {
        let opens = open(script);
        assert_eq!(opens.len(), 1, "{script}: {opens:?}");
        assert!(opens[0].path.as_deref().is_some_and(|path| path.ends_with("mario")));
    }
    assert_eq!(open("LC_ALL=de_DE.UTF-8 ls /nothing /dev/null").len(), 0);
    if needs(&[Tool::Command("python3")]) {
        let events =
            traced(scene, ["python3", "-c", "import json, socket, subprocess, curses, sqlite3, ssl"]);
        assert_eq!(of(&events, Call::Open), [] as [&pipe_watch::event::Event; 0]);
    }
}

/// Where the program may not be traced, the lab looks at it.
fn a_refusal_names_the_way_out(scene: &Scene) {
    let trace = Trace::new();
    // cat waits in open(2), far longer than the time between two looks.
    let command = ["sh", "-c", "mkfifo mario; cat mario & sleep 0.3; : > mario; wait; rm mario"];
    let lab = || trace.launch(scene, &[], command);
    let looked = |lab: Launch<'_>, way_out: &str| {
        lab.run().success().stderr(contains(way_out).and(contains("short events are missing")));
        let events = trace.events();
        assert!(events.iter().all(|event| event.source == Source::Look));
        let waits = of(&events, Call::Open).into_iter().find(|open| open.took.is_some());
        let waits = waits.unwrap_or_else(|| panic!("no wait in open(2): {events:#?}"));
        assert_eq!((waits.path.as_deref(), waits.access), (Some("mario"), Some(Access::Read)));
    };
    if needs(&[Tool::Strace]) {
        let strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=exit_group"];
        looked(lab().through(strace), "(strace) traces this one already");
    }
    if !needs(&[Tool::Seccomp]) {
        return;
    }
    let refusing = |refused, way_out: &str| looked(lab().refusing([refused]), way_out);
    refusing(Refusal::of("ptrace", Errno::EPERM), "docker run --cap-add SYS_PTRACE");
    // Further events are counted, and the program goes on. Its status is in the trace.
    let script = "mkfifo p; cat p & sleep 0.2; : >p; wait; rm p; echo done; kill -KILL $$";
    let lab = trace.launch(scene, &["--max-events", "3"], ["sh", "-c", script]);
    let end = lab.refusing([Refusal::of("ptrace", Errno::EPERM)]).run().stdout("done\n");
    end.stderr(contains("more events were left out: --max-events has the limit"));
    assert_eq!(trace.events().len(), 3);
    let lab = trace.launch(scene, &[], ["sh", "-c", "sleep 0.1; kill -KILL $$"]);
    lab.refusing([Refusal::of("ptrace", Errno::EPERM)]).run();
    let events = trace.events();
    assert!(of(&events, Call::Exit).iter().any(|exit| exit.signal.as_deref() == Some("SIGKILL")));
    // PTRACE_GET_SYSCALL_INFO.
    let old = Refusal::of("ptrace", Errno::EIO).when(0, u64::MAX, 0x420e);
    refusing(old, "Linux 5.3 or later is needed");
    // PR_SET_SECCOMP.
    let filter = Refusal::of("prctl", Errno::EINVAL).when(0, u64::MAX, 22);
    refusing(filter, "CONFIG_SECCOMP_FILTER");
}

/// For root, such a program is nothing special.
fn a_program_with_another_user_s_rights_is_reported(scene: &Scene) {
    if !workspace_tests::is_root() || !needs(&[Tool::Command("setpriv")]) {
        return;
    }
    let trace = Trace::new();
    fs::write(trace.file(), "").expect("a file of ours");
    let command = ["setpriv", "--reuid=61099", "--clear-groups", "su", "--version"];
    trace.launch(scene, &[], command).run().success().stderr(contains("su is a set-user-ID program"));
}
