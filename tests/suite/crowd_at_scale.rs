//! A small `lab crowd`: 300 clients at a server with a limit of 300. A crowd that is interrupted or killed
//! leaves no process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use predicates::prelude::*;
use predicates::str::{contains, is_match};
use workspace_tests::proc::living_in;
use workspace_tests::wait::{until, until_true};
use workspace_tests::{Paradigm, Program, Scene, each, is_root, not_run, tests};

each! {
    a_crowd_is_served_and_the_next_clients_wait in forking dispatch shared;
    an_ordinary_user_can_run_a_crowd in forking dispatch shared;
    an_interrupted_crowd_ends_its_processes_and_says_so in forking dispatch shared;
    the_processes_of_a_killed_crowd_end in forking dispatch shared;
}

tests! {
    an_impossible_crowd_is_a_usage_error;
}

/// The UID of nobody on all common systems.
const NOBODY: u32 = 65534;

fn options(paradigm: Paradigm) -> &'static [&'static str] {
    match paradigm {
        Paradigm::Basic => &["crowd", "basic"],
        Paradigm::Forking => &["crowd", "forking"],
        Paradigm::Dispatch => &["crowd", "dispatch"],
        Paradigm::Shared => &["crowd", "dispatch", "--shared-wkp"],
    }
}

/// Checks the whole report about 300 clients, and 5 more.
fn assert_whole_report(end: Assert, paradigm: Paradigm) {
    let descriptors = match paradigm {
        Paradigm::Basic | Paradigm::Forking => {
            r"\nserver's descriptors +6; 6 without clients, 0\.00 more a client\n"
        }
        Paradigm::Dispatch => r"\nserver's descriptors +907; 7 without clients, 3\.00 more a client\n",
        Paradigm::Shared => r"\nserver's descriptors +607; 7 without clients, 2\.00 more a client\n",
    };
    let line = |pattern: &str| is_match(pattern).expect("a pattern");
    end.success()
        .stderr("")
        .stdout(line(&format!(r"\n\$ {} -q .*--max-clients 300 ", paradigm.binary())))
        .stdout(line(
            r"(?s)(\n\$ lab load --connections 150 [^\n]*--hold [^\n]*){2}\n\nclients +300 in 2 processes\n",
        ))
        .stdout(line(r"\nconnected +in \d+\.\d{3} s, .*\n.* by itself: \d+\.\d{3} s, \d+\.\d{3} s, "))
        .stdout(line(r"\nreplies +300 right, 0 lost, 0 wrong\n"))
        .stdout(line(r"\nhandshake records +\d{3,}, [3-9]\.\d\d a client\n"))
        .stdout(line(descriptors))
        .stdout(line(r"\nserver's processes +301: itself and 300 subservers\n"))
        .stdout(line(r"\n  own pages +[1-9]\d*\.\d  .*\n  page tables +[1-9]\d*\.\d  .*\n  kernel stack "))
        .stdout(line(r"\n  kernel objects .*\n  other pages .*\n  total .*\n  MemAvailable "))
        .stdout(
            contains("✔ of 300 clients 300 got the right reply").and(contains("✔ 300 subservers at once")),
        )
        .stdout(contains(
            "✔ 5 more came: for 1s 5 of them waited for an answer (expected all), and there were 300 sub",
        ))
        .stdout(contains("✔ when others had left, 5 of these 5 got the right reply"))
        .stdout(contains("✔ 0 subservers, 0 zombies").and(contains("✔ 0 names left in its directory")))
        .stdout(contains("\npassed\n").and(contains("✘").not()).and(contains("\u{1b}").not()));
}

fn a_crowd_is_served_and_the_next_clients_wait(scene: &Scene, paradigm: Paradigm) {
    let crowd = scene.lab().args(options(paradigm)).args(["--clients", "300", "--beyond", "5"]).start();
    assert_whole_report(crowd.ends(), paradigm);
    let place = place_of(&crowd);
    assert!(!place.exists(), "{} is left", place.display());
}

fn an_ordinary_user_can_run_a_crowd(scene: &Scene, paradigm: Paradigm) {
    if !geteuid().is_root() {
        return not_run("an ordinary user runs these tests, so all crowds here are an ordinary user's");
    }
    if !is_root() {
        return;
    }
    for directory in [scene.place(), scene.place().parent().expect("the place has a parent")] {
        fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("the test owns it");
    }
    let crowd =
        scene.lab().as_user(NOBODY).args(options(paradigm)).args(["--clients", "300", "--beyond", "5"]);
    assert_whole_report(crowd.start().ends(), paradigm);
}

fn an_impossible_crowd_is_a_usage_error(scene: &Scene) {
    let basic = scene.lab().args(options(Paradigm::Basic)).run();
    basic.code(2).stdout("").stderr(contains("a basic server has one client at a time"));
    let forking = scene.lab().args(["crowd", "forking", "--shared-wkp"]).run();
    forking.code(2).stdout("").stderr(contains("lab crowd dispatch --shared-wkp"));
}

fn an_interrupted_crowd_ends_its_processes_and_says_so(scene: &Scene, paradigm: Paradigm) {
    let crowd = idle_crowd(scene, paradigm);
    let place = place_of(&crowd);
    crowd.signal(Signal::SIGINT);
    crowd
        .ends_by(Signal::SIGINT)
        .stdout(contains("✘ interrupted by SIGINT: incomplete").and(contains("\npassed").not()));
    assert!(!place.exists(), "{} is left", place.display());
}

/// The directory stays, because no process is left to remove it.
fn the_processes_of_a_killed_crowd_end(scene: &Scene, paradigm: Paradigm) {
    let crowd = idle_crowd(scene, paradigm);
    let place = place_of(&crowd);
    crowd.signal(Signal::SIGKILL);
    crowd.ends_by(Signal::SIGKILL);
    let here = fs::canonicalize(scene.path(".")).expect("the scene's directory");
    until_true("all that the crowd started to end", || living_in(&here).is_empty());
    assert!(
        !place.join("mario").exists() && !place.join(".mario.lock").exists(),
        "the server has not cleaned up"
    );
    fs::remove_dir_all(&place).expect("the path exists");
}

/// Starts a crowd of 20 clients that stay.
fn idle_crowd(scene: &Scene, paradigm: Paradigm) -> std::rc::Rc<Program> {
    let crowd = scene.lab().args(options(paradigm)).args(["--clients", "20", "--idle-for", "600s"]).start();
    until_true("all clients to be connected", || {
        crowd.printed().contains("\nAll stay for 600s: look around in ")
    });
    crowd
}

/// Returns the crowd's directory, from the server's command line.
fn place_of(crowd: &Program) -> PathBuf {
    until("the crowd to say how it starts the server", || {
        let printed = crowd.printed();
        let (_, wkp) = printed.split_once(" --wkp ")?;
        let (wkp, _) = wkp.split_once(" --ready-fd")?;
        Path::new(wkp).parent().map(Path::to_path_buf)
    })
}
