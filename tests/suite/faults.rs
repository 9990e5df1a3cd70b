//! System calls that fail: each kind that a session makes, in each process, once. `cargo xtask sweep` fails
//! all of them, also for good.

use std::collections::HashMap;

use workspace_tests::fault::{Call, Fault, Lasts, Side, calls, run_with_fault, trace_calls};
use workspace_tests::{Paradigm, each, needs};

each! { own scenes:
    every_system_call_has_a_row in basic forking dispatch shared;
    a_server_survives_a_call_that_fails_once in basic forking dispatch shared: row_23 row_24 row_25;
    a_server_that_can_look_at_no_name_leaves_few in basic forking dispatch shared: row_24;
    a_server_that_can_read_no_pipe_is_idle in basic forking dispatch shared: row_25;
    a_subservers_call_that_fails_affects_only_its_own_client in forking dispatch shared: row_24;
    a_clients_call_that_fails_does_not_affect_the_server in basic forking dispatch shared: row_24 row_25;
}

/// Checks that the table is complete: each call is either tested or left out with a reason.
fn every_system_call_has_a_row(paradigm: Paradigm) {
    for side in Side::of(paradigm).filter(|side| needs(&[side.tool()])) {
        let unknown: Vec<Call> = trace_calls(paradigm, side)
            .into_iter()
            .filter(|call| !calls::is_known(&call.name, &call.line))
            .collect();
        assert!(
            unknown.is_empty(),
            "tests/src/fault/calls.rs has no row for these calls of the {side}: {unknown:#?}"
        );
    }
}

fn a_server_survives_a_call_that_fails_once(paradigm: Paradigm) {
    one_of_each_kind(paradigm, Side::Server);
}

/// Each try to make a pipe fails at the fstat(2) of the pipe, which has its temporary name by then.
fn a_server_that_can_look_at_no_name_leaves_few(paradigm: Paradigm) {
    if !needs(&[Side::Server.tool()]) {
        return;
    }
    let mut looks = trace_calls(paradigm, Side::Server);
    looks.retain(|call| call.name == "fstat" || call.line.contains("AT_EMPTY_PATH"));
    let mut faults = Fault::of(&looks[looks.len() / 2]);
    faults.retain(|fault| fault.lasts == Lasts::ForGood && fault.error == "ENOMEM");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(run_with_fault(paradigm, Side::Server, &faults[0]) > 0, "{} did not happen", faults[0]);
}

/// Each read of a pipe fails for good, from the first one on or from a later one.
fn a_server_that_can_read_no_pipe_is_idle(paradigm: Paradigm) {
    if !needs(&[Side::Server.tool()]) {
        return;
    }
    let mut reads = trace_calls(paradigm, Side::Server);
    reads.retain(|call| call.name == "read");
    let mut faults: Vec<_> = reads.iter().flat_map(Fault::of).collect();
    faults.retain(|fault| fault.lasts == Lasts::ForGood && fault.error == "EIO");
    assert!(!faults.is_empty(), "no read of the server can fail");
    for fault in [&faults[0], &faults[faults.len() / 2]] {
        run_with_fault(paradigm, Side::Server, fault);
    }
}

fn a_subservers_call_that_fails_affects_only_its_own_client(paradigm: Paradigm) {
    one_of_each_kind(paradigm, Side::Subserver);
}

fn a_clients_call_that_fails_does_not_affect_the_server(paradigm: Paradigm) {
    one_of_each_kind(paradigm, Side::Client);
}

/// Calls that a run may not make. A process sleeps only if what it waits for is not there yet. A server
/// checks for a dead child only if it takes long to open the client's pipes.
const OPTIONAL_CALLS: [&str; 2] = ["ppoll", "waitid"];

/// Tests the first call of each name with each error, and a middle one with a shortage.
fn one_of_each_kind(paradigm: Paradigm, side: Side) {
    if !needs(&[side.tool()]) {
        return;
    }
    let mut by_name = HashMap::<String, Vec<Vec<Fault>>>::new();
    for call in trace_calls(paradigm, side) {
        let once: Vec<_> = Fault::of(&call).into_iter().filter(|fault| fault.lasts == Lasts::Once).collect();
        if !once.is_empty() {
            by_name.entry(call.name).or_default().push(once);
        }
    }
    for calls in by_name.into_values() {
        let mut faults = calls[0].clone();
        if calls.len() > 2 {
            faults.extend(calls[calls.len() / 2].iter().find(|fault| fault.is_shortage()).cloned());
        }
        for fault in faults {
            let strikes = run_with_fault(paradigm, side, &fault);
            let by_luck = fault.nth > 1 || OPTIONAL_CALLS.contains(&&*fault.call);
            // strace may attach a moment too late, but not twice in a row.
            let happens = strikes > 0 || by_luck || run_with_fault(paradigm, side, &fault) > 0;
            assert!(happens, "{fault} of the {side} did not happen");
        }
    }
}
