//! The pictures in docs/pictures, against a demo of today: each shows the same steps. Times, process numbers,
//! the order of what happens at the same time, and what has no step may differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use workspace_tests::{Paradigm, Scene, each};

each! {
    a_picture_shows_what_the_demo_does in basic forking dispatch;
}

fn a_picture_shows_what_the_demo_does(scene: &Scene, paradigm: Paradigm) {
    let name = match paradigm {
        Paradigm::Basic => "basic",
        Paradigm::Forking => "forking",
        _ => "dispatch",
    };
    let new = scene.place().parent().expect("the scene's own directory").join("log/new.svg");
    let demo = scene.lab().args(["demo", name, "--quiet", "--clients", "2", "--messages", "1", "--html"]);
    demo.args([&new]).run().success().stdout("").stderr("");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace");
    let old = workspace.join(format!("docs/pictures/{name}.svg"));
    let [old, new] = [old, new].map(|path| structure(&path));
    let only_in = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other).cloned().collect::<Vec<_>>().join("\n    ")
    };
    assert!(
        old == new,
        "docs/pictures/{name}.svg is old: cargo xtask pictures\n\nonly there:\n    {}\n\nonly in a new one:\n    {}",
        only_in(&old, &new),
        only_in(&new, &old)
    );
}

/// The actions that have a step, each with its process and its step; without numbers of processes and pipes.
fn structure(path: &Path) -> BTreeSet<String> {
    let svg = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let titles = svg.split("<title>#").skip(1).filter_map(|rest| Some(rest.split_once("</title>")?.0));
    let steps = titles.filter_map(|title| {
        let mut lines = title.lines();
        let action: String = lines.next()?.chars().filter(|char| !char.is_ascii_digit()).collect();
        Some(format!("{}:{action}", lines.next().filter(|line| line.starts_with("step "))?))
    });
    steps.collect()
}
