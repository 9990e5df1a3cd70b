//! The programs' output on a terminal.

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::{Paradigm, Scene, Terminal, tests};

tests! {
    colour_follows_the_conventions;
    a_peers_text_cannot_control_the_terminal;
}

/// The first character of every escape sequence.
const ESCAPE: char = '\x1b';

/// Returns what a server at a terminal shows until it waits for clients, with these variables and options.
fn shown_by_a_server(scene: &Scene, variables: &[&str], options: &[&str]) -> String {
    let terminal = Terminal::new();
    let server = scene.server(Paradigm::Basic).at_terminal_but_stdout(&terminal);
    let server = server.through(["env", "-u", "NO_COLOR"]).through(variables).args(options).ready();
    terminal.shows("waiting for connection");
    server.shuts_down();
    terminal.screen()
}

fn colour_follows_the_conventions(scene: &Scene) {
    let cases: [(&[&str], &[&str], bool); 9] = [
        (&[], &[], true),
        (&["TERM=dumb"], &[], false),
        (&["NO_COLOR=1"], &[], false),
        (&["NO_COLOR="], &[], true),
        (&["CLICOLOR=0"], &[], false),
        (&[], &["--color", "never"], false),
        (&[], &["--color", "auto"], true),
        (&["NO_COLOR=1"], &["--color", "always"], true),
        (&["TERM=dumb"], &["--color", "always"], true),
    ];
    for (variables, options, coloured) in cases {
        let shown = shown_by_a_server(scene, variables, options);
        assert_eq!(shown.contains(ESCAPE), coloured, "{variables:?} {options:?}: {shown:?}");
    }
    // Without a terminal there is no colour, unless an option asks for it.
    for (options, coloured) in [(&[][..], false), (&["--color", "always"], true)] {
        let client =
            scene.talking_client().args(["-v", "--timeout", "50ms", "x"]).args(options).run().code(3);
        let message = String::from_utf8_lossy(&client.get_output().stderr).into_owned();
        assert_eq!(message.contains(ESCAPE), coloured, "{message:?}");
    }
}

/// A name and a message with a one-byte escape sequence (U+009B) and a right-to-left override (U+202E).
fn a_peers_text_cannot_control_the_terminal(scene: &Scene) {
    const ACTING: &str = "x\u{9b}\u{202e}y";
    const SHOWN: &str = "x\u{fffd}\u{fffd}y";
    let server = scene.server(Paradigm::Basic).args(["--service", "echo"]).ready();
    // A reply is data, and is printed unchanged.
    scene.client().arg(ACTING).run().success().stdout(format!("{ACTING}\n"));
    let mut course = scene.course_client(ACTING);
    course.shakes_hands();
    course.leaves();
    server.signal(Signal::SIGTERM);
    let message = contains(format!("received [{SHOWN}]"))
        .and(contains(format!("received the private pipe's name [{SHOWN}]")))
        .and(contains('\u{9b}').not())
        .and(contains('\u{202e}').not());
    server.ends().code(0).stderr(message);
}
