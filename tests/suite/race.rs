//! A small `lab race`: the original loses clients, our servers lose none, and nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, is_match};
use workspace_tests::proc::{children_of, living_in};
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, Program, Scene, each, tests};

each! {
    naive_clients_are_all_served in basic forking dispatch;
    framed_clients_are_all_served in basic forking dispatch shared;
    an_interrupted_race_ends_its_processes_and_says_so in basic forking dispatch;
    the_processes_of_a_killed_race_end in basic forking dispatch;
}

tests! {
    the_original_loses_clients_and_is_not_judged;
    an_impossible_race_is_a_usage_error;
}

/// The name that `lab race` has for the paradigm.
fn server(paradigm: Paradigm) -> &'static str {
    match paradigm {
        Paradigm::Basic => "basic",
        Paradigm::Forking => "forking",
        Paradigm::Dispatch => "dispatch",
        Paradigm::Shared => "shared-wkp",
    }
}

/// No client hangs, so the patience is never used up. It is long for a busy machine.
const SMALL: [&str; 6] = ["--clients", "12", "--rounds", "2", "--patience", "30s"];

fn line(pattern: &str) -> impl Predicate<str> + use<> {
    is_match(pattern).expect("a pattern")
}

fn naive_clients_are_all_served(scene: &Scene, paradigm: Paradigm) {
    let race = scene.lab().args(["race", server(paradigm), "--dialect", "course"]).args(SMALL).run();
    let name = paradigm.binary();
    race.success()
        .stdout(line(&format!(r"\n\$ {name} -q .*\n\$ lab reference naive-client .*\(12 of them\)\n")))
        .stdout(line(r"\nround 1: 12 served; [^\n]* s\nround 2: 12 served; [^\n]* s\n"))
        .stdout(contains(format!("✔ {name}, naive clients: of 24, 24 served (expected all)")))
        .stdout(contains(format!("✔ {name}, naive clients: ended with 0 and left nothing behind")))
        .stdout(contains("framed clients").or(contains("✘")).or(contains("\u{1b}")).not());
}

fn framed_clients_are_all_served(scene: &Scene, paradigm: Paradigm) {
    let race = scene.lab().args(["race", server(paradigm), "--dialect", "framed"]).args(SMALL).run();
    let option = if paradigm == Paradigm::Shared { " --shared-wkp" } else { "" };
    let title = format!("{}{option}, framed clients", paradigm.binary());
    race.success()
        .stdout(line(r"\nround 1: 12 served; [^\n]* s\nround 2: 12 served; [^\n]* s\n"))
        .stdout(contains("A name is a frame").and(contains("12 = 100 %")))
        .stdout(contains(format!("✔ {title}: of 24, 24 served (expected all)")))
        .stdout(contains(format!("✔ {title}: ended with 0 and left nothing behind")))
        .stdout(contains("naive clients").or(contains("✘")).not());
}

/// Among so many clients some are always lost: of two that have opened the same pipe, one is. Which one, and
/// where it hangs, is chance.
fn the_original_loses_clients_and_is_not_judged(scene: &Scene) {
    let options = ["race", "original", "--clients", "30", "--rounds", "2", "--patience", "1s"];
    let race = scene.lab().args(options).run().success();
    let output = String::from_utf8_lossy(&race.get_output().stdout).into_owned();
    race.stdout(contains("$ lab reference naive-server ").and(contains("of them)")))
        .stdout(contains("and not judged").and(contains("✔").or(contains("✘")).not()))
        .stdout(line(r"\n    over all rounds: \d+ [^\n]+\n"));
    for round in output.lines().filter(|line| line.starts_with("round ")) {
        let number = |what: &str| {
            let words: Vec<_> = round.split([':', ',', ';']).map(str::trim).collect();
            let part = words.iter().find_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok());
            part.unwrap_or(0)
        };
        let counts = ["served", "told", "answered wrongly", "hanging"].map(number);
        assert_eq!(counts.iter().sum::<usize>(), 30, "{round}");
        assert!(counts[0] < 30, "no client was lost: {round}");
    }
}

fn an_interrupted_race_ends_its_processes_and_says_so(scene: &Scene, paradigm: Paradigm) {
    let (race, place) = endless_race(scene, paradigm);
    race.signal(Signal::SIGINT);
    race.ends_by(Signal::SIGINT).stdout(contains("✘ interrupted by SIGINT: incomplete"));
    assert!(!place.exists(), "{} is left", place.display());
}

/// The directory stays, because no process is left to remove it.
fn the_processes_of_a_killed_race_end(scene: &Scene, paradigm: Paradigm) {
    let (race, place) = endless_race(scene, paradigm);
    race.signal(Signal::SIGKILL);
    race.ends_by(Signal::SIGKILL);
    let here = fs::canonicalize(scene.path(".")).expect("the scene's directory");
    until_true("all that the race started to end", || living_in(&here).is_empty());
    assert!(
        !place.join("mario").exists() && !place.join(".mario.lock").exists(),
        "the server left its names"
    );
    fs::remove_dir_all(&place).expect("the path exists");
}

/// Starts a race that would run for long, and waits until it has started clients. Returns the race and its
/// directory.
fn endless_race(scene: &Scene, paradigm: Paradigm) -> (Rc<Program>, PathBuf) {
    let rounds = ["--clients", "12", "--rounds", "1000", "--patience", "60s"];
    let race = scene.lab().args(["race", server(paradigm), "--dialect", "framed"]).args(rounds).start();
    until_true("a round to end and the next to start clients", || {
        race.printed().contains("\nround 1: ") && children_of(race.pid()).len() > 1
    });
    let place = until("the race to say how it starts the server", || {
        let printed = race.printed();
        let (_, wkp) = printed.split_once(" --wkp ")?;
        let (wkp, _) = wkp.split_once(" --ready-fd")?;
        Path::new(wkp).parent().map(Path::to_path_buf)
    });
    (race, place)
}

fn an_impossible_race_is_a_usage_error(scene: &Scene) {
    let shared = scene.lab().args(["race", "shared-wkp", "--dialect", "course"]).run();
    shared.code(2).stdout("").stderr(contains("lab race shared-wkp --dialect framed"));
    scene.lab().args(["race", "--patience", "0"]).run().code(2).stdout("").stderr(contains("--patience 0"));
    scene.lab().args(["race", "--clients", "1"]).run().code(2).stderr(contains("from 2 to 1000"));
}
