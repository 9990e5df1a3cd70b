//! The demo plays every paradigm with the real programs, and finds everything right.

use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::{Paradigm, Scene, each};

each! {
    every_step_is_told_and_all_is_right in basic forking dispatch shared;
    with_pause_each_enter_is_a_step in basic forking dispatch shared;
}

fn play(paradigm: Paradigm) -> Vec<&'static str> {
    match paradigm {
        Paradigm::Basic => vec!["demo", "basic"],
        Paradigm::Forking => vec!["demo", "forking"],
        Paradigm::Dispatch => vec!["demo", "dispatch"],
        Paradigm::Shared => vec!["demo", "dispatch", "--shared-wkp"],
    }
}

fn every_step_is_told_and_all_is_right(paradigm: Paradigm) {
    let scene = Scene::new();
    let mut told = scene.lab().args(play(paradigm)).run().success();
    // With a WKP that is never removed, step 6 is only the receiving.
    for step in 1..=8 {
        told = told.stdout(contains(format!("step {step}")));
    }
    let told = told
        .stdout(contains("read by").and(contains("6 of 6 replies right")).and(contains("nothing left")))
        .stdout(contains("\u{1b}").not())
        .stdout(contains("✘").not());
    match paradigm {
        Paradigm::Basic => told.stdout(contains("waits for its turn")),
        Paradigm::Forking => told.stdout(contains("forks off subserver 3")),
        Paradigm::Dispatch | Paradigm::Shared => told.stdout(contains("--> well-known pipe --> server")),
    };
    scene.end();
}

/// Fifteen times Enter, then the end of stdin, which lets everybody run.
fn with_pause_each_enter_is_a_step(paradigm: Paradigm) {
    let scene = Scene::new();
    let options = ["--pause", "--clients", "2", "--messages", "1"];
    scene
        .lab()
        .args(play(paradigm))
        .args(options)
        .reading(&"\n".repeat(15))
        .run()
        .success()
        .stdout(contains("2 of 2 replies right"))
        .stderr(contains("at the gate"));
    scene.end();
}

#[test]
fn a_paradigm_that_does_not_exist_is_a_usage_error() {
    let scene = Scene::new();
    scene.lab().args(["demo", "quantum"]).run().code(2).stderr(contains("possible values"));
    scene.end();
}
