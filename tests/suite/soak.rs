//! A small soak: 5 seconds for each paradigm, with fixed seeds. A soak that is interrupted or killed leaves
//! no process.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, is_match};
use workspace_tests::proc::living_in;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, Program, Scene, each};

each! {
    clients_of_all_behaviours_leave_a_server_as_it_was in basic: row_9 row_11;
    clients_of_all_behaviours_and_killed_subservers_leave_a_server_as_it_was in forking dispatch shared:
        row_9 row_11 row_13;
    an_interrupted_soak_ends_its_processes_and_says_so in basic forking dispatch shared;
    the_server_of_a_killed_soak_ends in basic forking dispatch shared;
}

fn options(paradigm: Paradigm) -> Vec<&'static str> {
    let mut options = vec!["soak", "--seed", "7", "--paradigm"];
    options.extend(match paradigm {
        Paradigm::Basic => &["basic"][..],
        Paradigm::Forking => &["forking"],
        Paradigm::Dispatch => &["dispatch"],
        Paradigm::Shared => &["dispatch", "--shared-wkp"],
    });
    options
}

/// If a line of the verdict were wrong, the exit status would not be 0. Some lines are checked, so that none
/// goes missing.
fn clients_of_all_behaviours_leave_a_server_as_it_was(scene: &Scene, paradigm: Paradigm) {
    scene
        .lab()
        .args(options(paradigm))
        .args(["--seconds", "5"])
        .run()
        .success()
        .stderr("")
        .stdout(contains("seed 7").and(contains("--idle-timeout 1000ms")))
        .stdout(is_match(r"\nsecond +verified").unwrap().and(is_match(r"\n +5( +\d+){9}\n").unwrap()))
        .stdout(is_match(r"✔ [1-9]\d* replies verified, 0 clients got a wrong one").unwrap())
        .stdout(is_match(r"✔ of [1-9]\d* clients that follow the protocol [1-9]\d* got every reply").unwrap())
        .stdout(is_match(r"✔ [1-9]\d* clients never read .* [1-9]\d* were evicted").unwrap())
        .stdout(contains("0 lost (expected 0)").and(contains("✔ 1 of 1 more client was served")))
        .stdout(contains("0 subservers, 0 zombies").and(contains("0 names left")))
        .stdout(contains("\npassed\n").and(contains("✘").not()).and(contains("\u{1b}").not()));
}

fn clients_of_all_behaviours_and_killed_subservers_leave_a_server_as_it_was(
    scene: &Scene,
    paradigm: Paradigm,
) {
    scene
        .lab()
        .args(options(paradigm))
        .args(["--seconds", "5"])
        .run()
        .success()
        .stderr("")
        .stdout(is_match(r"✔ [1-9]\d* replies verified, 0 clients got a wrong one").unwrap())
        .stdout(is_match(r"✔ of [1-9]\d* clients that follow the protocol [1-9]\d* got every reply").unwrap())
        .stdout(is_match(r"✔ [1-9]\d* clients never read .* [1-9]\d* were evicted").unwrap())
        .stdout(is_match(r"✔ [1-9]\d* subservers killed; the \d+ clients").unwrap())
        .stdout(contains("0 subservers, 0 zombies").and(contains("0 names left")))
        .stdout(contains("\npassed\n").and(contains("✘").not()));
}

fn an_interrupted_soak_ends_its_processes_and_says_so(scene: &Scene, paradigm: Paradigm) {
    let soak = scene.lab().args(options(paradigm)).args(["--seconds", "600"]).start();
    let place = place_of(&soak);
    until_true("the soak's second second", || soak.printed().contains("\n     2 "));
    soak.signal(Signal::SIGINT);
    soak.ends_by(Signal::SIGINT)
        .stdout(contains("✘ interrupted by SIGINT: incomplete").and(contains("\npassed").not()));
    assert!(!place.exists(), "{} is left", place.display());
}

/// The directory stays, because no process is left to remove it.
fn the_server_of_a_killed_soak_ends(scene: &Scene, paradigm: Paradigm) {
    let soak = scene.lab().args(options(paradigm)).args(["--seconds", "600"]).start();
    let place = place_of(&soak);
    until_true("the soak's second second", || soak.printed().contains("\n     2 "));
    soak.signal(Signal::SIGKILL);
    soak.ends_by(Signal::SIGKILL);
    let here = std::fs::canonicalize(scene.path(".")).expect("the scene's directory");
    until_true("all that the soak started to end", || living_in(&here).is_empty());
    assert!(
        !place.join("mario").exists() && !place.join(".mario.lock").exists(),
        "the server has not cleaned up"
    );
    std::fs::remove_dir_all(&place).expect("the path exists");
}

/// Returns the soak's directory, from the server's command line.
fn place_of(soak: &Program) -> PathBuf {
    until("the soak to say how it starts the server", || {
        let printed = soak.printed();
        let (_, wkp) = printed.split_once(" --wkp ")?;
        let (wkp, _) = wkp.split_once(" --ready-fd")?;
        Path::new(wkp).parent().map(Path::to_path_buf)
    })
}
