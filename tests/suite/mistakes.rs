//! `lab demo --client PATH` with a client that makes a common mistake. The demo fails, and names the mistake.

use std::path::PathBuf;
use std::rc::Rc;

use predicates::prelude::*;
use predicates::str::{contains, is_match};
use workspace_tests::peers::mistaken_client;
use workspace_tests::{Paradigm, Program, Scene, each, tests};

each! {
    a_client_without_a_mistake_passes in basic forking dispatch;
    a_deadlock_a_crash_and_a_missing_reply_fail_the_demo in basic forking dispatch;
}

tests! {
    each_deadlock_is_reported_with_advice;
    each_early_end_is_reported_with_the_missing_step;
    each_missing_reply_is_reported_with_its_cause;
    a_harmless_mistake_is_reported_as_a_remark;
    the_servers_reason_for_a_dropped_client_is_reported;
}

/// A mistake, and a pattern of the demo's advice: the line below the failed check.
type Mistake = (&'static str, &'static str);

/// These clients wait for ever: in an open, in a read, or because the server does not know of them.
const DEADLOCKS: [Mistake; 11] = [
    (
        "own_pipe_first",
        r#"it waits in open\("PIPE", O_RDONLY\) before it has opened mario: a deadlock, .* PIPE \(step 5\)"#,
    ),
    ("own_pipe_first_wronly", r#"it waits in open\("PIPE", O_WRONLY\) before .* \(step 5\), with O_RDONLY"#),
    ("input_first", r"it waited for input before it opened mario: shake hands first"),
    ("wkp_rdonly", r#"it opened mario for reading: use open\("mario", O_WRONLY\), since the client writes"#),
    ("other_name", r"it wrote \[private\] into mario, but its pipe is called PIPE: write the name of"),
    (
        "other_number",
        r"it wrote the name 1 into mario, but its pipe is called PIPE: write the name of the pipe",
    ),
    (
        "empty_name",
        r"the 100 bytes that it wrote into mario begin with NUL: write the name of its private pipe",
    ),
    (
        "writes_nothing",
        r#"it opened mario and wrote nothing into it: write .*; it waits in open\("PIPE", O_RDONLY\), until a process opens it for writing(; the server waits in p?poll\(.*)?\n"#,
    ),
    ("closes_wkp", r"it closed mario after its name: keep that open, since its messages go there"),
    ("own_pipe_never", r"it wrote its name, and did not open PIPE for reading \(step 5\)"),
    (
        "own_pipe_wronly",
        r#"it waits in open\("PIPE", O_WRONLY\): use O_RDONLY, since the server writes into"#,
    ),
];

/// These clients crash or leave during the handshake, or have no private pipe.
const EARLY_ENDS: [Mistake; 9] = [
    (
        "no_mkfifo",
        r#"it wrote the name \d+ into mario, and made no pipe of that name: call mkfifo\("\d+", 0600\)"#,
    ),
    (
        "no_mkfifo_word",
        r"it wrote \[secret\] into mario, and made no pipe of that name: make one with mkfifo\(3\)",
    ),
    (
        "other_wkp",
        r"it made PIPE, and ended before it opened mario: if it looks for another name, say so with --wkp",
    ),
    (
        "leaves_after_open",
        r"it opened mario and ended without writing into it: write the name of the private pipe",
    ),
    (
        "leaves_after_name",
        r"it wrote its name and ended: open PIPE for reading \(step 5\), and read the acknowledgement",
    ),
    (
        "crashes_before_open",
        r"it crashed \(SIGSEGV\) before it opened mario: gcc -g -fsanitize=address, or gdb,",
    ),
    ("crashes_before_name", r"it crashed \(SIGSEGV\) after it opened mario, and before it wrote a name: "),
    ("crashes_after_name", r"it crashed \(SIGSEGV\) after it wrote its name, before the acknowledgement: "),
    (
        "crashes_after_ack",
        r"it crashed \(SIGSEGV\) (after the acknowledgement|before the server received a message): ",
    ),
];

/// These clients shake hands, but crash, or do not print each reply.
const WITHOUT_REPLIES: [Mistake; 9] = [
    (
        "ack_is_reply",
        r"it took the acknowledgement for its first reply: read the acknowledgement in the handshake",
    ),
    (
        "ack_twice",
        r"it waits in a read of \d+ and has sent no message: does it read a second acknowledgement\?",
    ),
    // The client may leave after the reply was written, or before the server reads the message.
    (
        "no_reply_read",
        r"it ended (before the reply to message 1 came|after message 1, .*|before the server .*): .*read",
    ),
    (
        "prints_nothing",
        r"it did not print every reply: read each reply from \d+ before the next message, and print it",
    ),
    (
        "handshake_only",
        r"it ended before the server received a message: write each line .*alone: --messages 0\)",
    ),
    (
        "reads_all_input",
        r"it waits for more input and has sent nothing: send each line as soon as it is read",
    ),
    ("crashes_before_message", r"it crashed \(SIGSEGV\) before the server received a message: "),
    (
        "crashes_after_message",
        r"it crashed \(SIGSEGV\) ((before the reply to|after) message 1|before the server received .*): ",
    ),
    ("crashes_at_end", r"it crashed \(SIGSEGV\) after message 2: "),
];

/// These clients pass, with a remark.
const HARMLESS: [Mistake; 4] = [
    ("wkp_rdwr", r"it opened mario with O_RDWR: O_WRONLY is better, since then .* when the server has gone"),
    (
        "leaves_pipe",
        r#"it left behind: (\d+): call remove\("\d+"\) once the acknowledgement has come \(step 8\)"#,
    ),
    ("fails_at_end", r"its end: exit status: 7; 0 would say that all went well"),
    ("never_ends", r"its end: it did not end with its input, and was sent SIGINT"),
];

fn lab(scene: &Scene, paradigm: Paradigm, client: &PathBuf, mistake: &str) -> Rc<Program> {
    let paradigm = match paradigm {
        Paradigm::Basic => "basic",
        Paradigm::Forking => "forking",
        Paradigm::Dispatch | Paradigm::Shared => "dispatch",
    };
    let shared = (mistake == "none_shared").then_some("--shared-wkp");
    let lab = scene.lab().args(["demo", paradigm, "--clients", "1"]).args(shared);
    lab.arg("--client").arg(client).args(["--", mistake]).start()
}

/// Checks that the demo fails with this advice. `PIPE` in the pattern stands for the client's private pipe.
fn fails(lab: &Program, (mistake, advice): Mistake) {
    let end = lab.ends().code(1);
    let printed = String::from_utf8_lossy(&end.get_output().stdout).into_owned();
    let pipe = printed
        .split_once("seen: a pipe ")
        .map_or("none", |(_, rest)| rest.split(' ').next().unwrap_or_default());
    let (_, verdict) = printed.split_once("── What was seen of your program ─").expect("a verdict");
    let pattern = format!(r"\n✘ [^\n]+\n    {}", advice.replace("PIPE", pipe));
    assert!(is_match(&pattern).expect("a pattern").eval(verdict), "{mistake}: {pattern}\n{verdict}");
    assert!(verdict.trim_end().ends_with("\n✘ client 2, your program, failed"), "{mistake}\n{verdict}");
    assert_eq!(verdict.matches("\n    ").count(), 1, "{mistake}: one piece of advice\n{verdict}");
    // Our client beside it is served in any case.
    end.stdout(contains("\n✔ 2 of 2 replies right\n"));
}

fn all_fail(scene: &Scene, mistakes: &[Mistake]) {
    let client = mistaken_client();
    // All run at the same time, because some only wait.
    let labs: Vec<_> =
        mistakes.iter().map(|(mistake, _)| lab(scene, Paradigm::Forking, &client, mistake)).collect();
    labs.iter().zip(mistakes).for_each(|(lab, mistake)| fails(lab, *mistake));
}

fn each_deadlock_is_reported_with_advice(scene: &Scene) {
    all_fail(scene, &DEADLOCKS);
}

fn each_early_end_is_reported_with_the_missing_step(scene: &Scene) {
    all_fail(scene, &EARLY_ENDS);
}

fn each_missing_reply_is_reported_with_its_cause(scene: &Scene) {
    all_fail(scene, &WITHOUT_REPLIES);
}

fn a_harmless_mistake_is_reported_as_a_remark(scene: &Scene) {
    let client = mistaken_client();
    let labs: Vec<_> =
        HARMLESS.iter().map(|(mistake, _)| lab(scene, Paradigm::Forking, &client, mistake)).collect();
    for (lab, (_, remark)) in labs.iter().zip(HARMLESS) {
        let remark = is_match(format!("\n[•✔] {remark}\n")).expect("a pattern");
        lab.ends().success().stdout(remark).stdout(contains("\n✔ client 2, your program, passed\n"));
    }
}

/// The advice is the server's own message: with --shared-wkp it serves no client of the course.
fn the_servers_reason_for_a_dropped_client_is_reported(scene: &Scene) {
    let end = lab(scene, Paradigm::Shared, &mistaken_client(), "none_shared").ends().code(1);
    end.stdout(contains(
        "\n✘ handshake: the server received a private pipe's name, and dropped the client\n",
    ))
    .stdout(contains(
        "\n    the server says: it speaks the course dialect, whose messages do not say whose they are;",
    ))
    .stdout(contains("; for a client of the course: lab demo dispatch, without --shared-wkp\n"));
}

fn a_client_without_a_mistake_passes(scene: &Scene, paradigm: Paradigm) {
    let end = lab(scene, paradigm, &mistaken_client(), "none").ends().success();
    end.stdout(contains(
        "\n✔ its end: exit status: 0\n• it left nothing behind\n✔ client 2, your program, passed\n",
    ))
    .stdout(contains("✘").not());
}

fn a_deadlock_a_crash_and_a_missing_reply_fail_the_demo(scene: &Scene, paradigm: Paradigm) {
    let client = mistaken_client();
    let one_each = [DEADLOCKS[0], EARLY_ENDS[7], WITHOUT_REPLIES[2]];
    let labs = one_each.map(|(mistake, _)| lab(scene, paradigm, &client, mistake));
    labs.iter().zip(one_each).for_each(|(lab, mistake)| fails(lab, mistake));
}
