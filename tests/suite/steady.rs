//! The cost of a message in a running session, counted and not timed.

use std::fs;
use std::path::{Path, PathBuf};

use workspace_tests::peers::preload;
use workspace_tests::proc::living_in;
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, Tool, each, needs};

each! {
    a_message_allocates_no_memory in basic forking dispatch shared;
    one_message_in_flight_takes_one_read_and_one_write_on_each_side in basic forking;
    one_message_in_flight_takes_two_of_each_with_a_central_process in dispatch shared;
    many_messages_in_flight_take_far_fewer_calls in basic forking dispatch shared;
}

/// A few messages, and many.
const FEW: usize = 500;
const MANY: usize = 5500;

/// The cost of all that is no message: the start of two programs, a handshake, a timer now and then. It is
/// far less than one call in ten messages.
const REST: usize = (MANY - FEW) / 10;

/// Sends so many requests on one connection, with so many in flight. `server` and `client` are words before
/// the programs' command lines.
fn load(scene: &Scene, paradigm: Paradigm, requests: usize, window: usize, server: &[&str], client: &[&str]) {
    let options = ["-q", "--service", "echo", "--wait", "block"];
    let server = scene.server(paradigm).through(server).args(options).without_event_log().ready();
    let load =
        scene.lab().through(client).args(["load", "--wkp", "mario", "--wait", "block", "--timeout", "60s"]);
    let (requests, window) = (requests.to_string(), window.to_string());
    load.args(["--requests", &requests, "--window", &window]).run().success();
    server.shuts_down();
    // strace writes its table when the other processes have ended.
    until_true("all processes to end", || living_in(scene.place()).is_empty());
}

/// Makes a directory for the counts.
fn notes() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let notes = tempfile::tempdir().expect("a directory");
    let (server, client) = (notes.path().join("server"), notes.path().join("client"));
    (notes, server, client)
}

/// Returns how often the processes of each side allocated memory.
fn allocations(scene: &Scene, paradigm: Paradigm, requests: usize) -> Option<[usize; 2]> {
    let (notes, server, client) = notes();
    let preload = preload("counting_malloc", notes.path())?;
    let count = |path: &Path| format!("COUNT={}", path.display());
    let (to_server, to_client) = (count(&server), count(&client));
    load(scene, paradigm, requests, 1, &["env", &preload, &to_server], &["env", &preload, &to_client]);
    let sum = |path: PathBuf| {
        let lines = fs::read_to_string(path).expect("the programs have written their counts");
        lines.lines().map(|line| line.parse::<usize>().expect("a count")).sum()
    };
    Some([sum(server), sum(client)])
}

fn a_message_allocates_no_memory(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let Some(few) = allocations(scene, paradigm, FEW) else { return };
    let many = allocations(scene, paradigm, MANY).expect("the library can be preloaded");
    for (side, (few, many)) in ["server", "client"].into_iter().zip(few.into_iter().zip(many)) {
        assert!(few > 0, "the {side} was not counted");
        let more = many.saturating_sub(few);
        assert!(
            more < REST,
            "{more} more allocations for {} more messages, on the {side}'s side",
            MANY - FEW
        );
    }
}

/// Returns the successful reads and writes of each side, as strace counts them.
fn reads_and_writes(scene: &Scene, paradigm: Paradigm, requests: usize, window: usize) -> [[usize; 2]; 2] {
    let (_notes, server, client) = notes();
    let [to_server, to_client] = [&server, &client].map(|path| path.display().to_string());
    let strace = |path| ["strace", "-D", "-f", "-c", "-e", "trace=read,write", "-o", path, "--"];
    load(scene, paradigm, requests, window, &strace(to_server.as_str()), &strace(to_client.as_str()));
    [server, client].map(|path| {
        let table = fs::read_to_string(path).expect("strace has counted");
        ["read", "write"].map(|call| successful(&table, call))
    })
}

/// `% time  seconds  usecs/call  calls  errors  syscall`; without errors the column is empty.
fn successful(table: &str, call: &str) -> usize {
    let line = table
        .lines()
        .find(|line| line.split_whitespace().last() == Some(call))
        .expect("the table has the call");
    let numbers: Vec<usize> =
        line.split_whitespace().skip(3).filter_map(|field| field.parse().ok()).collect();
    numbers[0] - numbers.get(1).copied().unwrap_or(0)
}

/// Checks that a message takes at most so many reads and writes on the server's side and on the client's
/// side.
fn a_message_takes(scene: &Scene, paradigm: Paradigm, window: usize, [server, client]: [f64; 2]) {
    if !needs(&[Tool::Strace]) {
        return;
    }
    let [few, many] = [FEW, MANY].map(|requests| reads_and_writes(scene, paradigm, requests, window));
    for (side, most) in [server, client].into_iter().enumerate() {
        for (call, name) in ["reads", "writes"].into_iter().enumerate() {
            let more = many[side][call].saturating_sub(few[side][call]) as f64 / (MANY - FEW) as f64;
            let whose = ["server", "client"][side];
            assert!(
                more <= most + 0.1,
                "{more} {name} a message on the {whose}'s side, where {most} are allowed"
            );
        }
    }
}

fn one_message_in_flight_takes_one_read_and_one_write_on_each_side(scene: &Scene, paradigm: Paradigm) {
    a_message_takes(scene, paradigm, 1, [1.0, 1.0]);
}

/// The central process and the subserver make one each. With `--shared-wkp` one status byte goes up for every
/// half window, which is eight frames.
fn one_message_in_flight_takes_two_of_each_with_a_central_process(scene: &Scene, paradigm: Paradigm) {
    let news = if paradigm == Paradigm::Shared { 1.0 / 8.0 } else { 0.0 };
    a_message_takes(scene, paradigm, 1, [2.0 + news, 1.0]);
}

fn many_messages_in_flight_take_far_fewer_calls(scene: &Scene, paradigm: Paradigm) {
    a_message_takes(scene, paradigm, 64, [0.5, 0.5]);
}
