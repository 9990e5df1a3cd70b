//! The pipe ends that each process holds while five clients are connected. An end too many hides EOF, lets
//! other processes read, or keeps a lock. Here stdin is /dev/null, and stdout and stderr are files.

use std::collections::BTreeSet;
use std::rc::Rc;

use handshake_core::event::{Event, What};
use workspace_tests::proc::{Descriptor, Target, Way, children_of};
use workspace_tests::wait::until_true;
use workspace_tests::{EventLog, Paradigm, Program, Scene, Tool, each, needs};

each! {
    the_server_holds_only_the_descriptors_of_its_paradigm in basic forking dispatch shared: row_20;
    each_subserver_holds_only_its_own_descriptors in forking dispatch shared: row_20;
    each_subserver_has_a_pair_of_unnamed_pipes_with_the_server in dispatch shared;
    clients_hold_only_their_two_pipes in basic forking dispatch shared;
}

each! { own scenes:
    a_subserver_without_close_range_holds_only_its_own_descriptors in forking dispatch shared: row_20;
}

/// Starts five clients that connect and send nothing. In basic one is connected, and four wait for their
/// turn.
fn five_clients(scene: &Scene, paradigm: Paradigm) -> Vec<Rc<Program>> {
    let client = |_| scene.client().args(["--timeout", "60s"]).typing().start();
    let connected = if paradigm == Paradigm::Basic { 1 } else { 5 };
    let mut clients: Vec<_> = (0..connected).map(client).collect();
    for ready in scene.event_log().wait_for_many(connected, What::ReadyReceived, |_| true) {
        // A fresh upstream loses its name after READY.
        let of_session = |event: &Event| event.session == ready.session;
        let fresh = |event: &Event| of_session(event) && event.what == What::UpstreamCreated;
        if !scene.event_log().all(fresh).is_empty() {
            scene.event_log().wait_for(What::UpstreamRemoved, of_session);
        }
    }
    clients.extend((connected..5).map(client));
    clients
}

fn all_leave(clients: &[Rc<Program>]) {
    clients.iter().for_each(|client| client.close_stdin());
    clients.iter().for_each(|client| drop(client.ends().success()));
}

fn kinds(descriptors: &[Descriptor]) -> Vec<String> {
    let mut kinds: Vec<_> = descriptors.iter().map(ToString::to_string).collect();
    kinds.sort();
    kinds
}

fn the_server_holds_only_the_descriptors_of_its_paradigm(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let clients = five_clients(scene, paradigm);
    let wkp_ends = ["well-known pipe, Read", "well-known pipe, Write"];
    let for_each = |kind: &'static str| [kind; 5];
    let mut expected: Vec<&str> = vec!["lock file"];
    match paradigm {
        Paradigm::Basic => expected.extend(["private pipe, Write", "upstream, Read"]),
        Paradigm::Forking => expected.extend(wkp_ends),
        Paradigm::Dispatch | Paradigm::Shared => {
            expected.extend(wkp_ends);
            expected.push("poller");
            expected.extend(for_each("unnamed pipe, Read"));
            expected.extend(for_each("unnamed pipe, Write"));
            expected.extend(for_each("upstream, Read").iter().filter(|_| paradigm == Paradigm::Dispatch));
        }
    }
    expected.sort_unstable();
    until_true(format_args!("the server to have {expected:?}"), || kinds(&server.descriptors()) == expected);
    all_leave(&clients);
}

fn each_subserver_holds_only_its_own_descriptors(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    assert_only_its_own(scene, paradigm);
}

/// An old kernel or a sandbox forbids the call. No client is told to try again.
fn a_subserver_without_close_range_holds_only_its_own_descriptors(paradigm: Paradigm) {
    if !needs(&[Tool::Strace]) {
        return;
    }
    for errno in ["ENOSYS", "EPERM"] {
        let scene = Scene::new();
        let server = scene.server(paradigm).args(["--handshake-timeout", "60s"]);
        let server = server.failing("close_range", errno).ready();
        assert_only_its_own(&scene, paradigm);
        until_true("the server to have no children", || children_of(server.pid()).is_empty());
        let happened = |what| scene.event_log().all(|event| event.what == what);
        // On a busy machine, a client may be slow between its lock and its HELLO, and has to try again.
        let mut dropped = happened(What::ClientDropped);
        dropped.retain(|event| !event.text.as_deref().is_some_and(|text| text.starts_with("its name came")));
        assert_eq!(dropped, [], "a subserver could not begin");
        assert_eq!(happened(What::SubserverForked).len(), 5);
        let ends = happened(What::SubserverReaped);
        assert!(ends.iter().all(|end| end.text.as_deref() == Some("exit status 0")), "{ends:?}");
        scene.end();
    }
}

fn assert_only_its_own(scene: &Scene, paradigm: Paradigm) {
    let clients = five_clients(scene, paradigm);
    let mut expected = match paradigm {
        Paradigm::Forking => vec!["upstream, Read"],
        _ => vec!["unnamed pipe, Read", "unnamed pipe, Write"],
    };
    expected.push("private pipe, Write");
    expected.sort_unstable();
    for client in &clients {
        let descriptors = scene.event_log().descriptors(scene.event_log().server_of(client.pid()));
        assert_eq!(kinds(&descriptors), expected);
        assert_eq!(
            private_pipe(&descriptors),
            made_by(client, scene.event_log()),
            "the pipe is another client's"
        );
    }
    all_leave(&clients);
}

fn private_pipe(descriptors: &[Descriptor]) -> String {
    let names = descriptors.iter().filter_map(|descriptor| match &descriptor.target {
        Target::Named { name, .. } if name.contains(".client.") => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

/// The name of the private pipe on which the client got its ACK.
fn made_by(client: &Program, event_log: &EventLog) -> String {
    event_log
        .wait_for(What::AckReceived, |event| event.pid == client.pid())
        .pipe
        .expect("the event has the pipe's name")
}

fn each_subserver_has_a_pair_of_unnamed_pipes_with_the_server(scene: &Scene, paradigm: Paradigm) {
    let server = scene.server(paradigm).ready();
    let clients = five_clients(scene, paradigm);
    let central = server.descriptors();
    let mut pipes = BTreeSet::new();
    for client in &clients {
        let descriptors = scene.event_log().descriptors(scene.event_log().server_of(client.pid()));
        let unnamed = descriptors.iter().filter(|fd| matches!(fd.target, Target::Unnamed(_)));
        for end in unnamed {
            let other_way = if end.way == Way::Read { Way::Write } else { Way::Read };
            let others: Vec<_> = central.iter().filter(|fd| fd.target == end.target).collect();
            assert!(matches!(others[..], [other] if other.way == other_way), "{end:?}: {others:?}");
            pipes.insert(end.target.clone());
        }
    }
    assert_eq!(pipes.len(), 10, "each subserver has two pipes of its own");
    all_leave(&clients);
}

fn clients_hold_only_their_two_pipes(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    let clients = five_clients(scene, paradigm);
    let upstream = if paradigm == Paradigm::Shared { "well-known pipe, Write" } else { "upstream, Write" };
    for ready in scene.event_log().all(|event| event.what == What::ReadySent) {
        assert_eq!(kinds(&scene.event_log().descriptors(ready.pid)), ["private pipe, Read", upstream]);
    }
    all_leave(&clients);
}
