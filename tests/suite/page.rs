//! Checks that each row of docs/failure-modes.md lists the tests that prove it, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use workspace_tests::Paradigm;

/// The number of rows.
const ROWS: usize = 59;

/// The line above the list of a row's tests.
const PROVED_BY: &str = "Proved by:";

/// The variable that makes this test write the lists again.
const MEND: &str = "MEND_PAGE";

/// Tests, and the paradigms that each of them runs with.
type Tests = BTreeMap<String, BTreeSet<String>>;

#[test]
fn each_row_of_the_failure_matrix_names_its_tests() {
    let (path, proofs) = (page(), proofs());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
    let (mended, mut complaints) = compare(&text, &proofs);
    if env::var_os(MEND).is_some() && mended != text {
        fs::write(&path, mended).expect("the page can be written");
    }
    complaints.extend(
        (1..=ROWS).filter(|row| !proofs.contains_key(row)).map(|row| {
            format!("no test proves row {row}: mark one, as in `test in basic forking: row_{row};`")
        }),
    );
    complaints.extend(proofs.range(ROWS + 1..).map(|(row, tests)| {
        format!(
            "there is no row {row}, but these tests have its mark: {:?}",
            tests.keys().collect::<Vec<_>>()
        )
    }));
    assert!(
        complaints.is_empty(),
        "the page and the tests differ:\n\n{}\n\nThis writes all lists of the page again:\n\n    \
         {MEND}=1 cargo test -p workspace-tests page::\n",
        complaints.join("\n\n")
    );
}

fn page() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace");
    workspace.join("docs/failure-modes.md")
}

/// The tests of each row, from the names of all tests in this binary: `module::test::row_9::row_26::basic`.
fn proofs() -> BTreeMap<usize, Tests> {
    let suite = env::current_exe().expect("a test runs in a program");
    let output =
        Command::new(suite).args(["--list", "--format", "terse"]).output().expect("this program starts");
    let names = String::from_utf8(output.stdout).expect("names are text");
    let mut proofs = BTreeMap::<usize, Tests>::new();
    for name in names.lines().filter_map(|line| line.strip_suffix(": test")) {
        let parts: Vec<&str> = name.split("::").collect();
        let number = |part: &&str| part.strip_prefix("row_")?.parse().ok();
        let test: Vec<_> = parts.iter().take_while(|part| number(part).is_none()).copied().collect();
        for row in parts.iter().filter_map(number) {
            let paradigms = proofs.entry(row).or_default().entry(test.join("::")).or_default();
            paradigms.extend(parts.last().map(ToString::to_string));
        }
    }
    proofs
}

/// Returns the page with correct lists, and the errors in its present lists.
fn compare(text: &str, proofs: &BTreeMap<usize, Tests>) -> (String, Vec<String>) {
    let (mut mended, mut complaints, mut lists) = (String::new(), Vec::new(), Vec::new());
    let mut row = 0;
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        mended += &format!("{line}\n");
        // "### 7. Connect and leave"
        let heading = line.strip_prefix("### ").and_then(|heading| heading.split('.').next()?.parse().ok());
        row = heading.unwrap_or(row);
        if line == PROVED_BY {
            lists.push(row);
            let mut found = Vec::new();
            while let Some((_, item)) = lines.next_if(|(_, line)| line.starts_with("- ")) {
                found.push(item.to_owned());
            }
            let right = proofs.get(&row).map(list).unwrap_or_default();
            if found != right {
                let at =
                    format!("docs/failure-modes.md, line {}: the list of row {row} should be", number + 1);
                complaints.push(format!("{at}\n{}", right.join("\n")));
            }
            right.iter().for_each(|item| mended += &format!("{item}\n"));
        }
    }
    if !lists.iter().copied().eq(1..=ROWS) {
        complaints
            .push(format!("the page has lists ({PROVED_BY:?}) of these rows, not of 1 to {ROWS}: {lists:?}"));
    }
    (mended, complaints)
}

/// The lines of a row's list.
fn list(tests: &Tests) -> Vec<String> {
    let line = |(test, paradigms): (&String, &BTreeSet<String>)| {
        let names = Paradigm::ALL.map(Paradigm::name).into_iter().filter(|name| paradigms.contains(*name));
        let names: Vec<_> = names.collect();
        match names.len() {
            // A test without a paradigm.
            0 => format!("- `{test}`"),
            n if n == Paradigm::ALL.len() => format!("- `{test}` (all)"),
            _ => format!("- `{test}` ({})", names.join(", ")),
        }
    };
    tests.iter().map(line).collect()
}
