//! Text typed at the client's prompt: no byte is lost, and the terminal is left as it was.

use std::os::unix::process::ExitStatusExt;

use handshake_core::wire::{Kind, Part};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::proc::children_of;
use workspace_tests::wait::until_true;
use workspace_tests::{Launch, Paradigm, Program, Scene, Terminal, tests};

tests! {
    text_typed_before_the_connection_is_sent: row_59;
    text_typed_while_a_reply_is_awaited_is_sent: row_59;
    each_pasted_line_is_one_message: row_59;
    a_byte_that_is_not_utf_8_is_sent_unchanged: row_59;
    a_line_that_is_too_long_is_refused_at_the_prompt: row_53;
    a_full_terminal_does_not_block_the_client;
    lines_are_edited_and_remembered;
    stdout_has_only_the_replies;
    ctrl_c_ends_the_client_at_any_time: row_59;
    a_client_in_the_background_leaves_the_terminal_to_the_shell: row_59;
    a_client_that_was_stopped_shows_its_prompt_again: row_59;
    a_server_that_dies_while_a_person_types_is_reported;
    a_terminal_that_hangs_up_ends_the_client;
}

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";

/// The beginning of a prompt. The line follows.
const PROMPT: &str = "\r> ";

/// Prepares a client whose stdout is not the terminal, so that replies are separate from the screen.
fn client<'s>(scene: &'s Scene, terminal: &Terminal) -> Launch<'s> {
    scene.client().arg("--timeout").arg("60s").at_terminal_but_stdout(terminal)
}

/// Checks that the client ended with status 0, printed these replies, and restored the terminal.
fn ends_well(client: &Program, terminal: &Terminal, replies: impl AsRef<[u8]>) {
    let end = client.ends().success();
    assert_eq!(String::from_utf8_lossy(&end.get_output().stdout), String::from_utf8_lossy(replies.as_ref()));
    assert!(end.get_output().stdout == replies.as_ref(), "other bytes came back");
    assert!(terminal.is_as_it_was(), "the terminal is not as it was");
}

fn text_typed_before_the_connection_is_sent(scene: &Scene) {
    let terminal = Terminal::new();
    // Before the program starts.
    terminal.types("a\nb\n");
    let client = client(scene, &terminal).start();
    terminal.types("c\nd");
    let _server = scene.server(Paradigm::Forking).ready();
    client.prints("A\nB\nC\n");
    terminal.types("e\n");
    client.prints("A\nB\nC\nDE\n");
    terminal.types(CTRL_D);
    ends_well(&client, &terminal, "A\nB\nC\nDE\n");
    // Ctrl-D may come early, too.
    let terminal = Terminal::new();
    terminal.types(["a\n", CTRL_D].concat());
    ends_well(&self::client(scene, &terminal).start(), &terminal, "A\n");
}

fn text_typed_while_a_reply_is_awaited_is_sent(scene: &Scene) {
    let terminal = Terminal::new();
    let mut server = scene.raw_server();
    let client = client(scene, &terminal).start();
    server.shake_hands();
    terminal.shows(PROMPT);
    terminal.types("a\n");
    server.receive(Kind::Request);
    // More than the terminal itself buffers.
    let lines: String = (0..200).map(|number| format!("{number:50}\n")).collect();
    terminal.types(&lines);
    terminal.types(["last", CTRL_D, "\n", CTRL_D].concat());
    server.say(Kind::Reply, 1, Part::ONLY, b"a");
    for sequence in 2..=202 {
        let request = server.receive(Kind::Request);
        server.say(Kind::Reply, sequence, Part::ONLY, &request.payload);
    }
    server.receive(Kind::Bye);
    ends_well(&client, &terminal, format!("a\n{lines}last\n"));
    server.end();
}

fn each_pasted_line_is_one_message(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Dispatch).ready();
    let client = client(scene, &terminal).start();
    terminal.shows(PROMPT);
    // A pasted newline acts as Enter. The last line waits for Enter.
    terminal.types("one\rtwo\r\rthree");
    client.prints("ONE\nTWO\n\n");
    terminal.shows("> three");
    terminal.types(["\r", CTRL_D].concat());
    ends_well(&client, &terminal, "ONE\nTWO\n\nTHREE\n");
}

fn a_byte_that_is_not_utf_8_is_sent_unchanged(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).args(["--service", "echo"]).ready();
    let client = client(scene, &terminal).start();
    terminal.shows(PROMPT);
    terminal.types(b"caf\xe9\n\xff\xfe\n");
    terminal.shows("> caf\u{fffd}\r\n");
    client.prints("caf\u{fffd}\n\u{fffd}\u{fffd}\n");
    terminal.types(["caf\u{e9}\n", CTRL_D].concat());
    ends_well(&client, &terminal, b"caf\xe9\n\xff\xfe\ncaf\xc3\xa9\n");
}

fn a_line_that_is_too_long_is_refused_at_the_prompt(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).ready();
    let client = client(scene, &terminal).args(["--max-message", "10"]).start();
    terminal.shows(PROMPT);
    terminal.types("0123456789\n0123456789a\nb\n");
    client.prints("0123456789\nB\n");
    // The message stands below the entered line.
    terminal.shows("> …\r\nclient: cannot send a message of more than 10 bytes: EMSGSIZE (");
    terminal.types(CTRL_D);
    client.ends().code(1).stdout("0123456789\nB\n");
}

/// The client prints a reply that the terminal cannot hold, and the test does not read the terminal.
fn a_full_terminal_does_not_block_the_client(scene: &Scene) {
    let mut server = scene.raw_server();
    let mut stuck = |options: &[&str], messages: usize| {
        let terminal = Terminal::new();
        let client = scene.client().args(["--timeout", "60s"]).args(options).args(vec!["a"; messages]);
        let client = client.at_terminal(&terminal).start();
        server.shake_hands();
        (0..messages).for_each(|_| drop(server.receive(Kind::Request)));
        for sequence in 1..=2 {
            for (number, bytes) in [(0, 4000), (1, 4000), (2, 2000)] {
                server.say(Kind::Reply, sequence, Part { number, more: number < 2 }, &vec![b'x'; bytes]);
            }
        }
        until_true("the terminal to be full", || terminal.is_full());
        (client, terminal)
    };
    let (client, _terminal) = stuck(&[], 2);
    client.signal(Signal::SIGTERM);
    client.ends_by(Signal::SIGTERM);
    // The server does not answer the last message.
    let (client, _terminal) = stuck(&["--reply-timeout", "2s"], 3);
    client.ends().code(1);
    server.end();
}

fn lines_are_edited_and_remembered(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).ready();
    let client = client(scene, &terminal).start();
    terminal.shows(PROMPT);
    terminal.types(["help", "\x7f", "lo\n"].concat());
    client.prints("HELLO\n");
    terminal.types([UP, LEFT, LEFT, "X\n"].concat());
    client.prints("HELLO\nHELXLO\n");
    // Ctrl-Z does nothing where no shell would continue the client.
    terminal.types([UP, UP, "\x1a!\n", CTRL_D].concat());
    ends_well(&client, &terminal, "HELLO\nHELXLO\nHELLO!\n");
}

/// The prompt is on stderr. On a terminal without escape sequences it is plain text.
fn stdout_has_only_the_replies(scene: &Scene) {
    let _server = scene.server(Paradigm::Basic).ready();
    for dumb in [&["env", "TERM=dumb"][..], &["env", "-u", "TERM"]] {
        let terminal = Terminal::new();
        let client = client(scene, &terminal).through(dumb).start();
        terminal.shows("> ");
        terminal.types("a\n");
        client.prints("A\n");
        terminal.shows_times("> ", 2);
        terminal.types(CTRL_D);
        ends_well(&client, &terminal, "A\n");
        assert_eq!(terminal.screen(), "> a\r\n> \r\n");
    }
    // stderr is a file, so no prompt is shown.
    let terminal = Terminal::new();
    let command = ["sh", "-c", "exec \"$0\" \"$@\" 2>stderr"];
    let client = client(scene, &terminal).through(command).start();
    terminal.types(["a\n", CTRL_D].concat());
    ends_well(&client, &terminal, "A\n");
    assert_eq!(terminal.screen(), "a\r\n", "the kernel echoes the line");
    std::fs::remove_file(scene.path("stderr")).expect("the shell made it");
}

fn is_interrupted(client: &Program, terminal: &Terminal) {
    terminal.types(CTRL_C);
    client.ends_by(Signal::SIGINT);
    assert!(terminal.is_as_it_was(), "the terminal is not as it was");
}

fn ctrl_c_ends_the_client_at_any_time(scene: &Scene) {
    // First without a server.
    let terminal = Terminal::new();
    let trying = client(scene, &terminal).start();
    until_true("the client to try", || !trying.events().is_empty());
    is_interrupted(&trying, &terminal);
    let mut server = scene.raw_server();
    // Then at the prompt, and while a reply is awaited and more was typed than a terminal buffers.
    for is_entered in [false, true] {
        let terminal = Terminal::new();
        let client = client(scene, &terminal).start();
        server.shake_hands();
        terminal.shows(PROMPT);
        terminal.types("half");
        terminal.shows("> half");
        if is_entered {
            terminal.types("\n");
            server.receive(Kind::Request);
            terminal.types("x".repeat(100_000));
        }
        is_interrupted(&client, &terminal);
    }
    server.end();
}

/// Prepares a shell with job control that starts a client at this terminal, and then runs these commands.
fn in_shell<'s>(scene: &'s Scene, terminal: &Terminal, commands: &str) -> Launch<'s> {
    let script = format!("\"$0\" \"$@\"; {commands}; echo \"status $?\" >&2");
    client(scene, terminal).through(["sh", "-mc", &script])
}

fn a_client_in_the_background_leaves_the_terminal_to_the_shell(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).ready();
    let shell = in_shell(scene, &terminal, "bg >&2; echo in the background >&2; read line; fg >&2").start();
    terminal.shows(PROMPT);
    terminal.types("half\x1a");
    terminal.shows("in the background\r\n");
    terminal.types("for the shell\n");
    terminal.shows("> half");
    let screen = terminal.screen();
    assert!(screen.find("> half") > screen.find("for the shell\r\n"), "{screen:?}");
    terminal.types("\n");
    shell.prints("HALF\n");
    // The shell ends by the signal that ended the client.
    terminal.types(CTRL_C);
    shell.ends();
    assert!(terminal.is_as_it_was(), "the terminal is not as it was");
}

fn a_client_that_was_stopped_shows_its_prompt_again(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).ready();
    let shell = in_shell(scene, &terminal, "fg >&2").start();
    terminal.shows(PROMPT);
    terminal.types("half");
    terminal.shows("> half");
    let child = children_of(shell.pid()).pop().expect("the shell runs the client");
    kill(Pid::from_raw(child.pid.cast_signed()), Signal::SIGSTOP).expect("the client is alive");
    terminal.shows_times("> half", 2);
    terminal.types(["\x15", CTRL_D].concat());
    terminal.shows("status 0");
    ends_well(&shell, &terminal, "");
}

fn a_server_that_dies_while_a_person_types_is_reported(scene: &Scene) {
    let terminal = Terminal::new();
    let mut server = scene.raw_server();
    let client = client(scene, &terminal).start();
    server.shake_hands();
    terminal.shows(PROMPT);
    terminal.types("half");
    terminal.shows("> half");
    server.close();
    client.ends().code(1).stdout("");
    assert!(terminal.is_as_it_was(), "the terminal is not as it was");
    let screen = terminal.screen();
    assert!(contains("\r\nclient: the connection is over: ").eval(&screen), "{screen:?}");
    server.end();
}

fn a_terminal_that_hangs_up_ends_the_client(scene: &Scene) {
    let terminal = Terminal::new();
    let _server = scene.server(Paradigm::Basic).ready();
    let client = client(scene, &terminal).start();
    terminal.shows(PROMPT);
    terminal.types("half");
    terminal.hangs_up();
    // The signal and EOF come at the same moment.
    let end = client.ends();
    let status = end.get_output().status;
    assert!(status.success() || status.signal() == Some(Signal::SIGHUP as i32), "{status}");
}
