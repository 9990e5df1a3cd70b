//! The scenario that runs with each fault, and the check of its result.

use std::cell::RefCell;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output};
use std::rc::Rc;
use std::time::{Duration, Instant};

use handshake_core::event::What;
use nix::sys::signal::Signal;

use super::trace::{Tracer, calls, strikes};
use super::{Call, Fault, Lasts, Side};
use crate::binaries::build_programs;
use crate::paradigm::Paradigm;
use crate::proc::{children_of, living_in};
use crate::program::Program;
use crate::scene::Scene;
use crate::wait::until;

/// More than all deadlines of a scenario together, with time for a busy machine.
const HANG_LIMIT: Duration = Duration::from_secs(30);

/// A fault that strikes more often in one scenario hits a loop without a pause.
const SPIN_LIMIT: usize = 500;

/// The most names that may be left where names can be removed, but not looked at. More means that each retry
/// leaves one.
const LEFT_MAX: usize = 6;

/// Runs the scenario without a fault. Returns the calls that this side makes for its own work.
pub fn trace_calls(paradigm: Paradigm, side: Side) -> Vec<Call> {
    calls(&Scenario::run(paradigm, side, None), side != Side::Subserver)
}

/// Runs the scenario with a fault. Returns how often the fault struck.
///
/// # Panics
/// A process did not react correctly.
pub fn run_with_fault(paradigm: Paradigm, side: Side, fault: &Fault) -> usize {
    strikes(&Scenario::run(paradigm, side, Some(fault)))
}

struct Scenario<'s> {
    scene: &'s Scene,
    paradigm: Paradigm,
    side: Side,
    fault: Option<&'s Fault>,
    tracer: Tracer,
    /// The strace that was attached.
    attached: RefCell<Option<Child>>,
}

impl Scenario<'_> {
    /// Runs a server, three clients and the server's end; then a fresh server and a last client without a
    /// fault. Returns the trace.
    fn run(paradigm: Paradigm, side: Side, fault: Option<&Fault>) -> String {
        let scene = Scene::new();
        let tracer = Tracer::new(scene.log("trace"), fault);
        let scenario =
            Scenario { scene: &scene, paradigm, side, fault, tracer, attached: RefCell::default() };
        // cargo's time must not count for the scenario.
        build_programs();
        let since = Instant::now();
        let server = scenario.server();
        if scenario.is_ready(&server) {
            scenario.serves(&server);
            scenario.ends(&server);
        } else {
            scenario.judge_server(&server, "the server could not start");
        }
        scenario.nothing_is_left();
        scene.server(paradigm).without_event_log().ready();
        scene.client().without_event_log().arg("last").run().success().stdout("LAST\n");
        let (took, trace) = (since.elapsed(), scenario.tracer.trace());
        assert!(took < HANG_LIMIT, "a process hung: the scenario took {took:?}");
        let strikes = strikes(&trace);
        assert!(strikes <= SPIN_LIMIT, "a process spins: the fault struck {strikes} times in {took:?}");
        scene.end();
        trace
    }

    fn server(&self) -> Rc<Program> {
        let server = self.scene.server(self.paradigm).args(["--handshake-timeout", "2s", "--grace", "1s"]);
        match self.side {
            Side::Server => server.without_event_log().through(self.tracer.in_front()).start(),
            Side::Subserver => server.gated().start(),
            Side::Client => server.without_event_log().start(),
        }
    }

    /// Waits until clients can connect or the server has ended. Returns whether it runs. A server that runs
    /// has closed the descriptor of its ready message.
    fn is_ready(&self, server: &Program) -> bool {
        if self.side == Side::Subserver {
            server.step_until(What::Waiting);
            return true;
        }
        until(format_args!("{} to be ready, or to end", server.name()), || {
            let fds = fs::read_dir(format!("/proc/{}/fd", server.pid())).ok();
            let mut links = fds.into_iter().flatten().flatten().map(|fd| fs::read_link(fd.path()));
            let holds_stdout = links.any(|link| link.is_ok_and(|link| link == server.stdout_path()));
            let has_written = fs::metadata(server.stdout_path()).is_ok_and(|file| file.len() > 0);
            // With EPIPE the file stays empty; the well-known pipe then shows that the server is ready.
            let cannot_write = self.is_broken_pipe() && self.scene.path("mario").exists();
            (!server.is_running() || ((has_written || cannot_write) && !holds_stdout)).then_some(())
        });
        server.is_running()
    }

    fn serves(&self, server: &Program) {
        let before = server.descriptors();
        let first = self.first_client(server);
        self.judge_client(&first, self.side == Side::Client);
        if self.is_one_failed_write() {
            let received = self.scene.event_log().all(|event| event.what == What::HelloReceived);
            assert_eq!(received.len(), 1, "{} had to try again", first.name());
        }
        // The fault may strike the first of these clients; the second shows that it is over. A lasting fault
        // strikes every client, so one is enough.
        for _ in 0..if self.is_lasting() { 1 } else { 2 } {
            if server.is_running() {
                self.serves_one_more(server);
            }
        }
        if self.is_lasting() {
            return;
        }
        until(format_args!("{} to have no children", server.name()), || {
            (!server.is_running() || children_of(server.pid()).is_empty()).then_some(())
        });
        server.has_descriptors_as_or_ends(&before);
    }

    /// Whether the fault is one failed write for lack of memory. The subserver retries it at once, and no
    /// other process notices.
    fn is_one_failed_write(&self) -> bool {
        self.side == Side::Subserver
            && self.fault.is_some_and(|fault| {
                (fault.call.as_str(), fault.error.as_str(), fault.lasts) == ("write", "ENOMEM", Lasts::Once)
            })
    }

    /// Runs one more client. A fault that struck only once, at another client, must not affect it.
    fn serves_one_more(&self, server: &Program) {
        let client =
            self.scene.client().without_event_log().args(["--timeout", self.patience(), "hello", "world"]);
        let client = client.start();
        self.judge_client(&client, false);
        let is_served = client.ends().get_output().status.success();
        let may_fail =
            self.is_lasting() || self.is_hard() && (!server.is_running() || self.strikes_a_session());
        assert!(is_served || may_fail, "{} was not served", client.name());
    }

    fn is_lasting(&self) -> bool {
        self.side == Side::Server && self.fault.is_some_and(|fault| fault.lasts == Lasts::ForGood)
    }

    /// Whether the fault may end a session: a failed read or write loses the connection.
    fn strikes_a_session(&self) -> bool {
        self.fault.is_some_and(|fault| ["read", "write"].contains(&fault.call.as_str()))
    }

    fn first_client(&self, server: &Program) -> Rc<Program> {
        let client = self.scene.client().without_event_log().args(["hello", "world"]);
        match self.side {
            Side::Client => {
                let for_good = self.fault.is_some_and(|fault| fault.lasts == Lasts::ForGood);
                let patience = if for_good { "500ms" } else { self.patience() };
                client.args(["--timeout", patience]).through(self.tracer.in_front()).start()
            }
            Side::Server => client.args(["--timeout", self.patience()]).start(),
            Side::Subserver => {
                let client = client.args(["--timeout", self.patience()]).start();
                let subserver = server.step_until(What::SubserverBegan).pid;
                self.attached.replace(Some(self.tracer.attach(subserver)));
                server.go_on();
                client
            }
        }
    }

    /// A client's deadline. It is short if the fault lasts.
    fn patience(&self) -> &'static str {
        match self.fault {
            Some(Fault { lasts: Lasts::ForGood, .. }) if self.side == Side::Server => "500ms",
            // The server may end.
            Some(_) if self.is_hard() => "6s",
            _ => "20s",
        }
    }

    /// Checks that a client was served, or reported the reason with the right status.
    fn judge_client(&self, client: &Program, is_struck: bool) {
        let end = client.ends();
        let output = end.get_output();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => assert_eq!(stdout, "HELLO\nWORLD\n", "of {}", client.name()),
            (Some(1 | 3), _) => {
                assert!("HELLO\nWORLD\n".starts_with(&stdout), "{} printed {stdout:?}", client.name());
                let cannot_say = is_struck && self.fault.is_some_and(|fault| fault.call == "write");
                let says = stderr.starts_with("client: ") || (stderr.is_empty() && cannot_say);
                assert!(says, "{} did not say why: {stderr:?}", client.name());
                assert!(
                    !is_struck || stderr.is_empty() || self.names_error(&stderr),
                    "{} did not name the error: {stderr}",
                    client.name()
                );
            }
            // SIGPIPE: the client's stdout has no reader.
            (None, Some(signal))
                if signal == Signal::SIGPIPE as i32 && is_struck && self.is_broken_pipe() => {}
            _ => panic!("{} ended with {}: {stderr}", client.name(), output.status),
        }
    }

    fn is_broken_pipe(&self) -> bool {
        self.fault.is_some_and(|fault| fault.call == "write" && fault.error == "EPIPE")
    }

    fn names_error(&self, said: &str) -> bool {
        // These two errors have one number on Linux.
        let is_named = |error: &str| {
            said.contains(&format!(": {error} (")) || error == "EAGAIN" && said.contains(": EWOULDBLOCK (")
        };
        self.fault.is_some_and(|fault| is_named(&fault.error))
    }

    /// Asks the server to end, if it still runs.
    fn ends(&self, server: &Program) {
        if !server.is_running() {
            self.judge_server(server, "the server ended while it served");
            assert!(self.is_lasting() || self.is_hard(), "a single shortage has ended {}", server.name());
            return;
        }
        server.signal(Signal::SIGTERM);
        if server.ends().get_output().status.code() != Some(0) {
            self.judge_server(server, "the server was asked to end");
        }
        let said = text(&server.ends().get_output().stderr);
        assert!(self.side == Side::Server || said.lines().all(|line| line.starts_with('<')), "{said}");
    }

    /// Checks that a server that ended by an error reported the error and its cause.
    fn judge_server(&self, server: &Program, when: &str) {
        let end = server.ends();
        let Output { status, stderr, .. } = end.get_output();
        let said = text(stderr);
        assert_eq!(status.code(), Some(3), "{}: {when}: {status}: {said}", server.name());
        assert_eq!(self.side, Side::Server, "no call of {} failed: {said}", server.name());
        let last = said.lines().last().unwrap_or_default();
        let complains = last.starts_with(&format!("{}: cannot ", self.paradigm.binary()));
        // The server could not write its message, or it found the lock held and reported "the name is in
        // use".
        let silent = self.fault.is_some_and(|fault| fault.call == "write");
        let silent = silent || self.may_keep_lock_file() && last.contains("the name is in use");
        assert!(silent || complains && self.names_error(last), "{}: {when}: {last:?}", server.name());
    }

    /// Whether the lock file may be left: without a lock and a look, its owner is unknown. A lock file
    /// without a lock means nothing.
    fn may_keep_lock_file(&self) -> bool {
        self.fault.is_some_and(|fault| ["flock", "statx", "unlink"].contains(&fault.call.as_str()))
    }

    /// Whether the fault is no shortage. Such an error may end the server, or the session that it struck.
    fn is_hard(&self) -> bool {
        self.side == Side::Server && self.fault.is_some_and(|fault| !fault.is_shortage())
    }

    /// Checks that no process is left, and no name except where names cannot be removed.
    fn nothing_is_left(&self) {
        if let Some(mut strace) = self.attached.take() {
            until("strace to end", || strace.try_wait().expect("strace is a child of this process"));
        }
        until("strace to end", || {
            living_in(self.scene.place()).iter().all(|process| process.name != "strace").then_some(())
        });
        assert_eq!(living_in(self.scene.place()), [], "these processes are left");
        let mut names = self.scene.names();
        names.retain(|name| !self.may_keep_lock_file() || name != ".mario.lock");
        let may_be_left = self.fault.is_some_and(Fault::keeps_names) && self.side == Side::Server;
        let is_removable = self.fault.is_some_and(|fault| !fault.call.starts_with("unlink"));
        let is_right = names.is_empty() || (may_be_left && !(is_removable && names.len() > LEFT_MAX));
        assert!(is_right, "these names are left: {names:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
