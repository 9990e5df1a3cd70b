//! Each process is killed, and stopped for a while, at each of its events. The events come from a run of the
//! paradigm, so a new event is tested without a change here.

use std::mem::discriminant;
use std::rc::Rc;
use std::time::Duration;

use handshake_core::event::{Event, Role, What};
use nix::sys::signal::Signal;
use predicates::prelude::*;
use workspace_tests::steps::{another_client_is_served_soon, let_time_pass};
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, Program, Scene, each};

each! {
    a_client_killed_at_any_event_delays_nobody in basic forking dispatch shared: row_8 row_9;
    a_client_stopped_at_any_event_goes_on in basic forking dispatch shared: row_8 row_10 row_45;
}

each! { own scenes:
    a_subserver_killed_at_any_event_is_noticed_at_once in forking dispatch shared: row_13;
    a_server_killed_at_any_event_is_replaced_by_the_next in basic forking dispatch shared: row_4 row_12;
    a_subserver_stopped_at_any_event_delays_no_other in forking dispatch shared: row_46;
    a_server_stopped_at_any_event_drops_no_client in basic forking dispatch shared: row_46;
}

/// How long subservers may run after their server was killed.
const SUBSERVER_END_LIMIT: Duration = Duration::from_secs(10);

/// A deadline that passes while a process is stopped, and a longer time in milliseconds.
const SHORT: &str = "2s";
const LONGER_THAN_SHORT: u32 = 2200;
/// A deadline that never passes here.
const LONG: &str = "60s";

/// One of the events of a run: the n-th of its kind that a process in this role logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    role: Role,
    what: What,
    nth: usize,
    /// Whether the handshake is under way. A process that is stopped here may miss its deadline.
    in_handshake: bool,
}

impl Moment {
    fn find(self, events: &[Event]) -> Option<Event> {
        events.iter().filter(|event| self.is_kind_of(event)).nth(self.nth).cloned()
    }

    /// Whether a run may lack this event. The number of routed reads is chance. A client gets a fresh
    /// upstream only if it still holds its lock when the server reads HELLO.
    fn may_be_absent(self) -> bool {
        self.nth > 0 || matches!(self.what, What::UpstreamCreated | What::UpstreamRemoved)
    }

    /// The subserver may be another one, because a client that was sent away tries again.
    fn is_kind_of(self, event: &Event) -> bool {
        self.what == event.what && discriminant(&self.role) == discriminant(&event.role)
    }
}

/// Returns the events of one session that a process in the given role logs, from the server's start to its
/// end.
fn moments(paradigm: Paradigm, is_one: impl Fn(Role) -> bool) -> Vec<Moment> {
    let scene = Scene::new();
    let server = scene.server(paradigm).start();
    scene.serves("hello", "HELLO");
    until_true("the session to be over", || {
        let over = if paradigm.has_subservers() { What::SubserverReaped } else { What::SessionEnded };
        !scene.event_log().all(|event| event.what == over).is_empty()
    });
    server.shuts_down();
    let events = scene.event_log().all(|_| true);
    scene.end();
    let mut moments: Vec<Moment> = Vec::new();
    let mut in_handshake = false;
    for event in events {
        in_handshake |= event.what == What::HelloReceived;
        in_handshake &= event.what != What::ReadyReceived;
        if is_one(event.role) {
            let nth = moments.iter().filter(|moment| moment.is_kind_of(&event)).count();
            moments.push(Moment { role: event.role, what: event.what, nth, in_handshake });
        }
    }
    assert!(moments.len() > 3, "too few events: {moments:?}");
    moments
}

fn is_subserver(role: Role) -> bool {
    matches!(role, Role::Subserver(_))
}

/// A gated server and a client without a gate, at a moment.
struct Run {
    server: Rc<Program>,
    client: Rc<Program>,
    /// The moment's event; `None` if the event did not come, see [`Moment::may_be_absent`].
    at: Option<Event>,
    /// Whether the test has asked the server to end.
    asked: bool,
}

impl Run {
    /// Lets a server and its subservers run to this moment. When the session is over, the test asks the
    /// server to end, since some moments come later.
    fn to(moment: Moment, scene: &Scene, paradigm: Paradigm, timeout: &str) -> Self {
        let server = scene.server(paradigm).args(["--handshake-timeout", timeout]).gated().start();
        let client = scene.client().args(["--timeout", "60s", "hello"]).start();
        let mut asked = false;
        let at = until(format_args!("{} at {moment:?}", server.name()), || {
            let events = server.events();
            if let Some(event) = moment.find(&events) {
                return Some(Some(event));
            }
            if !server.is_running() {
                return Some(None);
            }
            let session_is_over = events.iter().any(|event| event.what == What::SessionEnded);
            if !client.is_running() && session_is_over && !std::mem::replace(&mut asked, true) {
                server.try_signal(Signal::SIGTERM);
            }
            server.step();
            None
        });
        assert!(at.is_some() || moment.may_be_absent(), "the event of {moment:?} did not come");
        Self { server, client, at, asked }
    }

    fn is_acknowledged(&self) -> bool {
        self.client.events().iter().any(|event| event.what == What::AckReceived)
    }

    /// Checks that the client is served. A client that was connected may instead report that its connection
    /// is lost.
    fn client_is_served_or_lost(&self, moment: Moment) {
        let end = self.client.ends();
        if end.get_output().status.success() {
            end.stdout("HELLO\n");
        } else {
            assert!(self.is_acknowledged(), "the client had no ACK and was not served, after {moment:?}");
            end.code(1).stdout("").stderr(predicate::str::starts_with("client: the connection is"));
        }
    }

    /// During a handshake, waits until its deadline has passed. Then calls `goes_on`. The server must count
    /// what the client did in time, and serve it.
    fn no_client_is_dropped(&self, moment: Moment, scene: &Scene, goes_on: impl FnOnce()) {
        if moment.in_handshake {
            let_time_pass(scene, LONGER_THAN_SHORT);
        }
        let mark = scene.event_log().mark();
        goes_on();
        self.client.ends().success().stdout("HELLO\n").stderr("");
        let after = &scene.event_log().all(|_| true)[mark..];
        assert!(
            after.iter().all(|event| event.what != What::ClientDropped),
            "a client was dropped: {after:#?}"
        );
        if self.asked {
            self.server.ends().code(0);
        }
    }
}

/// The server's timeout is too long to help.
fn a_client_killed_at_any_event_delays_nobody(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    for moment in moments(paradigm, |role| role == Role::Client) {
        let client = scene.client().arg("hello").gated().start();
        client.step_until(moment.what);
        client.kill();
        another_client_is_served_soon(scene);
    }
    // Some clients left their private pipes. The server removes them when it ends.
    assert!(scene.names().iter().any(|name| name.contains(".client.")));
}

/// The client has its answer, or notices the death at once. Before the ACK it tries again and is served.
fn a_subserver_killed_at_any_event_is_noticed_at_once(paradigm: Paradigm) {
    for moment in moments(paradigm, is_subserver) {
        let scene = Scene::new();
        let run = Run::to(moment, &scene, paradigm, LONG);
        if let Some(event) = &run.at {
            scene.signal_server(event.pid, Signal::SIGKILL);
        }
        run.server.go_on();
        run.client_is_served_or_lost(moment);
        // The server and its subservers share a gate, so the subserver may have taken a step meant for the
        // server.
        let struck = run.at.as_ref().map(|event| event.pid);
        let acks = scene.event_log().all(|event| event.what == What::AckSent && Some(event.pid) == struck);
        if moment.what == What::SubserverBegan && acks.is_empty() {
            run.client.ends().success();
            assert!(run.client.events().iter().any(|event| event.what == What::TryingAgain));
        }
        another_client_is_served_soon(&scene);
        scene.end();
    }
}

/// A client without an ACK is served by the next server. A client with an ACK notices that its connection is
/// lost, unless it has its answer.
fn a_server_killed_at_any_event_is_replaced_by_the_next(paradigm: Paradigm) {
    for moment in moments(paradigm, |role| role != Role::Client) {
        let scene = Scene::new();
        let run = Run::to(moment, &scene, paradigm, LONG);
        run.server.try_signal(Signal::SIGKILL);
        run.server.ends();
        // The server's subservers wait at the same gate.
        run.server.go_on();
        scene.subservers_end(SUBSERVER_END_LIMIT);
        let next = scene.server(paradigm).ready();
        run.client_is_served_or_lost(moment);
        another_client_is_served_soon(&scene);
        next.shuts_down();
        assert_eq!(scene.names(), [""; 0], "left after {moment:?}");
        scene.end();
    }
}

/// A debugger or Ctrl-Z stops a process in this way. In basic, a stopped client that has sent HELLO delays
/// the others until its deadline.
fn a_client_stopped_at_any_event_goes_on(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).args(["--handshake-timeout", "60s"]).ready();
    for moment in moments(paradigm, |role| role == Role::Client) {
        let client = scene.client().arg("hello").gated().start();
        client.step_until(moment.what);
        client.signal(Signal::SIGSTOP);
        client.go_on();
        let has_the_server =
            client.events().iter().any(|event| event.what == What::HelloSent) && moment.what != What::ByeSent;
        if paradigm != Paradigm::Basic || !has_the_server {
            another_client_is_served_soon(scene);
        }
        client.signal(Signal::SIGCONT);
        client.ends().success().stdout("HELLO\n").stderr("");
    }
}

fn a_subserver_stopped_at_any_event_delays_no_other(paradigm: Paradigm) {
    for moment in moments(paradigm, is_subserver) {
        let scene = Scene::new();
        let run = Run::to(moment, &scene, paradigm, if moment.in_handshake { SHORT } else { LONG });
        if let Some(Event { pid, .. }) = run.at {
            scene.signal_server(pid, Signal::SIGSTOP);
            run.server.go_on();
            another_client_is_served_soon(&scene);
            run.no_client_is_dropped(moment, &scene, || scene.signal_server(pid, Signal::SIGCONT));
        }
        scene.end();
    }
}

fn a_server_stopped_at_any_event_drops_no_client(paradigm: Paradigm) {
    for moment in moments(paradigm, |role| role == Role::Server) {
        let scene = Scene::new();
        let run = Run::to(moment, &scene, paradigm, if moment.in_handshake { SHORT } else { LONG });
        // After its last event the server may have ended already.
        run.server.try_signal(Signal::SIGSTOP);
        run.server.go_on();
        run.no_client_is_dropped(moment, &scene, || run.server.try_signal(Signal::SIGCONT));
        scene.end();
    }
}
