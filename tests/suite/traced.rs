//! What `lab trace` records of tests/traced/traced.c: no event less, and none more, than strace(1) sees.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use pipe_watch::event::{Call, Event};
use tempfile::TempDir;
use workspace_tests::peers::DIALECTS;
use workspace_tests::traced::{static_traced_program, traced_program};
use workspace_tests::{Scene, Tool, needs, tests};

use crate::tracing::{in_shell, left, of, traced};

tests! {
    each_way_to_move_bytes_is_seen;
    inodes_that_come_back_are_other_pipes;
    threads_and_shared_descriptors_are_followed;
    signals_of_all_numbers_are_delivered;
    a_process_that_stops_goes_on;
    a_call_that_a_signal_interrupts_goes_on_or_fails;
    programs_that_become_others_are_followed;
    a_reader_that_waits_in_open_gets_the_bytes_of_a_writer_that_left;
    no_child_escapes;
    strace_sees_the_same_calls;
    strace_sees_the_same_calls_of_peers;
}

fn scene_of(scene: &Scene, name: &str) -> Vec<Event> {
    traced(scene, [traced_program().as_os_str(), name.as_ref()])
}

fn each_way_to_move_bytes_is_seen(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "transfers");
    let data = |call| of(&events, call).into_iter().filter_map(|e| e.data.clone()).collect::<Vec<_>>();
    let binary = r#"\x00\n\"\xff"#;
    assert_eq!(data(Call::Write), ["abcdef", "spliced", "ab", binary]);
    assert_eq!(data(Call::Read), ["abcdef", "splicedspliced", "mapped", "ab", binary]);
    let errors: Vec<_> = events.iter().filter_map(|event| event.errno.as_deref()).collect();
    assert_eq!(errors, ["EAGAIN", "EFAULT", "EPIPE"]);
    assert!(left(&events).is_empty());
    let events = scene_of(scene, "copies");
    assert_eq!((of(&events, Call::Dup).len(), of(&events, Call::Close).len()), (5, 8));
    assert_eq!(of(&events, Call::Read).last().map(|event| event.ret), Some(Some(0)));
    let events = scene_of(scene, "flood");
    let bytes = |call| of(&events, call).into_iter().filter_map(|event| event.ret).sum::<i64>();
    assert_eq!((bytes(Call::Write), bytes(Call::Read)), (2_000_000, 2_000_000));
    let polls = scene_of(scene, "polls");
    let polls: Vec<_> = of(&polls, Call::Poll).into_iter().map(|e| (e.ends.len(), e.fd.is_some())).collect();
    assert_eq!(polls, [(1, false), (2, true), (1, true)]);
}

fn inodes_that_come_back_are_other_pipes(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "fifos");
    let made: Vec<_> = of(&events, Call::Mkfifo).into_iter().filter(|event| event.ret.is_some()).collect();
    assert_eq!(made.len(), 2);
    assert_ne!(made[0].pipe, made[1].pipe);
    for (fifo, text) in made.into_iter().zip(["one", "two"]) {
        let calls: Vec<_> =
            events.iter().filter(|event| event.pipe == fifo.pipe).map(|event| event.call).collect();
        use Call::{Close, Mkfifo, Open, Read, Rename, Unlink, Write};
        let expected =
            [Mkfifo, Mkfifo, Open, Open, Rename, Open, Unlink, Write, Read, Close, Close].as_slice();
        assert_eq!(calls, expected);
        let write = events.iter().find(|event| event.pipe == fifo.pipe && event.call == Write).unwrap();
        assert_eq!((write.data.as_deref(), write.path.as_deref()), (Some(text), Some("moved")));
    }
    let missing = of(&events, Call::Open).into_iter().filter(|e| e.errno.as_deref() == Some("ENOENT"));
    assert_eq!(missing.count(), 2, "no library that the loader has not found");
}

fn threads_and_shared_descriptors_are_followed(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "threads");
    let write = of(&events, Call::Write)[0];
    assert!(write.tid.is_some_and(|tid| tid != write.pid) && of(&events, Call::Fork).is_empty());
    assert_eq!(of(&events, Call::Exit).len(), 1);
    let events = scene_of(scene, "thread-exec");
    let exec = of(&events, Call::Exec)[1];
    assert_eq!((exec.who.as_deref(), exec.tid), (Some("echo"), None));
    assert!(of(&events, Call::Write)[0].pid == exec.pid && of(&events, Call::Exit).len() == 2);
    let events = scene_of(scene, "clone-files");
    let closed = of(&events, Call::Close);
    let (child, parent) = (closed[0].pid, closed[1].pid);
    assert!(child != parent && (closed[0].fd, closed[0].pipe) == (closed[1].fd, closed[1].pipe));
    // Closed in a table of its own: the parent still writes.
    assert_eq!(of(&events, Call::Write)[0].data.as_deref(), Some("mine"));
}

fn signals_of_all_numbers_are_delivered(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "signals");
    let names: Vec<_> = of(&events, Call::Signal).into_iter().filter_map(|e| e.signal.clone()).collect();
    let real_time = |number: usize| match number {
        0 => "SIGRTMIN".to_owned(),
        number => format!("SIGRTMIN+{number}"),
    };
    let expected = [vec!["SIGUSR1".to_owned()], (0..=30).chain([30]).map(real_time).collect()].concat();
    assert_eq!(names, expected);
    let killed = of(&events, Call::Exit)[0];
    assert_eq!((killed.signal.as_deref(), killed.ret), (Some("SIGRTMIN+30"), None));
}

fn a_process_that_stops_goes_on(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "stopped");
    let names: Vec<_> = of(&events, Call::Signal).into_iter().filter_map(|e| e.signal.clone()).collect();
    assert_eq!(names, ["SIGSTOP", "SIGCONT", "SIGSTOP", "SIGCONT"]);
    // One read, although it was stopped in it.
    assert_eq!(of(&events, Call::Read).len(), 2);
    assert_eq!(of(&events, Call::Wait).into_iter().filter(|wait| wait.peer.is_some()).count(), 1);
}

fn a_call_that_a_signal_interrupts_goes_on_or_fails(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "restarts");
    let reads: Vec<_> = of(&events, Call::Read).into_iter().map(|e| (e.ret, e.errno.as_deref())).collect();
    assert_eq!(reads, [(Some(1), None), (None, Some("EINTR")), (Some(1), None)]);
    let events = scene_of(scene, "retries");
    let reads: Vec<_> = of(&events, Call::Read).into_iter().map(|e| (e.ret, e.errno.as_deref())).collect();
    let failed = (None, Some("EINTR"));
    assert_eq!(reads, [failed, failed, failed, failed, (Some(1), None)]);
}

fn programs_that_become_others_are_followed(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = traced(scene, [traced_program().as_os_str(), "chain".as_ref(), "200".as_ref()]);
    assert_eq!(of(&events, Call::Exec).len(), 201);
    let events = scene_of(scene, "vforks");
    let execs: Vec<_> =
        of(&events, Call::Exec).into_iter().map(|e| (e.who.as_deref(), e.errno.as_deref())).collect();
    assert_eq!(execs, [(Some("traced"), None), (Some("echo"), None), (Some("traced"), Some("ENOENT"))]);
}

fn a_reader_that_waits_in_open_gets_the_bytes_of_a_writer_that_left(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "rendezvous");
    assert!(left(&events).is_empty(), "all bytes belong to the pipe that they were written into");
    assert_eq!(of(&events, Call::Open).len(), 100);
}

fn no_child_escapes(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let events = scene_of(scene, "untraced");
    assert_eq!(of(&events, Call::Write)[0].data.as_deref(), Some("seen"));
    assert_eq!(of(&events, Call::Exit).len(), 2);
}

/// The calls that strace(1) counts, by what an event calls them.
const COUNTED: [(Call, &[&str]); 11] = [
    (Call::Read, &["read", "readv", "preadv2"]),
    (Call::Write, &["write", "writev", "pwritev2"]),
    (Call::Splice, &["splice", "tee", "vmsplice"]),
    (Call::Open, &["open", "openat"]),
    (Call::Mkfifo, &["mknod", "mknodat"]),
    (Call::Pipe, &["pipe", "pipe2"]),
    (Call::Dup, &["dup", "dup2", "dup3", "fcntl"]),
    (Call::Unlink, &["unlink", "unlinkat"]),
    (Call::Rename, &["rename", "renameat", "renameat2"]),
    (Call::Kill, &["kill", "tkill", "tgkill", "rt_sigqueueinfo"]),
    (Call::Fork, &["fork", "vfork", "clone", "clone3"]),
];

/// Counts the calls about pipes in the output of `strace -f -yy`. `fifos` are the names of the FIFOs.
fn count(trace: &str, fifos: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::<String, usize>::new();
    for line in trace.lines() {
        let Some((_, line)) = line.split_once(' ') else { continue };
        let line = line.trim_start();
        let resumed = line.strip_prefix("<... ").and_then(|line| line.split_once(' '));
        let name = resumed.map_or_else(|| line.split('(').next().unwrap_or_default(), |(name, _)| name);
        let Some((call, _)) = COUNTED.iter().find(|(_, names)| names.contains(&name)) else { continue };
        let count = counts.entry(format!("{call:?}")).or_default();
        // It goes on as another call of the same name.
        let restarts = ["ERESTARTSYS", "ERESTARTNOHAND", "ERESTARTNOINTR"];
        let goes_on = restarts.iter().any(|error| line.contains(&format!(" = ? {error}")));
        let arguments = line.split_once('(').map_or("", |(_, arguments)| arguments);
        let first = arguments.split([',', ')']).next().unwrap_or_default();
        let is_fifo = |text: &str| {
            let names = fifos.iter().any(|fifo| text.contains(&format!("/{fifo}>")));
            text.contains("<pipe:[") || names
        };
        let has_name = fifos.iter().any(|fifo| arguments.contains(&format!("{fifo}\"")));
        let is_counted = resumed.is_none()
            && match call {
                Call::Splice => is_fifo(arguments),
                Call::Read | Call::Write => is_fifo(first),
                Call::Dup => is_fifo(first) && (name != "fcntl" || arguments.contains("F_DUPFD")),
                Call::Open | Call::Unlink | Call::Rename => has_name,
                Call::Mkfifo => arguments.contains("S_IFIFO"),
                Call::Fork => !arguments.contains("CLONE_THREAD"),
                _ => true,
            };
        *count += usize::from(is_counted);
        *count -= usize::from(goes_on && (is_counted || resumed.is_some()) && *count > 0);
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Runs a command under strace(1), and counts its calls about pipes.
fn count_by_strace<A: AsRef<OsStr>>(scene: &Scene, command: &[A], fifos: &[&str]) -> BTreeMap<String, usize> {
    let place = TempDir::with_prefix("strace-").expect("a temporary directory");
    let file = place.path().join("strace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-yy", "-qq", "-e", "signal=none", "-s", "0", "-o"])
        .arg(&file)
        .arg("--")
        .args(command);
    let output = strace.current_dir(scene.place()).output().expect("strace(1)");
    assert!(output.status.success(), "{output:?}");
    count(&fs::read_to_string(file).expect("the trace"), fifos)
}

fn count_ours(events: &[Event]) -> BTreeMap<String, usize> {
    let counts = COUNTED.iter().map(|(call, _)| (format!("{call:?}"), of(events, *call).len()));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// With and without shared libraries.
fn strace_sees_the_same_calls(scene: &Scene) {
    if !needs(&[Tool::CCompiler, Tool::Strace]) {
        return;
    }
    let scenes = ["transfers", "copies", "fifos", "threads", "clone-files", "signals", "stopped", "polls"];
    for program in [traced_program(), static_traced_program()] {
        for name in scenes.iter().chain(&["vforks", "thread-exec", "rendezvous"]) {
            let command = [program.as_os_str(), name.as_ref()];
            let fifos = ["there", "moved", "meeting"];
            let strace = count_by_strace(scene, &command, &fifos);
            assert_eq!(count_ours(&traced(scene, command)), strace, "{name}");
        }
    }
}

/// A server that serves three clients, one after another, and ends.
const SESSIONS: &str = "\"$0\" \"$2\" >/dev/null & for message in one two three; do \
    while [ ! -p \"$2\" ]; do :; done; echo $message | \"$1\" \"$2\" >/dev/null || exit 1; done; \
    while [ ! -p \"$2\" ]; do :; done; kill $!; wait $!";

fn strace_sees_the_same_calls_of_peers(scene: &Scene) {
    if !needs(&[Tool::CCompiler, Tool::Strace]) {
        return;
    }
    // Records that are not padded may meet in a pipe; then both programs wait for ever.
    for dialect in DIALECTS.into_iter().filter(|dialect| dialect.padded) {
        let wkp = dialect.wkp;
        let (server, client) = (dialect.server(), dialect.client());
        let command = in_shell(SESSIONS, &[server.as_os_str(), client.as_os_str(), wkp.as_ref()]);
        let events = traced(scene, &command);
        assert!(left(&events).is_empty(), "{}: {:?}", dialect.name, left(&events));
        let bytes = |call| of(&events, call).into_iter().filter_map(|event| event.ret).sum::<i64>();
        assert!(bytes(Call::Write) > 100 && of(&events, Call::Mkfifo).len() >= 7, "{}", dialect.name);
        let strace = count_by_strace(scene, &command, &[wkp]);
        let ours = count_ours(&events);
        for call in ["Mkfifo", "Pipe", "Fork"] {
            assert_eq!(ours.get(call), strace.get(call), "{}: {call}", dialect.name);
        }
        let is_of_wkp =
            |event: &&Event| event.path.as_deref().is_some_and(|path| Path::new(path).ends_with(wkp));
        let opens = of(&events, Call::Open).into_iter().filter(is_of_wkp).count();
        // strace does not show whether the last open of the server fails or goes on.
        assert!(opens.abs_diff(strace["Open"]) <= 1, "{}: {opens}, {strace:?}", dialect.name);
    }
}
