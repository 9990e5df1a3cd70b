//! A client that floods, is stopped or never reads: the latency of the other clients, and the server's
//! memory.

use std::io::Read;

use handshake_core::event::What;
use handshake_core::wire::PAYLOAD_MAX;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use workspace_tests::proc::{children_of, memory};
use workspace_tests::steps::{another_client_is_served_soon, load, report};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, RawClient, Scene, each};

each! {
    a_flood_does_not_starve_polite_clients in forking dispatch shared: row_43;
    a_stopped_client_with_replies_due_delays_nobody in forking dispatch shared: row_10 row_30;
    a_client_that_never_reads_is_held_back_and_costs_no_memory in basic forking dispatch shared: row_11;
    the_central_process_goes_on_beside_a_client_that_never_reads in dispatch shared: row_30;
    a_client_that_never_reads_is_dropped_at_the_deadline in basic forking dispatch shared: row_11;
}

/// In nanoseconds. A server that waits for one client would make the others wait for ever. A busy machine
/// does not make 99 of 100 requests wait so long.
const BLOCKED: u64 = 5_000_000_000;

/// Returns the 99th percentile of the latencies of 63 polite clients, in nanoseconds.
fn polite(scene: &Scene) -> u64 {
    let options = ["--connections", "63", "--requests", "100", "--window", "1"];
    report(&load(scene, &options).start())["latency_ns"]["p99"].as_u64().expect("a number")
}

/// Checks that the latency is at most 3 times the latency without the other client, or far below a blocked
/// server's.
fn is_fair(beside: u64, alone: u64) {
    assert!(
        beside <= (3 * alone).max(BLOCKED),
        "p99: {beside} ns beside the other client, {alone} ns without it"
    );
}

fn a_flood_does_not_starve_polite_clients(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["-q", "--service", "echo"]).without_event_log().ready();
    let alone = polite(scene);
    let options = ["--connections", "1", "--requests", "1000000000", "--window", "1000", "--payload", "4000"];
    let flood = load(scene, &options).start();
    until_true("the flood to begin", || !children_of(server.pid()).is_empty());
    let beside = polite(scene);
    assert!(flood.is_running(), "the flood ended too early");
    flood.signal(Signal::SIGTERM);
    flood.ends_by(Signal::SIGTERM);
    is_fair(beside, alone);
}

/// The most memory that a client may cost a process: twice the longest message, and 256 KiB.
fn bound(longest: usize) -> usize {
    2 * longest + (256 << 10)
}

/// The server is held when it has the request, and goes on when its client is stopped. With `--shared-wkp`
/// the longest message is 16 frames. The private pipe holds all of it but a few bytes.
fn a_stopped_client_with_replies_due_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let longest = if paradigm == Paradigm::Shared { 16 * PAYLOAD_MAX } else { 16 << 20 };
    let server = scene.server(paradigm).args(["-q", "--service", "echo"]).gated().start();
    server.step_until(What::Waiting);
    let message: String = ('a'..='z').cycle().take(longest).collect();
    let (client, mut printed) = scene.client().arg("--raw").reading(&message).start_with_reader();
    // Two processes share the gate, so one may take the other's turn and answer too soon. The small pipe
    // keeps the client from ending even then.
    fcntl(&printed, FcntlArg::F_SETPIPE_SZ(4096)).expect("nothing is in it yet");
    let subserver = server.step_until(What::RequestReceived).pid;
    let idle = memory(server.pid());
    client.signal(Signal::SIGSTOP);
    server.go_on();
    let beside = polite(scene);
    let [stuck, central] = [subserver, server.pid()].map(memory);
    assert!(stuck <= idle + bound(longest), "{stuck} bytes, where an idle process has {idle}");
    polite(scene);
    for (process, before) in [(subserver, stuck), (server.pid(), central)] {
        let after = memory(process);
        assert!(after <= before + (256 << 10), "process {process} grew from {before} to {after} bytes");
    }
    client.signal(Signal::SIGCONT);
    let mut bytes = Vec::new();
    printed.read_to_end(&mut bytes).expect("a pipe can be read");
    client.ends().success();
    assert!(bytes == message.as_bytes(), "other bytes came back");
    is_fair(beside, polite(scene));
}

/// The longest message is short here, and so the bound for a client's memory is small.
const LONGEST: usize = 16 * PAYLOAD_MAX;

/// Sends requests of one frame until the server takes no more, and reads nothing. Returns the number of
/// requests.
fn pipeline(client: &mut RawClient, window: u16) -> u32 {
    let most = if window == 0 { 100_000 } else { u32::from(window) };
    let mut sent = 1;
    while sent < most && client.may_request(sent + 1, &[b'x'; PAYLOAD_MAX]) {
        sent += 1;
    }
    assert!(sent < 100_000, "the server reads without a limit");
    sent
}

fn a_client_that_never_reads_is_held_back_and_costs_no_memory(scene: &Scene, paradigm: Paradigm) {
    let options = ["-q", "--service", "echo", "--max-message", &LONGEST.to_string()];
    let server = scene.server(paradigm).args(options).ready();
    let mut client = scene.raw_client();
    let window = client.shake_hands().window;
    client.shrink_private_pipe();
    client.request(1, b"one");
    assert_eq!(client.answer().payload, b"one");
    let answerer = scene.event_log().wait_for(What::ReadyReceived, |_| true).pid;
    let before = [answerer, server.pid()].map(memory);
    let sent = pipeline(&mut client, window);
    for (process, before) in [answerer, server.pid()].into_iter().zip(before) {
        let after = memory(process);
        assert!(after <= before + bound(LONGEST), "process {process} grew from {before} to {after} bytes");
    }
    if paradigm != Paradigm::Basic {
        scene.serves("another", "another");
    }
    // The replies were delayed, not lost.
    for sequence in 2..=sent {
        assert_eq!(client.reply(sequence, PAYLOAD_MAX), [b'x'; PAYLOAD_MAX]);
    }
    client.bye();
}

fn the_central_process_goes_on_beside_a_client_that_never_reads(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let neighbour = scene.served_client("one");
    let mut client = scene.raw_client();
    let window = client.shake_hands().window;
    client.shrink_private_pipe();
    client.request(1, b"one");
    let sent = pipeline(&mut client, window);
    let mut printed = String::from("ONE\n");
    for line in 0..20 {
        neighbour.type_line(&format!("line {line}"));
        printed += &format!("LINE {line}\n");
        neighbour.prints(&printed);
    }
    another_client_is_served_soon(scene);
    assert_eq!(client.answer().payload, b"ONE");
    for sequence in 2..=sent {
        assert_eq!(client.reply(sequence, PAYLOAD_MAX), [b'X'; PAYLOAD_MAX]);
    }
    client.bye();
    drop(client);
    neighbour.leaves();
}

/// This is more than the pipe and the server's buffer hold, and too little to make the test wait for room.
fn a_client_that_never_reads_is_dropped_at_the_deadline(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--idle-timeout", "300ms"]).ready();
    let mut client = scene.raw_client();
    let window = client.shake_hands().window;
    client.shrink_private_pipe();
    for sequence in 1..=(if window == 0 { 30 } else { u32::from(window) }) {
        client.request(sequence, &[b'x'; PAYLOAD_MAX]);
    }
    let names_the_timeout = |text: &String| text.contains("the idle timeout");
    scene
        .event_log()
        .wait_for(What::ClientDropped, |event| event.text.as_ref().is_some_and(names_the_timeout));
    another_client_is_served_soon(scene);
}
