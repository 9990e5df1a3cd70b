//! The transcripts in docs/why.md are what `lab why` prints about programs of tests/hang.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use pipe_watch::look::{Scope, Snapshot, look};

use crate::hung::{Hung, Language};

/// The variable that makes this test write the transcripts again.
const MEND: &str = "MEND_PAGE";

/// The width of the transcripts.
const COLUMNS: usize = 100;

/// Threads by their names, and what they wait in.
type Waits = &'static [(&'static str, &'static str)];

/// A language, a scene and its waits. On the page, the line `<!-- hang.py wait-before-read -->` stands above
/// the block of the transcript.
const SHOWN: [(Language, &str, Waits); 4] = [
    (Language::C, "too-early", &[("server", "open"), ("client", "open")]),
    (Language::Python, "wait-before-read", &[("parent", "wait"), ("child", "write")]),
    (Language::C, "long-sleep", &[("reader", "read"), ("holder", "sleep")]),
    (Language::C, "crowd", &[("client", "open"); 1000]),
];

#[test]
fn the_page_shows_what_is_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/why.md");
    let mut text = fs::read_to_string(&page).expect("the page");
    let mut complaints = Vec::new();
    for (language, scene, waits) in SHOWN {
        let hung = loop {
            let Some(hung) = Hung::started(language, scene) else { return };
            let hung = hung.waits(waits);
            // After its largest PID, the kernel begins again with small ones. 999 is a count on the page.
            let pids = seen(&hung).chosen;
            if pids.first() == Some(&hung.program.pid()) && !pids.contains(&999) {
                break hung;
            }
            hung.end();
        };
        let pid = hung.program.pid().to_string();
        let told = hung.scene.lab().through(["env", "COLUMNS=10000"]).args(["why", &pid]).run().code(1);
        let printed = format!("$ lab why {pid}\n{}", String::from_utf8_lossy(&told.get_output().stdout));
        let table = table(&hung);
        hung.end();
        let lines = printed.lines().map(|line| wrapped(&renumbered(line, &table)) + "\n");
        let right: String = lines.collect();
        let mark = format!("<!-- {} {scene} -->\n```text\n", language.file());
        let begin = text.find(&mark).unwrap_or_else(|| panic!("docs/why.md lacks {mark:?}")) + mark.len();
        let end = begin + text[begin..].find("```\n").expect("the end of the block");
        if text[begin..end] != right {
            complaints.push(format!("docs/why.md should show at {scene}:\n{right}"));
            text.replace_range(begin..end, &right);
        }
    }
    if env::var_os(MEND).is_some() {
        fs::write(page, text).expect("the page can be written");
    }
    assert!(
        complaints.is_empty(),
        "{}\nThis writes the transcripts again:\n\n    {MEND}=1 cargo test -p workspace-tests page_why::\n",
        complaints.join("\n")
    );
}

fn seen(hung: &Hung) -> Snapshot {
    look(&Scope::Directory(hung.scene.place().to_owned())).expect("the scene")
}

/// For each PID and each pipe's inode of a scene, the number on the page.
fn table(hung: &Hung) -> BTreeMap<String, String> {
    let snapshot = seen(hung);
    let processes = || snapshot.chosen.iter().map(|pid| &snapshot.processes[pid]);
    let inodes: BTreeSet<u64> =
        processes().flat_map(|process| &process.ends).map(|end| end.pipe.inode).collect();
    let pids = snapshot.chosen.iter().map(u32::to_string).zip(4711..);
    let pipes = inodes.iter().map(u64::to_string).zip(1_000_001..);
    pids.chain(pipes).map(|(seen, shown)| (seen, shown.to_string())).collect()
}

/// Replaces the numbers that are in the table.
fn renumbered(line: &str, table: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for part in line.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let number = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        text += table.get(number).map_or(number, String::as_str);
        text += &part[number.len()..];
    }
    text
}

/// Breaks a line; the further ones have its indent.
fn wrapped(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let indent = if line.starts_with(['✘', '•']) { 2 } else { indent };
    let (mut text, mut width) = (" ".repeat(line.len() - line.trim_start().len()), 0);
    for word in line.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            text = text + "\n" + &" ".repeat(indent);
            width = indent;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += length;
    }
    text
}
