//! The comparison with very few requests. It runs the real programs, checks every reply, and writes readable
//! files. No figure is checked here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use workspace_tests::proc::children_of;
use workspace_tests::wait::until_true;
use workspace_tests::{Paradigm, Scene, each, tests};

each! {
    a_quick_comparison_checks_every_reply in basic forking dispatch shared;
}

tests! {
    the_other_columns_work;
    naive_clients_of_the_protocol_as_taught_are_all_accounted_for;
    an_interrupted_comparison_keeps_its_results_and_ends_its_processes;
    the_directory_of_a_killed_comparison_is_removed_by_the_next;
    our_programs_get_the_wait_option_and_targets_are_judged;
    an_earlier_run_is_shown_compared_and_written_into_a_page;
    load_warms_up_and_gives_its_histogram;
    load_holds_its_connections_until_its_stdin_ends;
    an_unknown_row_and_a_missing_results_file_are_errors;
}

/// The smallest possible run.
const TINY: [&str; 6] = ["--runs", "1", "--trial", "5ms", "--out", "../out"];

/// The name that `lab compare` has for the paradigm.
fn row(paradigm: Paradigm) -> &'static str {
    match paradigm {
        Paradigm::Basic => "basic",
        Paradigm::Forking => "forking",
        Paradigm::Dispatch => "dispatch",
        Paradigm::Shared => "shared-wkp",
    }
}

/// Reads the files of a run, and checks that the run's directory is gone.
fn results(out: &Path) -> Value {
    let read =
        |name: &str| fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let results: Value = serde_json::from_str(&read("results.json")).expect("results.json is JSON");
    let csv = read("results.csv");
    let fields = csv.lines().next().expect("the file has a header").split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == fields), "{csv}");
    let html = read("report.html");
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    let place = results["machine"]["place"].as_str().expect("a path");
    assert!(!Path::new(place).exists(), "{place} is left");
    results
}

/// Checks that each program answered, that all answers were right, and that only the protocol as taught lost
/// clients.
fn all_is_right(results: &Value) {
    assert_eq!(results["incomplete"], false);
    for total in results["totals"].as_array().expect("a list") {
        let is_course = total["row"] == "course";
        assert_eq!(total["failed_trials"], 0, "{results}");
        assert!(is_course || total["answered"].as_u64() > Some(0), "{total}");
        assert!(is_course || total["lost"] == 0 && total["wrong"] == 0, "{total}");
    }
}

fn trials_of<'a>(results: &'a Value, column: &str, row: &str) -> Vec<&'a Value> {
    let trials = results["trials"].as_array().expect("a list").iter();
    trials.filter(|trial| trial["column"] == column && trial["row"] == row).collect()
}

fn a_quick_comparison_checks_every_reply(scene: &Scene, paradigm: Paradigm) {
    let row = row(paradigm);
    let compare = scene.lab().args(["compare", "--rows", row]).args(TINY).run().success();
    compare.stdout(contains("Round trip").and(contains("Who answers one client soonest?")));
    let results = results(&scene.path("../out"));
    all_is_right(&results);
    for column in ["round-trip", "throughput-1x64", "connects-8", "second-client", "losses"] {
        let trials = trials_of(&results, column, row);
        assert!(
            !trials.is_empty() && trials.iter().all(|trial| trial["answered"].as_u64() > Some(0)),
            "{column}"
        );
    }
    let served = &trials_of(&results, "losses", row)[0]["values"]["served"];
    assert_eq!(served, 50.0);
}

fn the_other_columns_work(scene: &Scene) {
    let columns = ["compare", "--rows", "forking", "--columns", "bulk,flood,memory,connects"];
    scene.lab().args(columns).args(TINY).run().success();
    let results = results(&scene.path("../out"));
    all_is_right(&results);
    let values = |column: &str| trials_of(&results, column, "forking")[0]["values"].clone();
    assert!(values("bulk")["gigabytes"].as_f64() > Some(0.0));
    assert!(values("flood")["beside-p99"].as_f64() > Some(0.0));
    assert_eq!(values("memory")["processes"], 65.0, "the main server and one for each of 64 clients");
    assert!(values("connects-64")["connects"].as_f64() > Some(0.0));
}

fn naive_clients_of_the_protocol_as_taught_are_all_accounted_for(scene: &Scene) {
    scene.lab().args(["compare", "--rows", "course", "--columns", "losses"]).args(TINY).run().success();
    let results = results(&scene.path("../out"));
    all_is_right(&results);
    let values = &trials_of(&results, "losses", "course")[0]["values"];
    let count = |metric: &str| values[metric].as_f64().expect("a number");
    assert_eq!(count("served") + count("lost") + count("wrong"), 50.0);
    let ends =
        ["broken", "seeks-wkp", "opens-wkp", "opens-private-pipe", "reads-acknowledgement", "reads-reply"];
    assert_eq!(ends.into_iter().map(count).sum::<f64>(), count("lost"));
}

fn an_interrupted_comparison_keeps_its_results_and_ends_its_processes(scene: &Scene) {
    let endless =
        ["--rows", "fifo-ping-pong", "--columns", "round-trip", "--runs", "100000", "--trial", "5ms"];
    let lab = scene.lab().arg("compare").args(endless).args(["--out", "../out"]).start();
    // Each trial starts a server and a client. The first trials measure how much to do; more than ten
    // processes mean a counted trial.
    let mut seen = BTreeSet::new();
    until_true("some trials to run", || {
        seen.extend(children_of(lab.pid()).into_iter().map(|child| child.pid));
        seen.len() > 10
    });
    lab.signal(Signal::SIGINT);
    lab.ends_by(Signal::SIGINT).stdout(contains("Interrupted"));
    let results = results(&scene.path("../out"));
    assert_eq!(results["incomplete"], true);
    assert!(!trials_of(&results, "round-trip", "fifo-ping-pong").is_empty());
}

fn the_directory_of_a_killed_comparison_is_removed_by_the_next(scene: &Scene) {
    let endless = ["compare", "--rows", "fifo-ping-pong", "--columns", "round-trip", "--runs", "100000"];
    let lab = scene.lab().args(endless).args(["--trial", "5ms", "--out", "../killed"]).start();
    let prefix = format!("lab-compare-{}-", lab.pid());
    let left = || {
        let names = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
        let all = names(Path::new("/dev/shm")).chain(names(&std::env::temp_dir()));
        all.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
    };
    until_true("the comparison's directory", || left() == 1);
    until_true("a trial to run", || !children_of(lab.pid()).is_empty());
    lab.signal(Signal::SIGKILL);
    lab.ends_by(Signal::SIGKILL);
    scene
        .lab()
        .args(["compare", "--rows", "fifo-ping-pong", "--columns", "round-trip"])
        .args(TINY)
        .run()
        .success();
    assert_eq!(left(), 0);
}

fn our_programs_get_the_wait_option_and_targets_are_judged(scene: &Scene) {
    let targets = ["compare", "--targets", "--rows", "basic", "--wait", "block"];
    let compare = scene.lab().args(targets).args(TINY).run().success();
    compare.stdout(contains("Targets").and(contains("at least 0.8")).and(contains("with --wait block")));
    let results = results(&scene.path("../out"));
    all_is_right(&results);
    let targets = results["targets"].as_array().expect("a list");
    let connects =
        targets.iter().find(|target| target["column"] == "connects-8").expect("the column was measured");
    assert_eq!((&connects["to"], &connects["target"]), (&"unix-in-turn".into(), &"at least 0.8".into()));
    assert!(connects["reached"].is_boolean() && connects["median"].as_f64() > Some(0.0), "{connects}");
    let columns = results["columns"].as_array().expect("a list");
    let commands = columns.iter().flat_map(|column| column["commands"].as_array().expect("a list"));
    let ours: Vec<&Value> = commands.filter(|commands| commands["row"] == "basic").collect();
    let waits = |words: &Value| words.as_str().is_some_and(|words| words.contains(" --wait block"));
    assert!(
        !ours.is_empty() && ours.iter().all(|one| waits(&one["server"]) && waits(&one["client"])),
        "{ours:?}"
    );
    assert_eq!(results["wait"], "block");
}

fn an_earlier_run_is_shown_compared_and_written_into_a_page(scene: &Scene) {
    let once = ["compare", "--rows", "fifo-ping-pong", "--columns", "round-trip"];
    scene.lab().args(once).args(TINY).run().success();
    let page = scene.path("../page.md");
    let marks = "a\n<!-- The result begins: written by cargo xtask compare --write-docs -->\nold\n<!-- The result ends -->\nb\n";
    fs::write(&page, marks).expect("a file of the scene");
    let earlier = ["--from", "../out/results.json", "--baseline", "../out/results.json", "--out", "../again"];
    let again = scene.lab().arg("compare").args(earlier).args(["--markdown", "../page.md"]).run();
    again.success().stdout(contains("0 of").and(contains("have changed")));
    let page = fs::read_to_string(page).expect("the page was just written");
    assert!(page.starts_with("a\n") && page.ends_with("\nb\n") && !page.contains("old"), "{page}");
    assert!(page.contains("bare FIFO ping-pong"), "{page}");
    assert_eq!(results(&scene.path("../again")), results(&scene.path("../out")));
}

fn load_warms_up_and_gives_its_histogram(scene: &Scene) {
    let server = scene.server(Paradigm::Forking).args(["--service", "echo"]).ready();
    let load = ["load", "--connections", "3", "--requests", "5", "--warm-up", "2", "--json", "--histogram"];
    let done = scene.lab().args(load).run().success();
    let report: Value = serde_json::from_slice(&done.get_output().stdout).expect("one JSON object");
    assert_eq!((&report["requests"], &report["mismatches"]), (&15.into(), &0.into()));
    let histogram = report["histogram"].as_array().expect("pairs");
    assert_eq!(histogram.iter().filter_map(|pair| pair[1].as_u64()).sum::<u64>(), 15);
    assert!(server.is_running());
}

fn load_holds_its_connections_until_its_stdin_ends(scene: &Scene) {
    let server = scene.server(Paradigm::Forking).args(["--service", "echo"]).ready();
    let load = scene.lab().args(["load", "--connections", "3", "--requests", "1", "--hold"]).typing().start();
    until_true("the report", || load.printed().contains("own switches"));
    assert_eq!(children_of(server.pid()).len(), 3, "the clients stay after the report");
    load.leaves().stdout(contains("requests             3"));
}

fn an_unknown_row_and_a_missing_results_file_are_errors(scene: &Scene) {
    scene.lab().args(["compare", "--rows", "quantum"]).run().code(2).stderr(contains("possible values"));
    scene.lab().args(["compare", "--from", "nothing"]).run().code(3).stderr(contains("ENOENT"));
    let page = scene.path("../page.md");
    fs::write(&page, "a page without marks").expect("a file of the scene");
    let marks = scene.lab().args(["compare", "--out", "../out", "--markdown", "../page.md"]).run();
    marks.code(3).stderr(contains("two lines"));
}
