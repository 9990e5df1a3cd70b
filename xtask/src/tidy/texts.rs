//! Lines, files and words.

use super::File;

/// The longest line, in characters: rustfmt's limit, which it does not keep in comments.
const LINE_MAX: usize = 110;

/// The longest file, in lines.
const FILE_MAX: usize = 300;

/// Files that may be longer, and why.
const LONGER: &[(&str, usize, &str)] = &[];

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
    for file in files {
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
    let mut in_block = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        in_block ^= !is_code && line.starts_with("```");
        // A string, a table, a link and an example cannot be broken.
        let may_be_long =
            if is_code { line.contains('"') } else { in_block || line.contains('|') || line.contains("](") };
        if !file.is("toml") && !may_be_long && line.chars().count() > LINE_MAX {
            findings.push(format!("{}: longer than {LINE_MAX} characters", file.line(number)));
        }
        let lower = line.to_lowercase();
        let used = WORDS.iter().filter(|(word, _)| lower.contains(word));
        findings
            .extend(used.map(|(word, instead)| format!("{}: \"{word}\": say {instead}", file.line(number))));
    }
    findings
}
