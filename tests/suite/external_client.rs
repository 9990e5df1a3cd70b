//! `lab demo --client PATH`: the demo shows and checks an external program, whatever the program does.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, is_match};
use workspace_tests::proc::Process;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, Scene, each, path_of, tests};

each! {
    a_program_of_the_course_is_shown_and_judged in basic forking dispatch;
    a_framed_program_is_shown_and_judged in basic forking dispatch shared;
    with_pause_the_server_stops_at_each_step_of_it in basic forking dispatch;
    a_program_that_is_no_client_is_reported in basic forking dispatch;
}

tests! {
    a_private_pipe_left_behind_is_no_failure_and_wkp_sets_the_name;
    a_program_that_does_nothing_is_killed_with_its_children;
    a_program_that_does_not_end_at_eof_is_sent_sigint;
    a_program_that_cannot_be_started_is_reported_at_once;
    an_interrupted_demo_ends_the_program_too;
}

/// A client of the course in POSIX sh: a record is one write and one read.
const CLIENT: &str = r#"
mkfifo $$
exec 3>"${1:-mario}"
printf %s $$ >&3
exec 4<$$
hear() { dd bs=1000 count=1 <&4 2>/dev/null | tr -d '\0'; }
echo "acknowledged with $(hear)"
[ "$2" = stays ] || rm $$
[ "$2" != stays ] || printf HOLA >&3
while read -r line; do
    printf %s "$line" >&3
    echo "got $(hear)"
done
"#;

fn demo(paradigm: Paradigm) -> Vec<&'static str> {
    match paradigm {
        Paradigm::Basic => vec!["demo", "basic", "--clients", "1"],
        Paradigm::Forking => vec!["demo", "forking", "--clients", "1"],
        Paradigm::Dispatch => vec!["demo", "dispatch", "--clients", "1"],
        Paradigm::Shared => vec!["demo", "dispatch", "--clients", "1", "--shared-wkp"],
    }
}

/// Returns the arguments `--client /bin/sh -- FILE`. The system cannot always execute a file that was just
/// written.
fn script(scene: &Scene, text: &str) -> [String; 4] {
    let file = scene.path("../program.sh");
    fs::write(&file, text).expect("a file of the scene");
    ["--client".into(), "/bin/sh".into(), "--".into(), file.to_str().expect("the path is UTF-8").into()]
}

fn line(pattern: &str) -> impl Predicate<str> + use<> {
    is_match(pattern).expect("a pattern")
}

/// The program is client 2.
fn a_program_of_the_course_is_shown_and_judged(scene: &Scene, paradigm: Paradigm) {
    let end = scene.lab().args(demo(paradigm)).args(script(scene, CLIENT)).run().success();
    let seen = |step: u8, what: &str| line(&format!(r"\nstep {step}  client 2 \[\d+\] +seen: {what}\n"));
    end.stdout(seen(3, r"a pipe \d+ appears"))
        .stdout(seen(4, "it has mario open for writing"))
        .stdout(seen(5, r"it has \d+ open for reading"))
        .stdout(seen(8, r"\d+ is removed"))
        .stdout(line(r"(?s)\n[^\n]*a pipe \d+ appears\n.*receives from client 2 \[\d+\]\n.*is removed\n"))
        .stdout(line(r"client 2 \[\d+\] +says: +\[acknowledged with HOLA\]\n"))
        .stdout(line(r"receives request 2 \[message 2 of client 2\]\n"))
        .stdout(line(r"client 2 \[\d+\] +says: +\[got MESSAGE 2 OF CLIENT 2\]\n"))
        .stdout(line(r"\n✔ handshake: its name \[\d+\] was received, acknowledged; no third step\n"))
        .stdout(contains("\n✔ its end: exit status: 0\n"))
        .stdout(contains(
            "\n✔ replies: it was given 2 messages; the server received 2 requests and sent 2 replies; it \
             printed 2 of 2 ",
        ))
        .stdout(contains("\n• it left nothing behind\n").and(contains("✘").not()));
}

/// The program is our own client, without an event log.
fn a_framed_program_is_shown_and_judged(scene: &Scene, paradigm: Paradigm) {
    let client = path_of("client").to_str().expect("the path is UTF-8");
    let end = scene.lab().args(demo(paradigm)).args(["--client", client, "--", "-q"]).run().success();
    end.stdout(line(r"\nstep 3  client 2 \[\d+\] +seen: a pipe mario\.client\.\d+\.[0-9a-f]{4}… appears\n"))
        .stdout(line(r"client 2 \[\d+\] +says: +\[MESSAGE 2 OF CLIENT 2\]\n"))
        .stdout(contains("was received, acknowledged; third step READY\n"))
        .stdout(contains("2 of 2 replies right").and(contains("✘").not()));
}

/// Enter is pressed 25 times. Then stdin ends, and all programs run freely.
fn with_pause_the_server_stops_at_each_step_of_it(scene: &Scene, paradigm: Paradigm) {
    let few = ["--pause", "--messages", "1"];
    let demo = scene.lab().args(demo(paradigm)).args(few).args(script(scene, CLIENT));
    demo.reading(&"\n".repeat(25))
        .run()
        .success()
        .stdout(
            contains("\n✔ handshake: ")
                .and(contains("it was given 1 message; the server received 1 request and ")),
        )
        .stdout(contains("✘").not())
        .stderr(contains("[Enter] next step; at the gate: server"));
}

fn a_program_that_is_no_client_is_reported(scene: &Scene, paradigm: Paradigm) {
    let end = scene.lab().args(demo(paradigm)).args(script(scene, "echo hello; exit 7")).run().code(1);
    end.stdout(line(r"client 2 \[\d+\] +says: +\[hello\]\n"))
        .stdout(contains("It was to shake hands, and has ended."))
        .stdout(contains("2 of 2 replies right"))
        .stdout(contains(
            "\n✘ handshake: the server never received a private pipe's name\n    it made no pipe, and \
             ended before it ",
        ))
        .stdout(contains("\n• its end: exit status: 7; 0 would say that all went well\n"));
}

fn a_private_pipe_left_behind_is_no_failure_and_wkp_sets_the_name(scene: &Scene) {
    let demo = ["demo", "forking", "--wkp", "luigi"];
    let end = scene.lab().args(demo).args(script(scene, CLIENT)).args(["luigi", "stays"]).run().success();
    end.stdout(contains("creates the well-known pipe luigi\n"))
        .stdout(line(r"\nstep 4  client 4 \[\d+\] +seen: it has luigi open for writing\n"))
        .stdout(line(r"\n✔ handshake: its name \[\d+\] was received, acknowledged; third step \[HOLA\]\n"))
        .stdout(line(r"\n• it left behind: \d+: call remove"))
        .stdout(contains("✔ nothing left in ").and(contains("✘").not()));
}

/// The demo waits ten seconds, and three seconds after each of two signals.
fn a_program_that_does_nothing_is_killed_with_its_children(scene: &Scene) {
    let stubborn = "trap '' INT TERM HUP\nmkfifo x\nsleep 1000 &\nwhile :; do sleep 1000; done";
    let lab = scene.lab().args(["demo", "basic", "--clients", "1"]).args(script(scene, stubborn)).start();
    let end = lab.ends().code(1);
    end.stdout(contains("It goes on; it is sent SIGINT.").and(contains("It goes on; it is sent SIGKILL.")))
        .stdout(contains(
            "    it made x, and waited without having opened mario: open mario before its own pipe (steps \
             4 and 5); ",
        ))
        .stdout(contains("\n✘ its end: it did nothing more, and had to be killed\n"))
        .stdout(contains("\n• it left behind: x\n"))
        .stdout(line(r"\n• processes that it had started and left, ended by number: \[\d+, \d+\]\n"))
        .stdout(contains("2 of 2 replies right").and(contains("✔ no process left, no zombie")));
}

/// Like programs of the course whose fgets(3) finds no new line: they send the old line again and again.
fn a_program_that_does_not_end_at_eof_is_sent_sigint(scene: &Scene) {
    let deaf = CLIENT.replace("while read -r line; do", "while read -r new && line=$new || :; do");
    let end = scene.lab().args(["demo", "dispatch", "--clients", "1"]).args(script(scene, &deaf)).run();
    end.success()
        .stdout(contains("It goes on; it is sent SIGINT."))
        .stdout(contains("asks on and on, and nobody gave it that; no more of this is told"))
        .stdout(contains("it did not end with its input, and was sent SIGINT\n").and(contains("✘").not()));
}

fn a_program_that_cannot_be_started_is_reported_at_once(scene: &Scene) {
    let start = |path: &str| scene.lab().args(["demo", "basic", "--client", path]).run().code(3).stdout("");
    start("/nonexistent").stderr(contains("cannot start \"/nonexistent\": ENOENT"));
    start("/dev/null").stderr(contains("cannot start \"/dev/null\": EACCES").and(contains("chmod +x")));
    start("/").stderr(contains("EISDIR"));
    // No emulator runs programs for machine 1.
    let elf = |machine: u16| {
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        header.extend(machine.to_le_bytes());
        header.resize(64, 0);
        header
    };
    let no_program =
        "ENOEXEC (exec format error): is it built for another machine, or a script without a #! line? Ask";
    for (name, image) in [("foreign", elf(1)), ("no-shebang", b"touch ran-as-a-script\n".to_vec())] {
        let (image_file, program) = (scene.path("../image"), scene.path(&format!("../{name}")));
        fs::write(&image_file, image).expect("a file of the scene");
        // Another process makes the file. If this process made it, a child of another test could hold it
        // open, and the file could not be executed.
        let made = Command::new("install").args(["-m", "755"]).args([&image_file, &program]).status();
        assert!(made.expect("install(1)").success());
        let path = program.to_str().expect("the path is UTF-8");
        start(path).stderr(contains(format!("lab: cannot start {path:?}: {no_program}")));
    }
    assert!(!scene.path("ran-as-a-script").exists());
    scene.lab().args(["demo", "basic", "--wkp", "a/b"]).run().code(2).stderr(contains("a bare name"));
    scene.lab().args(["demo", "basic", "--", "x"]).run().code(2).stderr(contains("--client"));
}

fn an_interrupted_demo_ends_the_program_too(scene: &Scene) {
    let script = script(scene, "mkfifo x; exec sleep 1000");
    let lab = scene.lab().args(["demo", "forking", "--clients", "1"]).args(script).start();
    let pid = until("the program to be seen", || {
        let printed = lab.printed();
        let (before, _) = printed.split_once("seen: a pipe x appears\n")?;
        before.rsplit_once("client 2 [")?.1.trim_end().strip_suffix(']')?.parse().ok()
    });
    let is_alive = |pid| Process::look(pid).is_some_and(|process| process.state != 'Z');
    assert!(is_alive(pid));
    lab.signal(Signal::SIGINT);
    lab.ends_by(Signal::SIGINT);
    until_true("the program to end", || !is_alive(pid));
}
