//! Messages of any size come back with the same bytes, in the same order.

use std::io::{BufRead, BufReader};

use handshake_core::wire::PAYLOAD_MAX;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::{load, noise, report};
use workspace_tests::{Paradigm, Scene, each};

each! {
    a_hundred_thousand_lines_come_back_in_order in basic forking dispatch shared;
    sixteen_mebibytes_come_back_identical in basic forking dispatch;
    sixteen_mebibytes_are_refused_with_a_reason in shared;
    a_million_frames_of_64_writers_are_all_answered_correctly in shared: row_28;
    a_message_longer_than_the_window_does_not_harm_its_session in shared: row_28;
    messages_of_every_size_come_back in basic forking dispatch shared;
    a_client_whose_reader_has_gone_ends_by_sigpipe in basic forking dispatch shared;
}

fn a_hundred_thousand_lines_come_back_in_order(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["-q", "--service", "echo"]).without_event_log().ready();
    let lines: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let end = scene.client().without_event_log().run_with_stdin(lines.as_str()).success();
    // A diff in the message would be too long.
    assert!(end.get_output().stdout == lines.as_bytes(), "other lines came back");
}

fn sixteen_mebibytes_come_back_identical(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--service", "echo"]).without_event_log().ready();
    let bytes = noise(16 << 20);
    let end = scene.client().arg("--raw").without_event_log().run_with_stdin(bytes.clone()).success();
    assert!(end.get_output().stdout == bytes, "other bytes came back");
}

fn sixteen_mebibytes_are_refused_with_a_reason(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--service", "echo"]).ready();
    scene.client().arg("--raw").run_with_stdin(noise(16 << 20)).code(1).stdout("").stderr(
        predicate::str::contains(format!("more than {} bytes", 16 * PAYLOAD_MAX))
            .and(predicate::str::contains("window of 16 frames")),
    );
}

/// Frames of 4,096 bytes are the longest writes that a pipe keeps whole (pipe(7)). Every reply is checked.
/// The counted frames are those that the clients write, all into one pipe. On a busy machine a new client may
/// wait for room in the pipe for many seconds. So the handshake timeout is long.
fn a_million_frames_of_64_writers_are_all_answered_correctly(scene: &Scene, paradigm: Paradigm) {
    let _server = scene
        .server(paradigm)
        .args(["-q", "--service", "echo", "--handshake-timeout", "60s"])
        .without_event_log()
        .ready();
    let mut frames = 0;
    // Payload, requests of each client, frames of each request.
    for (payload, requests, each) in
        [(0, 5500, 1), (1000, 2500, 1), (PAYLOAD_MAX, 1500, 1), (PAYLOAD_MAX + 1, 750, 2), (64, 5000, 1)]
    {
        let [payload, count] = [payload.to_string(), requests.to_string()];
        let options = ["--connections", "64", "--window", "16", "--payload", &payload, "--requests", &count];
        let report = report(&load(scene, &options).start());
        assert_eq!(report["requests"].as_u64(), Some(64 * requests), "{report}");
        frames += 64 * requests * each + 64 * 3;
    }
    assert!(frames > 1_000_000, "{frames}");
}

fn a_message_longer_than_the_window_does_not_harm_its_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let [fits, too_long] = [0, 1].map(|more| "x".repeat(16 * PAYLOAD_MAX + more));
    let end = scene.client().args(["before", &fits, &too_long, "after"]).run();
    let reason = predicate::str::contains("65073 bytes").and(predicate::str::contains("window of 16 frames"));
    end.code(1).stdout(format!("BEFORE\n{}\nAFTER\n", fits.to_uppercase())).stderr(reason);
}

/// A frame holds 4,067 bytes.
fn messages_of_every_size_come_back(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--service", "reverse"]).ready();
    let longest = if paradigm == Paradigm::Shared { 16 * PAYLOAD_MAX } else { 100_000 };
    let sizes = [0, 1, PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1, longest];
    // First as lines of one session.
    let letters: Vec<String> = sizes.iter().map(|size| ('a'..='z').cycle().take(*size).collect()).collect();
    let reversed: String =
        letters.iter().map(|message| message.chars().rev().chain(['\n']).collect::<String>()).collect();
    let end = scene.client().args(&letters).run().success();
    assert!(end.get_output().stdout == reversed.as_bytes(), "other lines came back");
    // Then each size alone, with all byte values.
    for size in sizes {
        let bytes = noise(size);
        let end = scene.client().arg("--raw").run_with_stdin(bytes.clone()).success();
        assert!(end.get_output().stdout.iter().eq(bytes.iter().rev()), "other bytes came back, of {size}");
    }
    if paradigm == Paradigm::Shared {
        let end = scene.client().arg("--raw").run_with_stdin(noise(longest + 1));
        end.code(1).stdout("").stderr(predicate::str::contains("window of 16 frames"));
    }
}

/// As `seq 100000 | client | head -1`.
fn a_client_whose_reader_has_gone_ends_by_sigpipe(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).arg("-q").without_event_log().ready();
    let lines: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let (client, stdout) = scene.client().without_event_log().reading(&lines).start_with_reader();
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the client prints");
    assert_eq!(line, "1\n");
    drop(stdout);
    client.ends_by(Signal::SIGPIPE).stderr("");
}
