//! The lab without a directory for its temporary files. Each command names the operation, the path, the errno
//! and `TMPDIR`.

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::{Scene, tests};

tests! {
    without_a_place_for_temporary_files_the_lab_names_tmpdir;
}

/// Each command of the lab that makes temporary files or directories.
const COMMANDS: [&[&str]; 6] = [
    &["demo", "basic"],
    &["demo", "basic", "--client", "/bin/true"],
    &["crowd", "forking", "--clients", "2"],
    &["soak", "--seconds", "1"],
    &["race", "--rounds", "1"],
    &["compare", "--rows", "basic", "--columns", "round-trip", "--out", "../results"],
];

fn without_a_place_for_temporary_files_the_lab_names_tmpdir(scene: &Scene) {
    let file = scene.path("../file");
    fs::write(&file, "").expect("a file of the scene");
    let file = file.to_str().expect("the path is UTF-8");
    for (place, errno) in [("/nonexistent", "ENOENT"), (file, "ENOTDIR")] {
        for command in COMMANDS {
            let lab = scene.lab().through(["env".to_owned(), format!("TMPDIR={place}")]).args(command);
            lab.run()
                .code(3)
                .stderr(
                    contains("lab: cannot make a temporary ")
                        .and(contains(format!(" in {place:?}: {errno} ("))),
                )
                .stderr(contains("): set TMPDIR to a directory that exists and that you may write to\n"));
        }
    }
}
