//! The demo plays every paradigm with the real programs, and every check passes.

use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::{Paradigm, Scene, each, path_of, tests};

each! {
    the_demo_reports_every_step_and_passes in basic forking dispatch shared;
    with_pause_each_enter_runs_one_step in basic forking dispatch shared;
    no_line_is_longer_than_the_page in basic forking dispatch shared;
}

tests! {
    a_paradigm_that_does_not_exist_is_a_usage_error;
}

fn play(paradigm: Paradigm) -> Vec<&'static str> {
    match paradigm {
        Paradigm::Basic => vec!["demo", "basic"],
        Paradigm::Forking => vec!["demo", "forking"],
        Paradigm::Dispatch => vec!["demo", "dispatch"],
        Paradigm::Shared => vec!["demo", "dispatch", "--shared-wkp"],
    }
}

fn the_demo_reports_every_step_and_passes(scene: &Scene, paradigm: Paradigm) {
    let mut end = scene.lab().args(play(paradigm)).run().success();
    // If the WKP keeps its name, step 6 is only the receiving of the name.
    for step in 1..=8 {
        end = end.stdout(contains(format!("step {step}")));
    }
    let end = end
        .stdout(contains("read by").and(contains("6 of 6 replies right")).and(contains("nothing left")))
        .stdout(contains("\u{1b}").not())
        .stdout(contains("✘").not());
    match paradigm {
        Paradigm::Basic => {
            end.stdout(contains("waits for its turn").and(contains("removes the well-known pipe mario\n")))
        }
        Paradigm::Forking => end.stdout(
            contains("forks off subserver 3")
                .and(contains("takes mario away and puts the next in its place\n")),
        ),
        Paradigm::Dispatch => end
            .stdout(contains("--> well-known pipe --> server").and(contains("puts the next in its place\n"))),
        Paradigm::Shared => end.stdout(contains("--> well-known pipe --> server")),
    };
}

/// Enter is pressed fifteen times. Then stdin ends, and all programs run freely.
fn with_pause_each_enter_runs_one_step(scene: &Scene, paradigm: Paradigm) {
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
}

/// No word is broken. If the page is no terminal, it has 80 columns, unless COLUMNS says otherwise.
fn no_line_is_longer_than_the_page(scene: &Scene, paradigm: Paradigm) {
    for (columns, options) in
        [(80, ["--clients", "2", "--messages", "10"]), (60, ["--clients", "1", "--messages", "1"])]
    {
        let page = match columns {
            80 => ["env", "-u", "COLUMNS"].map(str::to_owned).to_vec(),
            _ => vec!["env".to_owned(), format!("COLUMNS={columns}")],
        };
        let client = path_of("client");
        let lab = scene.lab().through(page).args(play(paradigm)).args(options).arg("--client").arg(client);
        let end = lab.args(["--", "-q"]).run().success();
        let printed = String::from_utf8_lossy(&end.get_output().stdout).into_owned();
        // The table of pipes has four columns, and a path is one word, so these lines may be longer.
        let may_be_longer = |line: &str| columns < 80 && (line.starts_with("  ") || line.contains("/"));
        for line in printed.lines().filter(|line| !may_be_longer(line)) {
            assert!(
                line.chars().count() <= columns,
                "{columns} columns, and {}: {line}",
                line.chars().count()
            );
        }
        let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("Processes that have the pipe open go on using it; no other process can open it.")
        );
        if columns == 80 {
            assert!(words.contains("receives request 10 [message 10 of client 1]"));
        }
    }
}

fn a_paradigm_that_does_not_exist_is_a_usage_error(scene: &Scene) {
    scene.lab().args(["demo", "quantum"]).run().code(2).stderr(contains("possible values"));
}
