//! The pictures in docs/pictures, against a demo of today: each shows the same actions, steps and kinds of
//! lines. Times, process numbers and the order of what happens at the same time may differ.

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

/// What depends on which process comes first: a wait, a zombie, whose end the server sees first.
const VARIES: [&str; 6] = ["waited", "wait", "note", "zombie", "session over", "told"];

/// The texts of a picture and the classes of its elements, without numbers.
fn structure(path: &Path) -> BTreeSet<String> {
    let svg = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let body = svg.split("</style>").last().unwrap_or_default();
    let texts = body.split('>').filter_map(|part| Some(part.split_once("</text")?.0));
    let classes = body.split("class=\"").skip(1).filter_map(|part| Some(part.split_once('"')?.0));
    let without_digits = |text: &str| text.chars().filter(|char| !char.is_ascii_digit()).collect::<String>();
    let texts = texts.chain(classes);
    let texts = texts.filter(|text| !VARIES.iter().any(|start| text.starts_with(start)));
    texts.map(without_digits).filter(|text| !text.trim().is_empty()).collect()
}
