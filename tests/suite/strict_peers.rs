//! The programs of tests/peers alone: what they check, how they are compiled, and that README.md lists them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use predicates::str::contains;
use tempfile::TempDir;
use workspace_tests::peers::{
    DIALECTS, Dialect, Sigpipe, Workshop, sessions, tells, waited, waits_for_client,
};
use workspace_tests::proc::{Descriptor, Target, Way, children_of, descriptors, is_readable};
use workspace_tests::wait::until_true;
use workspace_tests::{Program, Scene, Tool, needs};

/// A change to the source of one side, and what the other side then prints. It shows that the other side's
/// check works.
struct Fault {
    dialect: &'static str,
    /// `client` or `server`.
    side: &'static str,
    change: [&'static str; 2],
    noticed: &'static str,
}

const fn fault(
    dialect: &'static str,
    side: &'static str,
    change: [&'static str; 2],
    noticed: &'static str,
) -> Fault {
    Fault { dialect, side, change, noticed }
}

const NO_HOLA: [&str; 2] = ["(buffer, \"HOLA\",", "(buffer, \"OLA\","];
const NO_ACK: &str = "the acknowledgement is [OLA], not [HOLA]";
const NO_THIRD: &str = "the third step is [OLA], not [HOLA]";

const FAULTS: [Fault; 15] = [
    fault("2way_100", "server", ["its-a-me", "its a me"], "is [its a me,], not [its-a-me, mario!]"),
    fault("2way_100", "server", ["ack)), sizeof(ack))", "ack) - 1), 99)"], "has 99 bytes, not 100"),
    fault(
        "2way_100",
        "server",
        ["write(to_client, ack,", "write(to_client, (ack[99]++, ack),"],
        "is not padded with zeros",
    ),
    fault("3way_hola", "server", NO_HOLA, NO_ACK),
    fault("3way_hola", "server", ["SIZE 1000", "SIZE 1001"], "longer than one read: 1 bytes are left"),
    fault("3way_hola", "client", NO_HOLA, NO_THIRD),
    fault("3way_name", "client", NO_HOLA, NO_THIRD),
    fault("3way_number", "client", ["(buffer) + 1", "(buffer) + 2"], "the third step is 1"),
    fault("3way_integer", "client", ["number++", "number--"], "the third step is "),
    fault("3way_pid", "client", ["number++", "number--"], "the third step is "),
    fault("3way_strlen", "server", ["to_client, \"HOLA", "to_client, \"OLA"], NO_ACK),
    fault("3way_strlen", "client", ["to_server, \"HOLA", "to_server, \"OLA"], NO_THIRD),
    fault("3way_10000", "server", NO_HOLA, NO_ACK),
    fault("3way_10000", "client", NO_HOLA, NO_THIRD),
    fault("3way_fixed_name", "client", ["came);\n", "came);\n buffer[1]++;\n"], "is [ol], not [ok]"),
];

/// Returns a copy of the workshop and one program, changed. The text to change must exist.
fn with(side: &str, dialect: &Dialect, [right, wrong]: [&str; 2]) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let workshop = Workshop::of_the_peers().copied_to(place.path());
    let name = format!("{side}_{}", dialect.name);
    let source = workshop.sources.join(format!("{name}.c"));
    let text = fs::read_to_string(&source).expect("a source");
    assert!(text.contains(right), "there is no {right:?} in {name}.c");
    fs::write(&source, text.replace(right, wrong)).expect("our own copy");
    let program = workshop.program(&name).unwrap_or_else(|complaint| panic!("{complaint}"));
    (place, program)
}

#[test]
fn a_peer_that_does_not_keep_to_its_dialect_is_noticed() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for fault in FAULTS {
        let dialect = Dialect::named(fault.dialect);
        let (_place, broken) = with(fault.side, &dialect, fault.change);
        let scene = Scene::new();
        if fault.side == "server" {
            let server = scene.server_at(broken).start();
            waits_for_client(1, &server);
            let client = scene.client_at(dialect.client()).reading("Hello\n").start();
            client.ends().code(1).stdout("").stderr(contains(fault.noticed));
            wait_until_finished_with_client(1, &server);
        } else {
            let server = scene.server_at(dialect.server()).start();
            waits_for_client(1, &server);
            scene.client_at(broken).run().success();
            if dialect.forks {
                until_true("the server to have no subserver", || children_of(server.pid()).is_empty());
                server.signal(Signal::SIGTERM);
            }
            server.ends().code(i32::from(!dialect.forks)).stderr(contains(fault.noticed));
        }
        scene.end();
    }
}

#[test]
fn every_client_notices_a_wrong_reply() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for dialect in DIALECTS {
        let (_place, broken) = with("server", &dialect, ["toupper(", "tolower("]);
        let scene = Scene::new();
        let server = scene.server_at(broken).start();
        waits_for_client(1, &server);
        let client = scene.client_at(dialect.client()).typing().start();
        tells(&server, &[format!("connected {}", dialect.private_pipe(client.pid()))]);
        client.type_line("Hello");
        client.ends().code(1).stdout("").stderr("the reply to [Hello] is [hello]\n");
        wait_until_finished_with_client(1, &server);
        scene.end();
    }
}

/// Waits until a server in C waits for the next client, or has ended because of an error of this client.
fn wait_until_finished_with_client(nth: usize, server: &Program) {
    until_true(format_args!("{} to finish with client {nth}", server.name()), || {
        !server.is_running() || waited(server) > nth
    });
}

/// The server is stopped while its client sends a request and is killed. So the server answers a client that
/// has left.
#[test]
fn a_server_whose_client_has_left_dies_or_goes_on_as_its_kind_does() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for dialect in DIALECTS {
        let scene = Scene::new();
        let server = scene.server_at(dialect.server()).start();
        waits_for_client(1, &server);
        let client = scene.client_at(dialect.client()).typing().start();
        tells(&server, &[format!("connected {}", dialect.private_pipe(client.pid()))]);
        let answerer = if dialect.forks { children_of(server.pid())[0].pid } else { server.pid() };
        scene.signal_server(answerer, Signal::SIGSTOP);
        client.type_line("hello");
        let upstream = upstream_of(answerer, &dialect);
        until_true("the request to be in the pipe", || is_readable(answerer, &upstream));
        client.kill();
        scene.signal_server(answerer, Signal::SIGCONT);
        match (dialect.sigpipe, dialect.forks) {
            (Sigpipe::Dies, false) => drop(server.ends_by(Signal::SIGPIPE)),
            (Sigpipe::Dies, true) => {
                until_true("the server to have no subserver", || children_of(server.pid()).is_empty());
                assert_eq!(sessions(&server)[1..], ["received [hello]"]);
            }
            (Sigpipe::GoesOn, _) => {
                waits_for_client(2, &server);
                assert_eq!(sessions(&server)[1..], ["received [hello]", "client left"]);
            }
        }
        scene.end();
    }
}

/// Returns the pipe from which a process of a server in C reads its client's messages.
fn upstream_of(pid: u32, dialect: &Dialect) -> Descriptor {
    let is_wkp = |target: &Target| matches!(target, Target::Named { name, .. } if name == dialect.wkp);
    let found = descriptors(pid).into_iter().find(|fd| fd.way == Way::Read && is_wkp(&fd.target));
    found.expect("the server has the well-known pipe open")
}

#[test]
fn the_peers_are_compiled_without_a_warning() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let workshop = Workshop::of_the_peers();
    let place = tempfile::tempdir().expect("a temporary directory");
    for name in programs(&workshop) {
        assert_eq!(workshop.compile(&name, &place.path().join(&name)).as_deref(), Ok(""), "{name}");
    }
}

/// The names of the programs.
fn programs(workshop: &Workshop) -> BTreeSet<String> {
    let files = workshop.files();
    let names = files.iter().map(|file| file.file_name().expect("a file's path").to_string_lossy());
    names.filter_map(|name| name.strip_suffix(".c").map(str::to_owned)).collect()
}

#[test]
fn a_changed_source_is_compiled_anew() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let workshop = Workshop::of_the_peers().copied_to(place.path());
    let program = |name: &str| workshop.program(name).unwrap_or_else(|complaint| panic!("{complaint}"));
    let client = "client_2way_100";
    let first = program(client);
    assert_eq!(program(client), first);
    let change = |file: &str| {
        let path = workshop.sources.join(file);
        fs::write(&path, fs::read_to_string(&path).expect("a source") + "\n").expect("our own copy");
    };
    change("server_2way_100.c");
    assert_eq!(program(client), first, "the client does not depend on that source");
    change("client_2way_100.c");
    let second = program(client);
    change("checks.h");
    let third = program(client);
    assert!(first != second && second != third && third != first, "{first:?} {second:?} {third:?}");
}

#[test]
fn a_missing_c_compiler_is_reported() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let workshop = |compiler: &str| Workshop {
        compiler: compiler.to_owned(),
        programs: place.path().to_owned(),
        ..Workshop::of_the_peers()
    };
    let complaint = workshop("no-such-compiler -m64")
        .program("client_2way_100")
        .expect_err("the compiler does not exist");
    assert!(complaint.contains("client_2way_100.c"), "{complaint}");
    assert!(complaint.contains("\"no-such-compiler\" \"-m64\""), "{complaint}");
    assert!(
        complaint.contains("install a C compiler as \"cc\", or say in CC which one there is"),
        "{complaint}"
    );
    let complaint = workshop("false").program("client_2way_100").expect_err("false(1) always fails");
    assert!(complaint.contains("\"false\"") && complaint.contains("exit status: 1"), "{complaint}");
}

/// tests/peers/README.md has a line for each program, and the harness has a dialect for each pair.
#[test]
fn the_page_lists_every_peer() {
    let workshop = Workshop::of_the_peers();
    let page = fs::read_to_string(workshop.sources.join("README.md")).expect("the page of the peers");
    let listed = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(".c` |").map(|(name, _)| name.to_owned()));
    let known = DIALECTS
        .iter()
        .flat_map(|dialect| ["client", "server"].map(|side| format!("{side}_{}", dialect.name)));
    let programs = programs(&workshop);
    assert_eq!(listed.collect::<BTreeSet<_>>(), programs);
    assert_eq!(known.collect::<BTreeSet<_>>(), programs);
}
