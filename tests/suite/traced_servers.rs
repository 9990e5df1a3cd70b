//! What `lab trace` records of our servers, and of clients in three languages.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use pipe_watch::event::{Call, Event};
use workspace_tests::{Paradigm, Scene, Tool, each, needs, path_of, tests};

use crate::tracing::{in_shell, left_in_fifos, of, traced};

each! {
    three_clients_of_a_server_are_traced in basic forking dispatch shared;
    clients_in_other_languages_are_traced in basic forking dispatch shared;
}

tests! {
    the_course_s_own_server_is_traced;
}

/// Starts a server, `$0 $1`, and three clients at once, and ends the server. `$2` and so on are the client.
const AT_ONCE: &str = "server=$0 option=$1; shift; \"$server\" $option >/dev/null & server=$!
    while [ ! -p mario ]; do :; done
    for name in one two three; do echo $name | \"$@\" >/dev/null & clients=\"$clients $!\"; done
    for client in $clients; do wait $client || exit 1; done
    kill $server; wait $server";

/// As [`AT_ONCE`], but one client after another: the client in shell does not retry, therefore it may wait
/// for ever if others come at the same instant.
const IN_A_ROW: &str = "server=$0 option=$1; shift; \"$server\" $option >/dev/null & server=$!
    for name in one two three; do while [ ! -p mario ]; do :; done
        echo $name | \"$@\" >/dev/null || exit 1; done
    kill $server; wait $server";

fn three(scene: &Scene, script: &str, paradigm: Paradigm, client: &[&OsStr]) -> Vec<Event> {
    let option = if paradigm == Paradigm::Shared { "--shared-wkp" } else { "--wait=adaptive" };
    let words = [path_of(paradigm.binary()).as_os_str(), option.as_ref()];
    let events = traced(scene, in_shell(script, &[&words, client].concat()));
    assert_eq!(left_in_fifos(&events), Default::default(), "bytes are left in pipes");
    events
}

fn three_clients_of_a_server_are_traced(scene: &Scene, paradigm: Paradigm) {
    let events = three(scene, AT_ONCE, paradigm, &[path_of("client").as_os_str(), "-q".as_ref()]);
    let subservers = if paradigm.has_subservers() { 3 } else { 0 };
    let begun = of(&events, Call::Fork).len();
    assert!(begun >= 7 + subservers, "{begun} processes");
    assert_eq!(of(&events, Call::Exit).len(), begun + 1, "each process has ended");
    // Each FIFO that was made has lost its name.
    let made: Vec<_> = of(&events, Call::Mkfifo).into_iter().filter(|event| event.ret.is_some()).collect();
    assert!(made.len() >= 4);
    for name in ["one", "two", "three"] {
        let is_data =
            |event: &&Event, text: &str| event.data.as_deref().is_some_and(|data| data.contains(text));
        for (call, text) in [(Call::Write, name.to_owned()), (Call::Read, name.to_uppercase())] {
            assert!(of(&events, call).into_iter().any(|event| is_data(&event, &text)), "{call:?} of {text}");
        }
    }
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace").join(path)
}

fn clients_in_other_languages_are_traced(scene: &Scene, paradigm: Paradigm) {
    if !needs(&[Tool::Command("python3"), Tool::Command("flock"), Tool::Command("gzip")]) {
        return;
    }
    for (language, client) in [("python3", "docs/clients/client.py"), ("sh", "docs/clients/client.sh")] {
        let client = file(client);
        let mut command: Vec<OsString> = vec![language.into(), client.into()];
        if language == "python3" {
            command.extend(["mario", "60"].map(Into::into));
        }
        let command: Vec<_> = command.iter().map(OsString::as_os_str).collect();
        let script = if language == "sh" { IN_A_ROW } else { AT_ONCE };
        let events = three(scene, script, paradigm, &command);
        let replied = of(&events, Call::Read).into_iter().filter_map(|event| event.data.as_deref());
        let replies: String = replied.collect();
        assert!(["ONE", "TWO", "THREE"].into_iter().all(|reply| replies.contains(reply)), "{replies}");
    }
}

/// It serves clients that come one after another.
fn the_course_s_own_server_is_traced(scene: &Scene) {
    if !needs(&[Tool::CCompiler]) {
        return;
    }
    let script = "\"$0\" >/dev/null & for name in one two three; do while [ ! -p mario ]; do :; done
        echo $name | \"$1\" -q --dialect course >/dev/null || exit 1; done
        while [ ! -p mario ]; do :; done; kill $!; wait $!; rm mario";
    let words = [path_of("naive-server").as_os_str(), path_of("client").as_os_str()];
    let events = traced(scene, in_shell(script, &words));
    assert_eq!(left_in_fifos(&events), Default::default());
    assert_eq!(of(&events, Call::Open).into_iter().filter(|event| event.ret.is_some()).count() % 2, 0);
}
