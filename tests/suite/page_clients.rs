//! The clients in docs/protocol.md, which were written from that page: the servers serve them like ours. The
//! client of the course dialect is in `peers`.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{env, fs};

use handshake_core::wire::PAYLOAD_MAX;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::wait::{WATCHDOG, until_true};
use workspace_tests::{Launch, Paradigm, Program, Scene, Tool, each, needs};

each! {
    a_client_in_python_is_served in basic forking dispatch shared;
    clients_in_python_at_one_instant_are_all_served in basic forking dispatch shared;
    a_client_in_python_says_what_is_wrong in basic forking dispatch shared;
    a_client_in_shell_is_served in basic forking dispatch shared;
}

/// A page, the language of its code block, and the client that the block shows.
const SHOWN: [(&str, &str, &str); 3] = [
    ("docs/protocol.md", "python", "docs/clients/client.py"),
    ("docs/protocol.md", "sh", "docs/clients/client.sh"),
    ("docs/course-dialect.md", "sh", "docs/clients/course.sh"),
];

/// The variable that makes this test write the code blocks again.
const MEND: &str = "MEND_PAGE";

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

const PYTHON: Tool = Tool::Command("python3");

fn in_python<'s>(scene: &'s Scene, seconds: &str) -> Launch<'s> {
    scene.client_at("python3").arg(file("docs/clients/client.py")).args(["mario", seconds])
}

#[test]
fn the_pages_show_the_clients_as_they_are() {
    let mut complaints = Vec::new();
    for (page, language, client) in SHOWN {
        let shown = read(page);
        let fence = format!("```{language}\n#!/");
        let begin = shown.find(&fence).unwrap_or_else(|| panic!("{page} has no block {fence:?}"));
        let begin = begin + fence.len() - "#!/".len();
        let end = begin + shown[begin..].find("```\n").expect("the end of the block");
        let right = read(client);
        if shown[begin..end] != right {
            complaints.push(format!("{page} shows another text than {client}"));
            if env::var_os(MEND).is_some() {
                fs::write(file(page), shown[..begin].to_owned() + &right + &shown[end..])
                    .expect("the page can be written");
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{}. This writes the blocks again:\n\n    {MEND}=1 cargo test -p workspace-tests page_clients::\n",
        complaints.join("; ")
    );
}

/// The messages have all sizes that fit the window.
fn a_client_in_python_is_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[PYTHON]) {
        return;
    }
    let _server = scene.server(paradigm).args(["--service", "reverse"]).ready();
    let client = in_python(scene, "60").typing().start();
    let mut printed = String::new();
    for size in [3, 0, 1, PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1, 16 * PAYLOAD_MAX] {
        let mut message: String = ('a'..='z').cycle().take(size).collect();
        if size == PAYLOAD_MAX {
            // A magic, and a magic reversed: both sides have to mask it.
            message.replace_range(100..108, "\0WKPPKW\0");
        }
        client.type_line(&message);
        printed += &format!("{}\n", message.chars().rev().collect::<String>());
        until_true(format_args!("the answer of {size} bytes"), || {
            client.printed() == printed || !client.is_running()
        });
    }
    client.close_stdin();
    let end = client.ends().success().stderr("");
    assert!(end.get_output().stdout == printed.as_bytes(), "other lines came back");
}

/// The server is stopped until all clients have sent HELLO into one WKP. So one client keeps it, and the
/// others get fresh upstreams.
fn clients_in_python_at_one_instant_are_all_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[PYTHON]) {
        return;
    }
    let server = scene.server(paradigm).ready();
    server.signal(Signal::SIGSTOP);
    let names = scene.names().len();
    let lines = |n: usize| (0..20).map(|line| format!("client {n}, line {line}\n")).collect::<String>();
    let clients: Vec<_> = (0..12).map(|n| in_python(scene, "60").reading(&lines(n)).start()).collect();
    until_true("12 private pipes to exist", || scene.names().len() == names + 12);
    server.signal(Signal::SIGCONT);
    for (n, client) in clients.iter().enumerate() {
        client.ends().success().stdout(lines(n).to_uppercase()).stderr("");
    }
}

/// There is no server; a message is too long for the server; the server is killed. The exit statuses are
/// those of the page.
fn a_client_in_python_says_what_is_wrong(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[PYTHON]) {
        return;
    }
    in_python(scene, "0.1").run().code(3).stdout("").stderr(contains("mario").and(contains("No such file")));
    let server = scene.server(paradigm).args(["--max-message", "1000"]).ready();
    let lines = format!("before\n{}\nafter\n", "x".repeat(1001));
    let end = in_python(scene, "60").reading(&lines).run();
    end.code(1).stdout("BEFORE\nAFTER\n").stderr(contains("longer than the server takes"));
    let client = in_python(scene, "60").typing().start();
    client.type_line("hello");
    client.prints("HELLO\n");
    server.kill();
    scene.subservers_end(WATCHDOG);
    client.type_line("again");
    client.ends().code(1).stdout("HELLO\n").stderr(contains("mario: ").and(contains("Traceback").not()));
    // The next server removes what the killed one could not.
    scene.server(paradigm).ready();
}

/// The client is in sh(1) and sends one line after another. If the paradigm allows it, a second client runs
/// beside it.
fn a_client_in_shell_is_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&["awk", "flock", "gzip"].map(Tool::Command)) {
        return;
    }
    // Such a client starts a program for each step. On a busy machine it is slow to send READY.
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    let mut clients = vec![shell_client_at_work(scene)];
    if paradigm.has_subservers() {
        clients.push(shell_client_at_work(scene));
    }
    for client in &clients {
        let message = "long ".repeat(800);
        client.type_line(&message);
        client.leaves().stdout(format!("{SHOUTED}{}\n", message.to_uppercase())).stderr("");
    }
}

/// Text that is difficult for a shell.
const TYPED: [&str; 4] = ["hello", "", "  100% of \\n \"$what\" is 'typed' ", "\\"];
const SHOUTED: &str = "HELLO\n\n  100% OF \\N \"$WHAT\" IS 'TYPED' \n\\\n";

fn shell_client_at_work(scene: &Scene) -> Rc<Program> {
    let client = scene.client_at("sh").arg(file("docs/clients/client.sh")).typing().start();
    TYPED.iter().for_each(|message| client.type_line(message));
    until_true("the client's answers", || client.printed() == SHOUTED || !client.is_running());
    client
}
