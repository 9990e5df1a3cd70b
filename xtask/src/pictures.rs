//! `cargo xtask pictures`.

use std::fs;
use std::io;
use std::process::{Command, ExitCode};

use crate::cargo::{LAB_PACKAGES, build, root};

/// Draw the pictures in docs/pictures anew: the timeline of a demo, for each paradigm.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Each paradigm has a picture of its demo with two clients, which send one message each.
const PARADIGMS: [&str; 3] = ["basic", "forking", "dispatch"];

/// Runs the task.
pub(crate) fn run(_: &Args) -> io::Result<ExitCode> {
    let built = build(&LAB_PACKAGES)?;
    let lab = built.get("lab").ok_or_else(|| io::Error::other("cargo built no program named lab"))?;
    let folder = root().join("docs/pictures");
    fs::create_dir_all(&folder)?;
    for paradigm in PARADIGMS {
        let file = folder.join(format!("{paradigm}.svg"));
        let mut demo = Command::new(lab);
        demo.args(["demo", paradigm, "--quiet", "--clients", "2", "--messages", "1", "--html"]).arg(&file);
        if !demo.status()?.success() {
            return Err(io::Error::other(format!("the demo failed; see: lab demo {paradigm}")));
        }
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
