//! The programs of tests/peers, which speak what the course's students' programs speak: with each other, and
//! with ours.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use handshake_core::event::What;
use nix::sys::signal::Signal;
use workspace_tests::peers::{DIALECTS, Dialect, Private, ThirdStep, sessions, tells, waits_for_client};
use workspace_tests::proc::Target;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Launch, Paradigm, Program, Scene, Tool, each, needs, tests};

each! {
    every_client_is_served in basic forking dispatch;
    every_client_may_send_all_messages_at_once in basic forking dispatch;
    clients_at_one_instant_are_served in basic forking dispatch: row_1;
    a_client_in_shell_is_served in basic forking dispatch;
}

tests! {
    a_client_in_shell_works_with_a_server_of_its_dialect;
}

/// The clients' messages. No line is longer than the shortest record of a message. None is empty: an empty
/// text without its NUL would be no write at all.
const MESSAGES: [&str; 3] = ["hello", "What's up, doc? 100%", "x"];

/// Types the messages one at a time, and waits for each reply, because these programs read once for each
/// record.
fn is_answered(client: &Program) {
    let mut replies = client.printed();
    for message in MESSAGES {
        client.type_line(message);
        replies += &format!("{}\n", message.to_uppercase());
        let what = format!("{} to print {replies:?}", client.name());
        until_true(what, || client.printed() == replies || !client.is_running());
        assert_eq!(client.printed(), replies, "{}", client.name());
    }
    client.leaves().stdout(replies);
}

fn received() -> impl Iterator<Item = String> {
    MESSAGES.into_iter().map(|message| format!("received [{message}]"))
}

/// Three clients of each dialect, one after another.
#[test]
fn every_client_works_with_the_server_of_its_dialect() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for dialect in DIALECTS {
        let scene = Scene::new();
        let server = scene.server_at(dialect.server()).start();
        let mut wanted = Vec::new();
        for nth in 1..=3 {
            waits_for_client(nth, &server);
            let client = scene.client_at(dialect.client()).typing().start();
            wanted.push(format!("connected {}", dialect.private_pipe(client.pid())));
            tells(&server, &wanted);
            // Steps 6 and 8 remove the names.
            let left: &[&str] = if dialect.forks { &[dialect.wkp] } else { &[] };
            until_true(format_args!("no names but {left:?}"), || scene.names() == left);
            is_answered(&client);
            client.ends().stderr("");
            wanted.extend(received().chain(["client left".to_owned()]));
            tells(&server, &wanted);
        }
        scene.end();
    }
}

/// The client in docs/clients that speaks the dialect `3way_hola`.
fn client_in_shell() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients/course.sh")
}

fn a_client_in_shell_works_with_a_server_of_its_dialect(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let dialect = Dialect::named("3way_hola");
    let server = scene.server_at(dialect.server()).start();
    waits_for_client(1, &server);
    let client = scene.client_at("sh").arg(client_in_shell()).arg(dialect.wkp).typing().start();
    let mut wanted = vec![format!("connected {}", client.pid())];
    tells(&server, &wanted);
    is_answered(&client);
    client.ends().stderr("");
    wanted.extend(received().chain(["client left".to_owned()]));
    tells(&server, &wanted);
}

/// The number of tries with a client whose third step is recognised by its time. On a busy machine it may
/// come too late.
const TRIES: usize = 20;

/// The clients come one after another to one server without options.
fn every_client_is_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let _server = scene.server(paradigm).ready();
    for dialect in DIALECTS {
        let client = (1..=TRIES).find_map(|_| {
            let mark = scene.event_log().mark();
            let client = comes(scene, &dialect);
            let understood = is_understood(scene, mark, dialect.third_step);
            if !understood {
                assert_eq!(dialect.third_step, ThirdStep::ByTime, "{}", client.name());
                // The client is not killed, because it may still have to remove its private pipe.
                client.leaves().stderr("");
            }
            understood.then_some(client)
        });
        let client =
            client.unwrap_or_else(|| panic!("{TRIES} clients of {} were all too late", dialect.name));
        is_answered(&client);
        client.ends().stderr("");
    }
}

/// A script sends all without a pause. If the server is slow, the third step and the first message are in the
/// pipe together.
fn every_client_may_send_all_messages_at_once(scene: &Scene, paradigm: Paradigm) {
    const RUNS: usize = 3;
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let _server = scene.server(paradigm).ready();
    let said = MESSAGES.map(|message| format!("{message}\n")).concat();
    let clients = DIALECTS.iter().map(|dialect| (dialect.client(), None));
    let in_shell = (PathBuf::from("sh"), Some(client_in_shell()));
    for (client, script) in clients.chain([in_shell]) {
        for _ in 0..RUNS {
            until_true("the well-known pipe to exist", || scene.path("mario").exists());
            let client = scene.client_at(&client).args(script.iter()).arg("mario");
            client.run_with_stdin(said.clone()).success().stdout(said.to_uppercase()).stderr("");
        }
    }
}

/// Starts a client as soon as the well-known pipe exists, because the client does not wait for it.
fn comes(scene: &Scene, dialect: &Dialect) -> Rc<Program> {
    until_true("the well-known pipe to exist", || scene.path("mario").exists());
    scene.client_at(dialect.client()).arg("mario").typing().start()
}

/// Waits until our server knows whether the client that came after this mark has a third step. The next
/// record is then a message. Returns whether the server is right.
fn is_understood(scene: &Scene, mark: usize, third_step: ThirdStep) -> bool {
    // If a third step that the server recognises by its text is late, the server first assumes that there is
    // none.
    let waits = third_step == ThirdStep::Known;
    let observed = || {
        let events = scene.event_log().all(|_| true).split_off(mark);
        let mut whats = events.into_iter().map(|event| event.what);
        whats.find(|what| *what == What::ReadyReceived || !waits && *what == What::NoConfirmation)
    };
    (until("the end of the handshake", observed) == What::ReadyReceived) == (third_step != ThirdStep::None)
}

/// The server is stopped while the clients connect, so all find one well-known pipe. There are two of each
/// kind. With the course's own servers all but one would wait for ever.
fn clients_at_one_instant_are_served(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let server = scene.server(paradigm).ready();
    let (_before, names) = (server.descriptors(), scene.names().len());
    server.signal(Signal::SIGSTOP);
    // Only one client can have a fixed name.
    let dialects = DIALECTS.iter().filter(|dialect| !matches!(dialect.private, Private::Word(_)));
    let clients: Vec<_> = dialects
        .cycle()
        .take(20)
        .map(|dialect| {
            let client = scene.client_at(dialect.client()).arg("mario");
            client.reading(&MESSAGES.map(|message| format!("{message}\n")).concat()).start()
        })
        .collect();
    until_true("20 private pipes to exist", || scene.names().len() == names + 20);
    let has_wkp = |client: &Rc<Program>| {
        client
            .descriptors()
            .iter()
            .any(|held| matches!(&held.target, Target::Named { name, .. } if name == "mario"))
    };
    until_true("all clients to have the well-known pipe open", || clients.iter().all(has_wkp));
    server.signal(Signal::SIGCONT);
    let replies = MESSAGES.map(|message| format!("{}\n", message.to_uppercase())).concat();
    for client in clients {
        client.ends().success().stdout(replies.clone()).stderr("");
    }
}

fn a_client_in_shell_is_served(scene: &Scene, paradigm: Paradigm) {
    let _server = scene.server(paradigm).ready();
    for _ in 0..2 {
        until_true("the well-known pipe to exist", || scene.path("mario").exists());
        let mark = scene.event_log().mark();
        let client = scene.client_at("sh").arg(client_in_shell()).typing().start();
        assert!(is_understood(scene, mark, ThirdStep::Known));
        is_answered(&client);
        client.ends().stderr("");
    }
}

fn our_client<'s>(scene: &'s Scene, dialect: &Dialect) -> Launch<'s> {
    let client = scene.client().args(["--dialect", "course", "--wkp", dialect.wkp]);
    match dialect.private {
        Private::Word(word) => client.args(["--private-name", word]),
        Private::SentAsInteger => client.args(["--name-form", "number"]),
        _ => client,
    }
}

/// The client sends its first message only when the server has its third step, or both could come in one
/// read.
#[test]
fn our_client_works_with_every_server() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for dialect in DIALECTS {
        let scene = Scene::new();
        let server = scene.server_at(dialect.server()).start();
        for nth in 1..=2 {
            waits_for_client(nth, &server);
            let client = our_client(&scene, &dialect).typing().start();
            until_true(format_args!("{} to connect client {nth}", server.name()), || {
                connected(&server) == nth
            });
            is_answered(&client);
        }
        assert_our_clients_were_served(&server, 2);
        scene.end();
    }
}

#[test]
fn our_client_sends_all_messages_at_once_to_every_server_that_pads() {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    for dialect in DIALECTS.into_iter().filter(|dialect| dialect.padded) {
        let scene = Scene::new();
        let server = scene.server_at(dialect.server()).start();
        for nth in 1..=2 {
            waits_for_client(nth, &server);
            let replies: String = MESSAGES.map(|message| format!("{}\n", message.to_uppercase())).concat();
            our_client(&scene, &dialect).args(MESSAGES).run().success().stdout(replies);
        }
        assert_our_clients_were_served(&server, 2);
        scene.end();
    }
}

fn connected(server: &Program) -> usize {
    sessions(server).iter().filter(|line| line.starts_with("connected ")).count()
}

/// Checks that the server had so many sessions, with the three messages each. The names of our clients' pipes
/// are not checked.
fn assert_our_clients_were_served(server: &Program, clients: usize) {
    waits_for_client(clients + 1, server);
    let wanted: Vec<_> = (0..clients).flat_map(|_| received().chain(["client left".to_owned()])).collect();
    let heard =
        || sessions(server).into_iter().filter(|line| !line.starts_with("connected ")).collect::<Vec<_>>();
    until_true(format_args!("{} to have received all", server.name()), || heard().len() >= wanted.len());
    assert_eq!(heard(), wanted, "{}", server.name());
}
