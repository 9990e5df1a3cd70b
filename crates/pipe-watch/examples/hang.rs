//! Explains why a program hangs: this one's children, or the processes whose PIDs are the arguments.
//!
//! ```text
//! $ cargo run -q -p pipe-watch --example hang
//! 4711 (sh) waits in open("up", O_RDONLY), until a process opens it for writing. None has. Meanwhile ...
//! ```

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use pipe_watch::look::{Report, Scope, look};

fn main() -> Result<(), Box<dyn Error>> {
    let pids: Result<Vec<u32>, _> = std::env::args().skip(1).map(|pid| pid.parse()).collect();
    match pids?.as_slice() {
        [] => {
            let place = std::env::temp_dir().join(format!("hang-{}", std::process::id()));
            std::fs::create_dir(&place)?;
            let explained = explain_two_shells(&place);
            std::fs::remove_dir_all(&place)?;
            explained
        }
        pids => explain(pids),
    }
}

/// Both shells open the FIFO first from which they read.
fn explain_two_shells(place: &Path) -> Result<(), Box<dyn Error>> {
    let shell = |script: &str| Command::new("sh").args(["-c", script]).current_dir(place).spawn();
    shell("mkfifo up down")?.wait()?;
    let mut shells = [shell("read line < up; echo > down")?, shell("read line < down; echo > up")?];
    wait_a_moment();
    let explained = explain(&shells.each_ref().map(Child::id));
    for shell in &mut shells {
        shell.kill()?;
        shell.wait()?;
    }
    explained
}

/// Looks twice: what has not changed in between is a hang.
fn explain(pids: &[u32]) -> Result<(), Box<dyn Error>> {
    let scope = Scope::Trees(pids.to_vec());
    let earlier = look(&scope)?;
    wait_a_moment();
    let later = look(&scope)?;
    let report = Report::since(&earlier, &later);
    for finding in report.findings.iter().filter(|finding| finding.kind.is_trouble()) {
        println!("{}", finding.sentence);
        finding.remedy.iter().for_each(|remedy| println!("    likely remedy: {remedy}"));
    }
    for deadlock in &report.deadlocks {
        println!("{}\n    likely remedy: {}", deadlock.sentence, deadlock.remedy);
    }
    later.limits.iter().for_each(|limit| println!("not seen: {limit}"));
    if !report.finds_trouble() {
        println!("no process is stuck");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the time between two looks")]
fn wait_a_moment() {
    sleep(Duration::from_millis(50));
}
