//! Hostile or idle clients of the course dialect: they cost the server neither time nor memory.

use handshake_core::event::What;
use workspace_tests::proc::memory;
use workspace_tests::steps::course::{acknowledged, is_confirmed};
use workspace_tests::steps::{another_client_is_served_soon, assert_idle_for_a_second, noise};
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, each};

each! {
    a_client_that_never_reads_is_held_back in basic forking dispatch;
    a_server_with_messages_in_its_pipe_uses_no_processor_time in basic forking dispatch;
    garbage_in_a_course_session_harms_no_other_session in basic forking dispatch;
    garbage_in_any_amount_delays_nobody_for_long in forking dispatch shared;
    pipes_without_a_reader_cost_little_memory in forking dispatch;
}

/// The client sends messages on and on, and reads no reply. Neither the client nor the server may keep them
/// in memory.
fn a_client_that_never_reads_is_held_back(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["-q"]).ready();
    let mut greedy = scene.course_client("1");
    greedy.shakes_hands();
    greedy.says(b"HOLA\0");
    is_confirmed(scene, &greedy);
    let record = [b'x'; 4095];
    let written = greedy.write_until_full(&record);
    assert!(written < 400, "{written} records of 4 KiB were taken");
    let session = acknowledged(scene, "1").pid;
    assert_idle_for_a_second(scene, &[session]);
    if paradigm != Paradigm::Basic {
        another_client_is_served_soon(scene);
    }
    greedy.leaves();
}

/// The server processes one message, has read one, and has one in its pipe.
fn a_server_with_messages_in_its_pipe_uses_no_processor_time(scene: &Scene, paradigm: Paradigm) {
    let options = ["--handshake", "2", "--service", "sleep:5000", "--grace", "0"];
    let server = scene.server(paradigm).args(options).ready();
    let mut client = scene.course_client("1");
    client.shakes_hands();
    client.says(b"one\0");
    scene.event_log().wait_for(What::RequestReceived, |_| true);
    client.says(b"two\0");
    until_true("the message to be read", || client.has_been_read());
    client.says(b"three\0");
    let session = acknowledged(scene, "1").pid;
    assert_idle_for_a_second(scene, &[session, server.pid()]);
    client.leaves();
}

fn garbage_in_a_course_session_harms_no_other_session(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let mut client = scene.course_client("1");
    client.shakes_hands();
    client.says(b"HOLA\0");
    is_confirmed(scene, &client);
    let noise = noise(60_000);
    for size in [1, 3, 4, 100, 4096, 5000, 60_000] {
        // Noise may look like several messages, but the server answers each byte once.
        let mut replied = client.asks(&noise[..size]).len();
        while replied < size {
            replied += client.record().len();
        }
        assert_eq!(replied, size);
    }
    client.leaves();
    scene.serves("hello", "HELLO");
}

/// Numbers, digits and paths make a server look up names.
fn garbage_in_any_amount_delays_nobody_for_long(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["-q"]).ready();
    for number in 0..1000 {
        std::fs::write(scene.path(&format!("file{number}")), "").expect("a new file");
    }
    let numbers: Vec<u8> = (70_000_u32..86_000).flat_map(u32::to_ne_bytes).collect();
    let digits = "7".repeat(64_000).into_bytes();
    let paths = format!("{}/{}\0", scene.place().display(), "x".repeat(100)).repeat(400).into_bytes();
    for garbage in [numbers, digits, paths] {
        let mut hostile = scene.course_client("hostile");
        hostile.open_wkp();
        // The server may close the pipe before all is written.
        garbage.chunks(4096).all(|part| hostile.can_say(part));
        another_client_is_served_soon(scene);
        hostile.leaves();
    }
    for number in 0..1000 {
        std::fs::remove_file(scene.path(&format!("file{number}"))).expect("the path exists");
    }
}

/// The pipes exist, but never get a reader.
fn pipes_without_a_reader_cost_little_memory(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).args(["-q", "--handshake-timeout", "60s"]).ready();
    let before = memory(server.pid());
    let pipes: Vec<_> = (0..20).map(|number| scene.course_client(&format!("{}", 7000 + number))).collect();
    let names: String = pipes.iter().map(|pipe| format!("{}\0", pipe.name())).collect::<String>().repeat(40);
    for _ in 0..10 {
        let mut hostile = scene.course_client("hostile");
        hostile.connects_saying(&names.as_bytes()[..4000]);
        another_client_is_served_soon(scene);
        hostile.leaves();
    }
    let grown = memory(server.pid()).saturating_sub(before);
    assert!(grown < 1 << 20, "the server's memory grew by {grown} bytes");
}
