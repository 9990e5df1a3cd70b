//! `lab trace demo`, the files of `lab demo`, and what becomes of a recording when something else fails.

use std::collections::BTreeSet;
use std::fs;

use predicates::str::{contains, is_empty};
use workspace_tests::{Paradigm, Scene, each, tests};

each! {
    a_traced_demo_has_the_steps_of_the_course in basic forking dispatch shared;
}

tests! {
    a_recorded_demo_is_drawn_as_before;
    a_recording_survives_a_wrong_option;
    no_program_runs_in_vain;
    a_demo_cannot_be_more_than_a_page;
}

/// The path of a file beside the scene.
fn beside(scene: &Scene, name: &str) -> String {
    let place = scene.place().parent().expect("the scene's own directory").join("log");
    place.join(name).to_str().expect("the path is UTF-8").to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn a_traced_demo_has_the_steps_of_the_course(scene: &Scene, paradigm: Paradigm) {
    let file = beside(scene, "demo.txt");
    let mut words = vec!["trace", "-o", &file, "demo"];
    words.extend(match paradigm {
        Paradigm::Basic => vec!["basic"],
        Paradigm::Forking => vec!["forking"],
        Paradigm::Dispatch => vec!["dispatch"],
        Paradigm::Shared => vec!["dispatch", "--shared-wkp"],
    });
    scene.lab().args(words).run().success().stdout(is_empty()).stderr(is_empty());
    let text = text(&file);
    let steps: BTreeSet<&str> = text.split("  step ").skip(1).map(|rest| &rest[..1]).collect();
    // With one well-known pipe for all, the server removes no name, but step 6 is also the client's HELLO.
    assert_eq!(steps, BTreeSet::from(["1", "2", "3", "4", "5", "6", "7", "8"]), "{text}");
    for words in ["server [", "client 1 [", "client 2 [", "write its pipe's name (", "exit 0"] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    // The process that plays the user is left out, and so are its pipes.
    assert!(!text.contains(" lab ["), "{text}");
    assert_eq!(text.contains("subserver 1 ["), paradigm != Paradigm::Basic);
}

fn a_recorded_demo_is_drawn_as_before(scene: &Scene) {
    let [lines, first, second] = ["demo.jsonl", "first.txt", "second.txt"].map(|name| beside(scene, name));
    scene.lab().args(["trace", "-o", &lines, "-o", &first, "demo", "basic"]).run().success();
    scene.lab().args(["trace", "--from", &lines, "-o", &second]).run().success();
    assert_eq!(text(&first), text(&second));
}

fn a_recording_survives_a_wrong_option(scene: &Scene) {
    let file = beside(scene, "kept.txt");
    let program = ["--", "sh", "-c", "echo hi | cat"];
    let only = scene.lab().args(["trace", "-o", &file, "--only", "maro"]).args(program);
    only.run().code(2).stdout("hi\n").stderr(contains("no process or pipe is called \"maro\""));
    assert!(text(&file).contains("write \"hi\\n\""));
    let log = scene.lab().args(["trace", "-o", &file, "--events", "no-log"]).args(program);
    log.run().code(1).stdout("hi\n").stderr(contains("cannot read no-log"));
    assert!(text(&file).contains("write \"hi\\n\""));
}

fn no_program_runs_in_vain(scene: &Scene) {
    let lab = scene.lab().args(["trace", "-o", "/nowhere/file.txt", "--", "echo", "hi"]);
    lab.run().code(3).stdout(is_empty()).stderr(contains("cannot write /nowhere/file.txt: ENOENT"));
}

fn a_demo_cannot_be_more_than_a_page(scene: &Scene) {
    let lab = |words: &[&str]| scene.lab().args(["trace", "demo"]).args(words).run().code(2);
    lab(&["forking", "--clients", "99"]).stderr(contains("a whole number from 1 to 20"));
    lab(&["basic", "--shared-wkp"]).stderr(contains("lab trace demo dispatch --shared-wkp"));
}
