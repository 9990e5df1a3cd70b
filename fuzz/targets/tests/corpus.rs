//! Runs the fuzz targets on all files of their corpus and on mutations of them. The mutations are the same in
//! each run, so that the targets keep working between two runs of cargo-fuzz.

use std::fs;
use std::path::Path;

/// How many mutations of each file.
const MUTATIONS: usize = 100;

/// A target.
type Target = fn(&[u8]);

/// Returns the scripts of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = fs::read_dir(&folder).expect("each target has a corpus").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a script"))
        })
        .collect();
    files.sort();
    files
}

/// Runs a script. If it panics, prints which file the script came from.
fn run_script(target: Target, name: &str, script: &[u8]) {
    struct Report<'a>(&'a str, &'a [u8]);
    impl Drop for Report<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the script, made of {}: {:?}", self.0, self.1.escape_ascii().to_string());
            }
        }
    }
    let _report = Report(name, script);
    target(script);
}

fn run(name: &str, target: Target) {
    let corpus = corpus(name);
    assert!(corpus.len() > 5, "{} scripts", corpus.len());
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for (name, script) in &corpus {
        run_script(target, name, script);
        for _ in 0..MUTATIONS {
            let other = &corpus[random.below(corpus.len())].1;
            run_script(target, name, &mutated(script, other, &mut random));
        }
    }
}

/// Applies a few mutations: changes, removes or inserts a byte, doubles a part, or appends the end of another
/// script.
fn mutated(script: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut script = script.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(script.len() + 1);
        let end = (at + random.below(20)).min(script.len());
        match random.below(5) {
            0 if at < script.len() => script[at] = random.byte(),
            1 => drop(script.drain(at..end)),
            2 => script.insert(at, random.byte()),
            3 => script.extend_from_within(at..end),
            _ => {
                script.truncate(at);
                script.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    script
}

/// xorshift64: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below a usize")
    }

    /// Returns a letter or a digit in half of the cases, and any byte otherwise.
    fn byte(&mut self) -> u8 {
        let letters = b"abcdfghklmnopqrsuwxyzXW0123456789 ";
        match self.below(2) {
            0 => letters[self.below(letters.len())],
            _ => u8::try_from(self.below(256)).expect("it is below 256"),
        }
    }
}

#[test]
fn frames_are_found_among_any_bytes() {
    run("frames", fuzz_targets::frames);
}

#[test]
fn a_server_keeps_its_guarantees_with_any_clients() {
    run("server", fuzz_targets::server);
}

#[test]
fn a_client_keeps_its_guarantees_with_any_server() {
    run("client", fuzz_targets::client);
}
