//! Steps that tests of several subjects share.

pub mod course;

use std::time::{Duration, Instant};

use handshake_core::event::What;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::launch::Launch;
use crate::paradigm::Paradigm;
use crate::proc::processor_time;
use crate::program::Program;
use crate::raw::RawClient;
use crate::scene::Scene;
use crate::wait::{until, within};

/// The events of a client's handshake, in their order.
pub const HANDSHAKE: [What; 7] = [
    What::PrivateCreated,
    What::WkpOpened,
    What::HelloSent,
    What::AwaitingAck,
    What::AckReceived,
    What::PrivateRemoved,
    What::ReadySent,
];

/// Shorter than any timeout here, and long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Checks that another client is served soon, and not only after a timeout.
pub fn another_client_is_served_soon(scene: &Scene) {
    let since = Instant::now();
    scene.serves("another", "ANOTHER");
    assert!(since.elapsed() < SOON, "another client waited for {:?}", since.elapsed());
}

/// Returns a client whose HELLO the server has, and to which it gives a fresh upstream: the second one in a
/// pipe. The first one has left.
pub fn second_in_a_pipe(scene: &Scene, server: &Program) -> RawClient {
    let [mut first, mut second] = [scene.raw_client(), scene.raw_client()];
    scene.signal_server(server.pid(), Signal::SIGSTOP);
    first.hello();
    second.hello();
    scene.signal_server(server.pid(), Signal::SIGCONT);
    first.accept();
    first.bye();
    second
}

/// Returns a client that only has a session's pipe open, and the client of that session. If the server reads
/// HELLO while the client still holds its lock, it gives the client a fresh upstream. That may happen on a
/// busy machine, so this tries again.
pub fn at_one_pipe(scene: &Scene) -> (RawClient, RawClient) {
    until("a client to keep the well-known pipe", || {
        let mut intruder = scene.raw_client();
        intruder.open_wkp();
        let mut client = scene.raw_client();
        if client.shake_hands().upstream.is_empty() {
            return Some((intruder, client));
        }
        client.bye();
        None
    })
}

/// The processor time of an idle process in a second. An idle server checks twice a second whether the
/// well-known pipe still has its name. A busy loop would use a hundred times as much, even on a busy machine.
const NOTHING: Duration = Duration::from_millis(8);

/// The processor time of a server that retries ten times a second for lack of a resource. A busy loop would
/// use ten times as much.
const LITTLE: Duration = Duration::from_millis(50);

/// Checks for a second that these processes are idle.
pub fn assert_idle_for_a_second(scene: &Scene, pids: &[u32]) {
    assert_processor_time_below(NOTHING, scene, pids);
}

/// Checks for a second that this process only retries now and then.
pub fn assert_nearly_idle_for_a_second(scene: &Scene, pid: u32) {
    assert_processor_time_below(LITTLE, scene, &[pid]);
}

fn assert_processor_time_below(most: Duration, scene: &Scene, pids: &[u32]) {
    let before: Vec<_> = pids.iter().map(|pid| processor_time(*pid)).collect();
    let_time_pass(scene, 1000);
    for (pid, before) in pids.iter().zip(before) {
        let used = processor_time(*pid) - before;
        assert!(used < most, "process {pid} used {used:?} of a second, and may use {most:?}");
    }
}

/// Waits for this number of milliseconds: another server takes that long for a reply.
pub fn let_time_pass(scene: &Scene, milliseconds: u32) {
    let service = format!("sleep:{milliseconds}");
    let clock = scene
        .server(Paradigm::Basic)
        .args(["--wkp", "luigi", "--service", &service])
        .without_event_log()
        .ready();
    scene.client().args(["--wkp", "luigi", "tick"]).without_event_log().run().success().stdout("tick\n");
    clock.signal(Signal::SIGTERM);
    clock.ends().success();
}

/// The most time that a crowd may take. An idle machine needs a tenth of it at most.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Prepares `lab load`. Its clients do not give up before the test does.
pub fn load<'s>(scene: &'s Scene, options: &[&str]) -> Launch<'s> {
    let timeout = format!("{}s", PATIENCE.as_secs());
    scene.lab().args(["load", "--wkp", "mario", "--json", "--timeout", &timeout]).args(options)
}

/// Waits for the report of `lab load`, and checks that every client was served and every answer was right.
pub fn report(lab: &Program) -> Value {
    within(PATIENCE, format_args!("{} to end", lab.name()), || (!lab.is_running()).then_some(()));
    let end = lab.ends().success();
    let report: Value = serde_json::from_slice(&end.get_output().stdout).expect("one JSON object");
    for count in ["lost", "errors", "mismatches"] {
        assert_eq!(report[count].as_u64(), Some(0), "{count}: {report}");
    }
    report
}

/// The same bytes in each run, without a pattern that could hide a mistake.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut noise: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next()).collect();
    noise.truncate(bytes);
    noise
}
