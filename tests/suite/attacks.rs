//! Other processes attack a server with numbers, locks, names, memory and signals. Polite clients are served
//! meanwhile.

use std::fs;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use handshake_core::budget::CLIENTS_A_TURN;
use handshake_core::deadline::monotonic_ns;
use handshake_core::event::{Event, What};
use handshake_core::sys::{Lock, try_lock};
use handshake_core::wait::SIGNALS_WITHIN;
use handshake_core::wire::{HEADER, Kind, PAYLOAD_MAX, Part};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use predicates::str::contains;
use workspace_tests::pipe::open_to_write;
use workspace_tests::proc::{Descriptor, Target};
use workspace_tests::steps::{another_client_is_served_soon, load};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, RawClient, Scene, Tool, each, frame, needs};

each! {
    a_long_queue_delays_no_signal in forking dispatch shared: row_55;
    a_long_queue_delays_no_request in dispatch shared: row_55;
    a_process_that_connects_often_delays_no_other in forking dispatch shared: row_55;
    names_of_missing_pipes_cost_no_fork in basic forking dispatch shared: row_55;
    a_well_known_pipe_that_is_moved_away_and_back_is_recognised in basic forking dispatch shared: row_18;
    a_well_known_pipe_that_never_stays_ends_no_server in basic forking dispatch shared: row_18;
    a_second_name_of_the_well_known_pipe_misleads_no_client in forking dispatch: row_18;
    headers_that_claim_long_frames_delay_nobody in basic forking dispatch shared: row_36;
    a_lock_on_the_well_known_pipe_blocks_no_client in basic forking dispatch shared: row_56;
    the_number_of_old_well_known_pipes_is_bounded in shared: row_56;
    a_message_longer_than_the_free_memory_is_refused in basic forking dispatch: row_57;
    a_flood_of_signals_does_not_stop_the_server in basic forking dispatch shared: row_58;
}

/// Of a kernel that counts 100 ticks a second.
const LONGEST_TICK: Duration = Duration::from_millis(10);

/// Returns clients that have sent their names.
fn queue(scene: &Scene) -> Vec<RawClient> {
    let clients = (0..200).map(|_| {
        let mut client = scene.raw_client();
        client.hello();
        client
    });
    clients.collect()
}

/// Waits that find something at once look for signals only now and then. After that, a server may finish its
/// turn, and take one more turn.
fn a_long_queue_delays_no_signal(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["--grace", "100ms"]).gated().start();
    server.step_until(What::Waiting);
    let _queue = queue(scene);
    server.step_until(What::SubserverForked);
    server.signal(Signal::SIGTERM);
    let looked =
        monotonic_ns() + u64::try_from((SIGNALS_WITHIN + LONGEST_TICK).as_nanos()).expect("it is short");
    server.go_on();
    server.ends().code(0);
    let late = |event: &Event| event.what == What::SubserverForked && event.ns > looked;
    let late = scene.event_log().all(late).len();
    assert!(late <= 2 * CLIENTS_A_TURN, "{late} subservers were forked long after SIGTERM");
}

/// A request that comes after the first fork is routed after a few more forks, and not after all.
fn a_long_queue_delays_no_request(scene: &Scene, paradigm: Paradigm) {
    const TWO_TURNS: usize = 32;
    let server = scene.server(paradigm).gated().start();
    let mut polite = scene.raw_client();
    polite.hello();
    server.step_until(What::AckSent);
    polite.accept();
    server.step_until(What::ReadyReceived);
    let _queue = queue(scene);
    server.step_until(What::SubserverForked);
    let mark = scene.event_log().mark();
    polite.request(1, b"hello");
    server.go_on();
    scene.event_log().wait_after(mark, What::Routed, |_| true);
    let events = scene.event_log().all(|_| true).split_off(mark);
    let before = events.iter().take_while(|event| event.what != What::Routed);
    let forked = before.filter(|event| event.what == What::SubserverForked).count();
    assert!(forked <= TWO_TURNS, "{forked} subservers were forked before a request was routed");
    assert_eq!(polite.answer().payload, b"HELLO");
    polite.bye();
}

/// The 200 clients are of this process, and came first.
fn a_process_that_connects_often_delays_no_other(scene: &Scene, paradigm: Paradigm) {
    const FEW: usize = 32;
    let server = scene.server(paradigm).gated().start();
    server.step_until(What::Waiting);
    let _queue = queue(scene);
    let client = scene.client().arg("hello").start();
    let hello = scene.event_log().wait_for(What::HelloSent, |event| event.pid == client.pid());
    server.go_on();
    client.ends().success().stdout("HELLO\n");
    // Each fork names the private pipe of its client, and so does the HELLO. The server may log a fork only
    // after the subserver has served its client.
    scene.event_log().wait_for(What::SubserverForked, |fork| fork.pipe == hello.text);
    let forks = scene.event_log().all(|event| event.what == What::SubserverForked);
    let forked = forks.iter().take_while(|fork| fork.pipe != hello.text).count();
    assert!(forked <= FEW, "{forked} subservers were forked before another process had its turn");
}

fn names_of_missing_pipes_cost_no_fork(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut intruder = scene.raw_client();
    for _ in 0..200 {
        intruder.hello_naming(RawClient::new_name().as_bytes());
    }
    let is_absent = |text: &String| text.contains("nothing stands at its private pipe's name");
    scene
        .event_log()
        .wait_for_many(200, What::ClientDropped, |event| event.text.as_ref().is_some_and(is_absent));
    another_client_is_served_soon(scene);
    let forked = scene.event_log().all(|event| event.what == What::SubserverForked).len();
    assert!(forked <= 1, "{forked} subservers for one client");
}

/// Another process moves the pipe away, and then back over the next one.
fn a_well_known_pipe_that_is_moved_away_and_back_is_recognised(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for _ in 0..3 {
        until_true("the well-known pipe to exist", || scene.path("mario").exists());
        fs::rename(scene.path("mario"), scene.path("elsewhere")).expect("the path exists");
        until_true("the next well-known pipe to exist", || scene.path("mario").exists());
        fs::rename(scene.path("elsewhere"), scene.path("mario")).expect("the moved pipe exists");
        another_client_is_served_soon(scene);
    }
}

/// Another process moves the pipe away and back, at any moment of a replacement.
fn a_well_known_pipe_that_never_stays_ends_no_server(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).without_event_log().ready();
    let busy = ["--connections", "2", "--requests", "150", "--connect-only"];
    let clients = load(scene, &busy).start();
    for pause in (0..20).cycle() {
        if !clients.is_running() || !server.is_running() {
            break;
        }
        // Both fail while the name is missing (in basic, while a client is served).
        let _ = fs::rename(scene.path("mario"), scene.path("elsewhere"));
        (0..pause).for_each(|_| thread::yield_now());
        let _ = fs::rename(scene.path("elsewhere"), scene.path("mario"));
        (0..10 * pause).for_each(|_| thread::yield_now());
    }
    assert!(server.is_running(), "the server has ended");
    clients.ends().success();
    another_client_is_served_soon(scene);
}

/// A pipe that has lost the well-known name may have a second name. A client that opened the pipe before must
/// not write its name there.
fn a_second_name_of_the_well_known_pipe_misleads_no_client(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    fs::hard_link(scene.path("mario"), scene.path("second")).expect("the path exists");
    scene.signal_server(server.pid(), Signal::SIGSTOP);
    let mut first = scene.raw_client();
    first.hello();
    first.flood(&[b'x'; 4096]);
    let client = scene.client().arg("hello").start();
    let is_well_known =
        |open: &Descriptor| matches!(&open.target, Target::Named { name, .. } if name == "mario");
    until_true("a client to wait for room", || client.descriptors().iter().any(is_well_known));
    scene.signal_server(server.pid(), Signal::SIGCONT);
    first.accept();
    client.ends().success().stdout("HELLO\n");
    first.bye();
    drop(first);
    fs::remove_file(scene.path("second")).expect("the path exists");
}

/// Headers without payload, each claiming the longest frame: many in a row, and one alone.
fn headers_that_claim_long_frames_delay_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let claim = frame(Kind::Request, 7, 1, Part::ONLY, &[b'x'; PAYLOAD_MAX]);
    let close_together = claim[..HEADER].repeat(claim.len() / HEADER);
    let mut intruder = scene.raw_client();
    intruder.open_wkp();
    for _ in 0..5 {
        for garbage in [&close_together[..], &claim[..claim.len() - 1]] {
            // The pipe may have lost its reader.
            if intruder.shows_error() {
                intruder.open_wkp();
            }
            intruder.flood(garbage);
            another_client_is_served_soon(scene);
        }
    }
}

/// An exclusive lock would keep every client from writing its name, since each asks for a shared lock. So the
/// server holds a shared lock itself.
fn a_lock_on_the_well_known_pipe_blocks_no_client(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let locked = open_to_write(scene.path("mario")).expect("the server reads it");
    assert_eq!(try_lock(locked.as_fd(), Lock::Exclusive), Err(Errno::EWOULDBLOCK));
    try_lock(locked.as_fd(), Lock::Shared).expect("a shared lock is free");
    another_client_is_served_soon(scene);
    drop(locked);
    another_client_is_served_soon(scene);
}

/// A client keeps each pipe open, which would cost the server a descriptor.
fn the_number_of_old_well_known_pipes_is_bounded(scene: &Scene, paradigm: Paradigm) {
    const KEPT: usize = 8;
    let server = scene.server(paradigm).ready();
    let before = server.descriptors().len();
    let mut clients = Vec::new();
    for _ in 0..KEPT + 2 {
        let mut client = scene.raw_client();
        client.open_wkp();
        clients.push(client);
        fs::remove_file(scene.path("mario")).expect("the path exists");
        until_true("the next well-known pipe to exist", || scene.path("mario").exists());
    }
    until_true("the server to close old pipes", || server.descriptors().len() < before + KEPT);
    another_client_is_served_soon(scene);
}

fn a_message_longer_than_the_free_memory_is_refused(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("prlimit")]) {
        return;
    }
    let _server = scene.server(paradigm).through(["prlimit", "--data=12000000"]).ready();
    let raw = |bytes: usize| scene.client().arg("--raw").run_with_stdin(vec![b'x'; bytes]);
    let refused = contains("its 15728640 bytes are more than this server has memory for now");
    raw(15 << 20).code(1).stdout("").stderr(refused);
    raw(2 << 20).success().stdout("X".repeat(2 << 20)).stderr("");
}

/// Another process sends the signal that reports a child's exit.
fn a_flood_of_signals_does_not_stop_the_server(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    // Basic has no children and no handler for that signal.
    let signals: &[&str] = if paradigm.has_subservers() { &["34", "CHLD"] } else { &["CHLD"] };
    let kills = signals.iter().map(|signal| format!("kill -{signal} {}", server.pid()));
    let flood = format!("while {}; do :; done", kills.collect::<Vec<_>>().join(" && "));
    let mut flood = Command::new("timeout").args(["60", "sh", "-c", &flood]).spawn().expect("timeout(1)");
    for _ in 0..5 {
        another_client_is_served_soon(scene);
    }
    server.shuts_down();
    // The flood ends with its target.
    flood.wait().expect("the flood is a child of this process");
}
