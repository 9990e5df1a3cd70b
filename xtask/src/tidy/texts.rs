//! Lines, files and words.

use super::File;

/// The longest line, in characters: rustfmt's limit, which it does not keep in comments.
const LINE_MAX: usize = 110;

/// The longest file, in lines.
const FILE_MAX: usize = 300;

/// Files that may be longer, and why.
const LONGER: &[(&str, usize, &str)] = &[
    ("crates/handshake-core/src/server/mod.rs", 530, "Server has one method for each step"),
    ("crates/handshake-core/src/stream.rs", 510, "reader and writer mirror each other"),
    ("crates/handshake-core/src/server/course/names.rs", 500, "one search, and its table of tests"),
    ("crates/handshake-core/src/process.rs", 330, "one type"),
    ("crates/handshake-core/src/client/handshake.rs", 420, "one state machine"),
    ("crates/handshake-core/src/client/course/mod.rs", 420, "one state machine"),
    ("crates/handshake-core/src/client/session.rs", 310, "one type"),
    ("crates/handshake-fifo/src/sys/linux.rs", 320, "one call after the other"),
    ("crates/pipe-watch/src/sys.rs", 330, "one call after the other: all unsafe of its crate"),
    ("crates/client/src/converse.rs", 340, "one wait for four reasons"),
    ("crates/lab/src/demo/advice.rs", 320, "one table of mistakes"),
    ("crates/lab/src/soak/virtual_client.rs", 380, "one state machine"),
    ("crates/handshake-core/tests/parts/wire.rs", 560, "the properties of one format"),
    ("crates/handshake-core/tests/parts/wkp.rs", 330, "the properties of one pipe"),
    ("tests/hang/hang.rs", 310, "one scene after the other"),
    ("tests/src/launch.rs", 350, "one builder"),
    ("tests/src/peers.rs", 320, "the programs in C"),
    ("tests/src/program.rs", 310, "one program"),
    ("tests/src/raw.rs", 350, "one peer"),
    ("tests/suite/course.rs", 390, "tests of one subject"),
    ("tests/suite/course_alone.rs", 370, "tests of one subject"),
    ("tests/suite/course_client.rs", 360, "tests of one subject"),
    ("tests/suite/course_races.rs", 570, "tests of one subject"),
    ("tests/suite/elsewhere.rs", 380, "tests of one subject"),
    ("tests/suite/hostile_server.rs", 330, "tests of one subject"),
];

/// Its texts are generated, or were measured once.
const GENERATED: &str = "docs/comparison.md";

/// Words that were replaced, as parts of words in lower case; and what is said instead.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "which client, server or process"),
    ("somebody", "which client, server or process"),
    ("latecomer", "late client"),
    ("nursery", "what the allocator does"),
    ("forgive", "cancel"),
    ("troupe", "processes"),
    ("buried", "reaped"),
    ("eagerness", "adaptive spin"),
    ("recordreader", "FrameReader"),
    ("recordwriter", "FrameWriter"),
    ("last_arc", "upstream mode"),
];

pub(super) fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !file.path.ends_with(GENERATED)) {
        if file.is("rs") {
            findings.extend(without_doc(file));
            findings.extend(too_long(file));
        }
        findings.extend(lines(file));
    }
    findings
}

fn without_doc(file: &File) -> Option<String> {
    (!file.text.starts_with("//!"))
        .then(|| format!("{}: say on line 1 what the file is for (`//!`)", file.line(1)))
}

fn too_long(file: &File) -> Option<String> {
    let length = file.text.lines().count();
    let exception = LONGER.iter().find(|(path, ..)| file.path.ends_with(path));
    let most = exception.map_or(FILE_MAX, |(_, most, _)| *most);
    (length > most)
        .then(|| format!("{}: {length} lines, more than {most}: does it have two jobs?", file.line(length)))
}

fn lines(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let is_code = file.is("rs");
    let (mut in_block, mut in_string) = (false, false);
    for (number, line) in (1..).zip(file.text.lines()) {
        in_block ^= !is_code && line.starts_with("```");
        // A string, a table, a link, a command and an example cannot be broken.
        let is_string = std::mem::replace(&mut in_string, line.ends_with('\\')) || line.contains('"');
        let is_whole = in_block || ["|", "](", "`"].iter().any(|sign| line.contains(sign));
        let may_be_long = if is_code { is_string } else { is_whole };
        if !file.is("toml") && !may_be_long && line.chars().count() > LINE_MAX {
            findings.push(format!("{}: longer than {LINE_MAX} characters", file.line(number)));
        }
        let lower = line.to_lowercase();
        let is_table = file.path.ends_with("xtask/src/tidy/texts.rs");
        let used = WORDS.iter().filter(|(word, _)| !is_table && lower.contains(word));
        findings
            .extend(used.map(|(word, instead)| format!("{}: \"{word}\": say {instead}", file.line(number))));
    }
    findings
}
